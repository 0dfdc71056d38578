//! By way of ssh, as Docker's own client goes it.

use std::time::Duration;

use bollard::{
    models::VolumeCreateRequest,
    query_parameters::{EventsOptions, RemoveVolumeOptions},
};
use futures::{StreamExt as _, future::join_all};
use hemostat_docker::{Link, Trouble};
use tokio::time::{sleep, timeout};

use crate::{link, name, socket, sshd::Sshd, true_name};

fn by(sshd: &Sshd, key: &str, known: &str) -> Link {
    let Sshd { user, port, .. } = sshd;
    link(&[
        ("docker.host", format!("ssh://{user}@127.0.0.1:{port}{}", socket())),
        ("docker.ssh_config", sshd.client(key, known)),
    ])
}

#[tokio::test]
async fn the_engine_answers_and_a_login_is_used_for_many_questions() {
    let sshd = Sshd::start("").await;
    let link = by(&sshd, "client", "known");
    let expected = true_name().await;
    for _ in 0..20 {
        assert_eq!(name(&link).await.unwrap(), expected);
    }
    let logins = || sshd.log().matches("Accepted publickey").count();
    assert_eq!(logins(), 1, "{}", sshd.log());
    // More at once than sshd would take: some wait for their turn.
    let many = join_all((0..40).map(|_| name(&link))).await;
    assert!(many.iter().all(|answer| answer.as_deref() == Ok(expected.as_str())), "{many:?}");
    assert!(logins() <= 8, "{} logins: {}", logins(), sshd.log());
}

#[tokio::test]
async fn an_unknown_host_a_key_that_is_not_allowed_and_a_missing_client_are_told_apart() {
    let sshd = Sshd::start("").await;
    let bare = Sshd::start("SetEnv PATH=/nonexistent").await;
    for (what, link, said, look_at) in [
        ("unknown", by(&sshd, "client", "unknown"), "Host key verification failed", "its key is not known"),
        ("not allowed", by(&sshd, "stranger", "known"), "Permission denied", "HemoStat logs in by key only"),
        ("no client", by(&bare, "client", "known"), "not found", "Docker's client must be installed there"),
    ] {
        let Trouble { reason, remedy } = name(&link).await.unwrap_err();
        assert!(reason.contains(said) && remedy.contains(look_at), "{what}: {reason}; {remedy}");
    }
}

#[tokio::test]
async fn a_stream_of_events_ends_when_the_way_is_cut() {
    let mut sshd = Sshd::start("").await;
    let link = by(&sshd, "client", "known");
    let client = link.client().await.unwrap();
    let mut events = client.events(None::<EventsOptions>);
    // Whatever it says first: the stream is there. A volume comes and goes until it has said something.
    let volume = format!("hemostat-reach-{}", std::process::id());
    let stir = async {
        loop {
            let create = VolumeCreateRequest { name: Some(volume.clone()), ..VolumeCreateRequest::default() };
            client.create_volume(create).await.unwrap();
            client.remove_volume(&volume, None::<RemoveVolumeOptions>).await.unwrap();
            sleep(Duration::from_millis(100)).await;
        }
    };
    let heard = timeout(Duration::from_secs(20), async {
        tokio::select! {
            heard = events.next() => heard,
            () = stir => None,
        }
    });
    let heard = heard.await;
    // It may have been told of between the two.
    let _ = client.remove_volume(&volume, None::<RemoveVolumeOptions>).await;
    assert!(matches!(heard, Ok(Some(Ok(_)))), "the engine has nothing to tell: {heard:?}");
    sshd.cut();
    let end = async { while let Some(Ok(_)) = events.next().await {} };
    assert!(timeout(Duration::from_secs(20), end).await.is_ok(), "the stream goes on");
}
