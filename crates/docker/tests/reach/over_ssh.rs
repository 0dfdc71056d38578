//! Connections over ssh, as Docker's own client makes them.

use std::time::Duration;

use bollard::{
    models::VolumeCreateRequest,
    query_parameters::{EventsOptions, RemoveVolumeOptions},
};
use futures::{StreamExt as _, future::join_all};
use hemostat_docker::{ConnectError, Link};
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
async fn one_login_serves_many_requests() {
    let sshd = Sshd::start("").await;
    let link = by(&sshd, "client", "known");
    let expected = true_name().await;
    for _ in 0..20 {
        assert_eq!(name(&link).await.unwrap(), expected);
    }
    let logins = || sshd.log().matches("Accepted publickey").count();
    assert_eq!(logins(), 1, "{}", sshd.log());
    // More concurrent requests than sshd accepts logins: some wait for a connection.
    let many = join_all((0..40).map(|_| name(&link))).await;
    assert!(many.iter().all(|answer| answer.as_deref() == Ok(expected.as_str())), "{many:?}");
    assert!(logins() <= 8, "{} logins: {}", logins(), sshd.log());
}

#[tokio::test]
async fn unknown_host_unauthorised_key_and_missing_client_have_errors_of_their_own() {
    let sshd = Sshd::start("").await;
    let bare = Sshd::start("SetEnv PATH=/nonexistent").await;
    for (what, link, said, look_at) in [
        ("unknown", by(&sshd, "client", "unknown"), "Host key verification failed", "its host key is not known"),
        ("not allowed", by(&sshd, "stranger", "known"), "Permission denied", "HemoStat logs in by key only"),
        ("no client", by(&bare, "client", "known"), "not found", "Docker's client must be installed there"),
    ] {
        let ConnectError { reason, remedy } = name(&link).await.unwrap_err();
        assert!(reason.contains(said) && remedy.contains(look_at), "{what}: {reason}; {remedy}");
    }
}

#[tokio::test]
async fn an_event_stream_ends_when_the_connection_is_cut() {
    let mut sshd = Sshd::start("").await;
    let link = by(&sshd, "client", "known");
    let client = link.client().await.unwrap();
    let mut events = client.events(None::<EventsOptions>);
    // Creates and removes a volume until the first event arrives.
    let volume = format!("hemostat-reach-{}", std::process::id());
    let provoke = async {
        loop {
            let create = VolumeCreateRequest { name: Some(volume.clone()), ..VolumeCreateRequest::default() };
            client.create_volume(create).await.unwrap();
            client.remove_volume(&volume, None::<RemoveVolumeOptions>).await.unwrap();
            sleep(Duration::from_millis(100)).await;
        }
    };
    let event = timeout(Duration::from_secs(20), async {
        tokio::select! {
            event = events.next() => event,
            () = provoke => None,
        }
    });
    let event = event.await;
    // The event may have arrived between the two calls.
    let _ = client.remove_volume(&volume, None::<RemoveVolumeOptions>).await;
    assert!(matches!(event, Ok(Some(Ok(_)))), "no event arrived: {event:?}");
    sshd.cut();
    let end = async { while let Some(Ok(_)) = events.next().await {} };
    assert!(timeout(Duration::from_secs(20), end).await.is_ok(), "the stream did not end");
}
