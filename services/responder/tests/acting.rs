//! The responder's effect against the real Docker engine: what is authorised is done once, whoever dies and whenever.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on says where, and shows what it met"
)]

#[path = "../../monitor/tests/bed/mod.rs"]
mod bed;

use std::{collections::HashMap, time::Duration};

use bed::{Bed, Patient, context, history, host, wait_for};
use bollard::query_parameters::{EventsOptionsBuilder, KillContainerOptionsBuilder};
use futures::TryStreamExt;
use hemostat_responder::{
    Execute,
    engine::{Docker, Engine},
};
use hemostat_runtime::{Context, Producer, effect, run};
use hemostat_schema::{
    Action, ContainerId, Event, EventId, NewEvent, Partition, Span, Subject, Timestamp,
    action::{Authorised, Failed, Proof, Remedy, Succeeded},
    container::Target,
};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

/// Takes about two seconds to stop.
const SLOW: &str = "trap 'sleep 2; exit 0' TERM; while true; do sleep 0.1; done";
const QUICK: &str = "trap exit TERM; while true; do sleep 0.1; done";

fn engine() -> Docker {
    let host = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
    Docker::new(host, Duration::from_secs(20))
}

/// A responder that can be killed: all of its tasks end where they are, as those of a process do.
struct Responder(JoinHandle<anyhow::Result<()>>);

