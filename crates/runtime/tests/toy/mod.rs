//! A decider and a projection over `action.paused` and `action.resumed`, for the tests of the workers.

#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod faulty;

use std::sync::Arc;

use hemostat_core::{Decider, Decision, Projection, Trigger};
use hemostat_log::{Commit, Log, MemoryLog, Order, Range};
use hemostat_runtime::{
    Context, ManualClock,
    commands::{CommandError, Executed},
    dead_letters::{self, What},
};
use hemostat_schema::{
    Action, Event, EventId, Family, NewEvent, Operator, Partition, Recorded, Span, Subject, Timestamp,
    action::{Paused, Resumed},
};

pub const P: Partition = Partition(0);

/// A log in memory and a clock that the test advances.
pub fn bed() -> (Arc<MemoryLog>, Arc<ManualClock>, Context) {
    let clock = Arc::new(ManualClock::at(Timestamp::from_second(1_800_000_000).unwrap()));
    let log = Arc::new(MemoryLog::new(1));
    let ctx = Context { clock: clock.clone(), ..Context::new(log.clone()) };
    (log, clock, ctx)
}

/// Another process on the same log.
pub fn other(ctx: &Context, owner: &str) -> Context {
    Context { owner: owner.to_owned(), shutdown: Default::default(), health: Default::default(), ..ctx.clone() }
}

pub fn subject(name: &str) -> Subject {
    format!("host/{name}").parse().unwrap()
}

pub fn paused(name: &str, why: &str) -> NewEvent {
    NewEvent::new(subject(name), Timestamp::UNIX_EPOCH, Paused { by: "test".into(), reason: why.into() })
}

/// Executes what an operator orders about a dead letter; each reason is a key of its own.
pub async fn order(
    history: &hemostat_log::History,
    letter: EventId,
    what: What,
    reason: &str,
) -> Result<Executed, CommandError> {
    let by = Operator::claimed("ann").unwrap();
    let command = dead_letters::Command { letter, what, by, reason: Some(reason.to_owned()) };
    dead_letters::execute(history, &command, reason, Timestamp::UNIX_EPOCH).await
}

/// Appends events as another process.
pub async fn put(log: &dyn Log, events: Vec<NewEvent>) -> Vec<EventId> {
    let lease = log.acquire(P, "test", "test", std::time::Duration::from_secs(10)).await.unwrap().unwrap();
    log.commit(&Commit { events, seq: Some(1), ..Commit::new(lease) }).await.unwrap()
}

pub async fn history(log: &dyn Log) -> Vec<Recorded> {
    let entries = log.read(P, &Family::ALL, Range::ALL, Order::OldestFirst, 10_000).await.unwrap();
    entries.into_iter().filter_map(|entry| entry.event.ok()).collect()
}

/// The reasons of all `paused` and the authors of all `resumed`, in order.
pub async fn story(log: &dyn Log) -> Vec<String> {
    history(log).await.iter().filter_map(said).collect()
}

pub fn said(event: &Recorded) -> Option<String> {
    match event.event() {
        Some(Event::Action(Action::Paused(paused))) => Some(paused.reason.clone()),
        Some(Event::Action(Action::Resumed(resumed))) => Some(resumed.by.clone()),
        _ => None,
    }
}

/// Answers each `paused` of a subject with a `resumed` whose author is the number of earlier answers; at most `Policy`
/// answers. `panic` and `panic in fold` panic; `wait` sets a timer of a minute, which is answered with `woken`.
#[derive(Debug)]
pub struct Answer;

impl Decider for Answer {
    const GROUP: &'static str = "answer";
    const VERSION: u16 = 1;
    const READS: &'static [Family] = &[Family::Action, Family::Sample];
    type State = u32;
    type Shared = u32;
    type Policy = u32;

    fn evolve(state: &mut u32, shared: &mut u32, event: &Recorded) {
        match event.event() {
            Some(Event::Action(Action::Resumed(_))) => {
                *state += 1;
                *shared += 1;
            }
            _ => assert!(said(event).as_deref() != Some("panic in fold"), "folding this panics"),
        }
    }

    fn decide(state: &u32, _: &u32, trigger: &Trigger<'_>, policy: &u32, now: Timestamp) -> Decision {
        let answer = |by: String| Decision::event(NewEvent::new(trigger.subject().clone(), now, Resumed { by }));
        match trigger {
            Trigger::Timer(_) => answer("woken".into()),
            Trigger::Event(event) => match event.event() {
                Some(Event::Action(Action::Paused(paused))) => match paused.reason.as_str() {
                    "panic" => panic!("deciding this panics"),
                    "wait" => Decision::nothing().set_timer("wait", Span::from_secs(60).after(now)),
                    _ if *state < *policy => answer(state.to_string()),
                    _ => Decision::nothing(),
                },
                _ => Decision::nothing(),
            },
        }
    }
}

/// Counts the events of each subject that are not `silent`; `panic` panics.
#[derive(Debug)]
pub struct Count;

impl Projection for Count {
    const NAME: &'static str = "count";
    const VERSION: u16 = 1;
    const READS: &'static [Family] = &[Family::Action];
    type Row = u32;

    fn keys(event: &Recorded) -> Vec<String> {
        vec![event.subject.to_string()]
    }

    fn evolve(row: Option<u32>, _: &str, event: &Recorded) -> Option<u32> {
        assert!(said(event).as_deref() != Some("panic"), "folding this panics");
        Some(row.unwrap_or(0) + u32::from(said(event).as_deref() != Some("silent")))
    }
}