impl Responder {
    fn start(ctx: &Context) -> Self {
        let ctx = Context { owner: format!("{:08x}", fastrand::u32(..)), ..ctx.clone() };
        let execute = Execute::new(host(), engine(), ctx.clock.clone(), Span::from_secs(600));
        Self(tokio::spawn(async move { run(&ctx, effect(&ctx, execute)).await }))
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn intend(ctx: &Context, name: &str, intent: Authorised) -> EventId {
    let mut producer = Producer::acquire(ctx, Partition(0), &format!("test-{name}")).await.unwrap();
    let subject = Subject::container(host(), name.parse().unwrap());
    let event = NewEvent::new(subject, Timestamp::now(), intent);
    producer.append(vec![event], vec![]).await.unwrap()[0]
}

async fn intent(id: &ContainerId, remedy: Remedy) -> Authorised {
    let started_at = engine().look(id).await.unwrap().started_at;
    Authorised {
        remedy,
        target: Target { id: id.clone(), started_at },
        diagnosis: EventId::start(Partition(0)),
        attempt: 1,
        of: 3,
        stop_timeout: Some(Span::from_secs(5)),
        dry_run: false,
    }
}

async fn outcome(ctx: &Context, name: &str) -> Result<Succeeded, Failed> {
    wait_for(ctx.log.as_ref(), name, "outcome", |_, event| match event {
        Event::Action(Action::Succeeded(done)) => Some(Ok(done.clone())),
        Event::Action(Action::Failed(failed)) => Some(Err(failed.clone())),
        _ => None,
    })
    .await
}

/// How often each of these happened to a container, by the engine's own record.
async fn record(bed: &Bed, id: &ContainerId, actions: &[&str]) -> Vec<usize> {
    let mine = HashMap::from([("container", vec![id.as_str()])]);
    let now = Timestamp::now().as_second() + 1;
    let options = EventsOptionsBuilder::new().since("1").until(&now.to_string()).filters(&mine).build();
    let events: Vec<_> = bed.docker.events(Some(options)).try_collect().await.unwrap();
    let times = |action: &&str| events.iter().filter(|event| event.action.as_deref() == Some(*action)).count();
    actions.iter().map(times).collect()
}

#[tokio::test]
async fn an_authorised_restart_is_done_and_told_with_the_run_that_came_of_it() {
    let (bed, ctx) = (Bed::new().await, context());
    let id = bed.start("api", Patient { script: QUICK, ..Patient::default() }).await;
    let name = bed.name("api");
    let intent = intent(&id, Remedy::Restart).await;
    let _responder = Responder::start(&ctx);
    let action = intend(&ctx, &name, intent.clone()).await;
    let done = outcome(&ctx, &name).await.unwrap();
    let now = engine().look(&id).await.unwrap();
    assert_eq!((done.action, done.proof), (action, Proof::Answered));
    assert_eq!(done.target, Some(Target { id: id.clone(), started_at: now.started_at }));
    assert!(now.started_at > intent.target.started_at && done.called_at.is_some());
    assert_eq!(record(&bed, &id, &["restart", "start"]).await, [1, 2]);
}

#[tokio::test]
async fn an_exited_container_is_started_and_a_superseded_intent_touches_nothing() {
    let (bed, ctx) = (Bed::new().await, context());
    let id = bed.start("job", Patient { script: QUICK, ..Patient::default() }).await;
    let kill = KillContainerOptionsBuilder::new().signal("SIGKILL").build();
    bed.docker.kill_container(id.as_str(), Some(kill)).await.unwrap();
    let name = bed.name("job");
    let ended = intent(&id, Remedy::Start).await;
    let _responder = Responder::start(&ctx);
    intend(&ctx, &name, ended.clone()).await;
    assert_eq!(outcome(&ctx, &name).await.unwrap().proof, Proof::Answered);
    // The same intent again is about a run that is no more.
    let again = intend(&ctx, &name, ended).await;
    let failed = wait_for(ctx.log.as_ref(), &name, "refusal to act", |_, event| match event {
        Event::Action(Action::Failed(failed)) => Some(failed.clone()),
        _ => None,
    })
    .await;
    assert_eq!(failed.action, again);
    assert_eq!(failed.error, "superseded: it has been started anew since it was diagnosed");
    assert_eq!(record(&bed, &id, &["start"]).await, [2]);
}

#[tokio::test]
async fn a_container_that_is_gone_and_a_dry_run_end_in_a_clear_outcome() {
    let (bed, ctx) = (Bed::new().await, context());
    let id = bed.start("api", Patient { script: QUICK, ..Patient::default() }).await;
    let _responder = Responder::start(&ctx);
    let dry = Authorised { dry_run: true, ..intent(&id, Remedy::Restart).await };
    intend(&ctx, &bed.name("api"), dry.clone()).await;
    assert_eq!(outcome(&ctx, &bed.name("api")).await.unwrap().proof, Proof::DryRun);
    assert_eq!(record(&bed, &id, &["kill", "restart"]).await, [0, 0]);

    let nowhere = Target { id: "0123456789abcdef".parse().unwrap(), started_at: None };
    intend(&ctx, &bed.name("gone"), Authorised { target: nowhere, dry_run: false, ..dry }).await;
    let failed = outcome(&ctx, &bed.name("gone")).await.unwrap_err();
    assert_eq!(failed.error, "superseded: the container is gone: it was removed or recreated");
}

/// The first responder is killed so many milliseconds after the intent; a second one takes over.
async fn restarted_once(killed_after: u64) {
    let (bed, ctx) = (Bed::new().await, context());
    let id = bed.start("slow", Patient { script: SLOW, ..Patient::default() }).await;
    let name = bed.name("slow");
    let before = intent(&id, Remedy::Restart).await;
    let first = Responder::start(&ctx);
    intend(&ctx, &name, before.clone()).await;
    sleep(Duration::from_millis(killed_after)).await;
    drop(first);
    let _second = Responder::start(&ctx);
    let done = outcome(&ctx, &name).await.unwrap();
    let story = format!("killed after {killed_after} ms, {:?}", done.proof);
    println!("{story}");
    // A call that had gone out before the kill would show by now, or within the time that it may take.
    let settled = timeout(Duration::from_secs(4), async {
        loop {
            if record(&bed, &id, &["start"]).await[0] > 2 {
                return;
            }
            sleep(Duration::from_millis(500)).await;
        }
    });
    assert!(settled.await.is_err(), "{story}: a second restart");
    assert_eq!(record(&bed, &id, &["die", "start", "restart"]).await, [1, 2, 1], "{story}");
    let outcomes = history(ctx.log.as_ref(), &name).await;
    let outcomes = outcomes.iter().filter(|event| event.kind() == "action.succeeded").count();
    assert_eq!(outcomes, 1, "{story}");
}

#[tokio::test]
async fn a_responder_killed_before_it_calls_leaves_one_restart() {
    restarted_once(0).await;
}

#[tokio::test]
async fn a_responder_killed_as_it_calls_leaves_one_restart() {
    futures::future::join_all([3, 6, 10, 15, 25, 50].map(restarted_once)).await;
}

#[tokio::test]
async fn a_responder_killed_during_the_restart_leaves_one_restart() {
    futures::future::join_all([300, 1000, 1900].map(restarted_once)).await;
}

#[tokio::test]
async fn a_responder_killed_as_the_restart_ends_leaves_one_restart() {
    futures::future::join_all([2100, 2300, 2500].map(restarted_once)).await;
}
