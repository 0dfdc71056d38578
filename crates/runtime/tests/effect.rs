//! Tests of the effect's worker, the projection's worker and the producer.

#![allow(clippy::unwrap_used, reason = "a test fails on any error")]

mod toy;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use hemostat_log::{Inbox, Log};
use hemostat_runtime::{
    Context, Effect, EffectWorker, ExecutionGuard, Fault, LeasedWorker, Producer, ProducerError, ProjectWorker, Step,
    read_model,
};
use hemostat_schema::{Family, HostName, NewEvent, Recorded, Span, Timestamp, action::Resumed};

use crate::toy::*;

/// Records what it executed; `unread` fails once before its check of the lease and `later` once after it, `never` always,
/// `panic` panics.
#[derive(Default)]
struct Note {
    done: Mutex<Vec<(String, bool)>>,
    attempts: AtomicU32,
}

#[async_trait]
impl Effect for Note {
    const READS: &'static [Family] = &[Family::Action];

    fn group(&self) -> &str {
        "note"
    }

    fn wants(&self, event: &Recorded) -> bool {
        event.kind() == "action.paused"
    }

    async fn run(&self, event: &Recorded, guard: &ExecutionGuard) -> Result<Vec<NewEvent>, Fault> {
        let why = said(event).unwrap_or_default();
        if why == "unread" && self.attempts.fetch_add(1, Ordering::SeqCst) < 1 {
            return Err(Fault::Retry(anyhow::anyhow!("could not read the world")));
        }
        guard.check_lease()?;
        match why.as_str() {
            "later" if self.attempts.fetch_add(1, Ordering::SeqCst) < 1 => {
                return Err(Fault::Retry(anyhow::anyhow!("not yet")));
            }
            "never" => return Err(Fault::DeadLetter(anyhow::anyhow!("not at all"))),
            "panic" => panic!("doing this panics"),
            _ => {}
        }
        self.done.lock().unwrap().push((why.clone(), guard.redelivered()));
        Ok(vec![NewEvent::new(event.subject.clone(), guard.began_at(), Resumed { by: format!("did {why}") })])
    }
}

fn worker(ctx: &Context, note: &Arc<Note>) -> LeasedWorker<EffectWorker<Note>> {
    LeasedWorker::new(ctx.clone(), EffectWorker::new(ctx.clone(), P, note.clone()))
}

/// Steps until there are `count` outcomes and dead letters.
async fn until(log: &dyn Log, worker: &mut LeasedWorker<EffectWorker<Note>>, count: usize) -> Vec<String> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        worker.step().await.unwrap();
        let story = story(log).await;
        if story.len() + log.dead_letters(P, 10).await.unwrap().len() >= count {
            return story;
        }
        assert!(Instant::now() < deadline, "there is only {story:?}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn each_wanted_event_has_one_effect_and_one_outcome_in_the_order_of_its_subject() {
    let (log, _, ctx) = bed();
    let ids = put(&*log, vec![paused("a", "x"), paused("a", "y"), paused("a", "z")]).await;
    let note = Arc::new(Note::default());
    let story = until(&*log, &mut worker(&ctx, &note), 6).await;
    assert_eq!(story, ["x", "y", "z", "did x", "did y", "did z"]);
    assert_eq!(history(&*log).await[3].cause, Some(ids[0]));
    let expected = ["x", "y", "z"].map(|why| (why.to_owned(), false));
    assert_eq!(*note.done.lock().unwrap(), expected);
}

#[tokio::test]
async fn an_effect_without_a_committed_outcome_is_marked_as_redelivered() {
    let (log, _, ctx) = bed();
    put(&*log, vec![paused("a", "x")]).await;
    // A process read it, perhaps executed it, and crashed before it committed the outcome.
    let lease = log.acquire(P, "note", "dead", ctx.lease_ttl).await.unwrap().unwrap();
    assert_eq!(Inbox::new(log.clone(), lease.clone(), [Family::Action]).next(9).await.unwrap().len(), 1);
    log.release(&lease).await.unwrap();

    let note = Arc::new(Note::default());
    until(&*log, &mut worker(&ctx, &note), 2).await;
    assert_eq!(*note.done.lock().unwrap(), [("x".to_owned(), true)]);
}

#[tokio::test]
async fn a_fault_is_retried_and_the_next_attempt_is_marked_as_redelivered_if_the_lease_was_checked() {
    for (why, redelivered) in [("later", true), ("unread", false)] {
        let (log, _, ctx) = bed();
        put(&*log, vec![paused("a", why)]).await;
        let note = Arc::new(Note::default());
        assert_eq!(until(&*log, &mut worker(&ctx, &note), 2).await, [why.to_owned(), format!("did {why}")]);
        assert_eq!(*note.done.lock().unwrap(), [(why.to_owned(), redelivered)]);
    }
}

#[tokio::test]
async fn a_permanent_fault_dead_letters_one_event_and_the_rest_is_executed() {
    let (log, _, ctx) = bed();
    put(&*log, vec![paused("a", "never"), paused("b", "panic"), paused("a", "x")]).await;
    let note = Arc::new(Note::default());
    let story = until(&*log, &mut worker(&ctx, &note), 6).await;
    assert_eq!(story, ["never", "panic", "x", "did x"]);
    let errors: Vec<String> = log.dead_letters(P, 10).await.unwrap().into_iter().map(|letter| letter.error).collect();
    assert!(errors.iter().any(|error| error == "not at all"), "{errors:?}");
    assert!(errors.iter().any(|error| error.contains("doing this panics")), "{errors:?}");
}

/// Records its attempts at `down ...`, which fails `failures` times, a minute apart, and what else it executed.
struct Patient {
    failures: AtomicU32,
    attempts: Mutex<Vec<(String, u32, bool)>>,
}

impl Patient {
    fn failing(failures: u32) -> Arc<Self> {
        Arc::new(Self { failures: AtomicU32::new(failures), attempts: Mutex::default() })
    }

    fn worker(self: &Arc<Self>, ctx: &Context) -> LeasedWorker<EffectWorker<Self>> {
        LeasedWorker::new(ctx.clone(), EffectWorker::new(ctx.clone(), P, self.clone()))
    }

    fn attempts(&self) -> Vec<(String, u32, bool)> {
        self.attempts.lock().unwrap().clone()
    }
}

#[async_trait]
impl Effect for Patient {
    const READS: &'static [Family] = &[Family::Action];

    fn group(&self) -> &str {
        "patient"
    }

    fn wants(&self, event: &Recorded) -> bool {
        event.kind() == "action.paused"
    }

    async fn run(&self, event: &Recorded, guard: &ExecutionGuard) -> Result<Vec<NewEvent>, Fault> {
        let why = said(event).unwrap_or_default();
        guard.check_lease()?;
        if why == "stuck" {
            return std::future::pending().await;
        }
        self.attempts.lock().unwrap().push((why.clone(), guard.attempt(), guard.redelivered()));
        let left = self.failures.load(Ordering::SeqCst);
        if why.starts_with("down") && left > 0 {
            self.failures.store(left - 1, Ordering::SeqCst);
            let later = Span::from_secs(60).after(guard.began_at());
            return Err(Fault::RetryAt(later, anyhow::anyhow!("the other side is down")));
        }
        let took = Span::between(guard.first_attempt_at(), guard.began_at());
        let by = format!("did {why} at attempt {} after {took}", guard.attempt());
        Ok(vec![NewEvent::new(event.subject.clone(), guard.began_at(), Resumed { by })])
    }
}

/// Steps until nothing is left to do before a time, which it returns.
async fn idle<W: hemostat_runtime::Worker>(worker: &mut LeasedWorker<W>, ctx: &Context) -> Option<Timestamp> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let step = worker.step().await.unwrap();
        // What runs is pending, or has a timer for which the worker does not wait, until its outcome is committed.
        let found = ctx.log.inspect(P).await.unwrap();
        let mut groups = found.streams.values().flat_map(|stream| &stream.groups);
        if let Step::Idle { until } = step
            && groups.all(|group| group.pending.is_empty())
            && (until.is_some() || found.timers.is_empty())
        {
            return until;
        }
        assert!(Instant::now() < deadline, "it does not become idle: {step:?}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_retry_waits_as_a_timer_is_counted_across_processes_and_keeps_the_order_of_its_subject_only() {
    let (log, clock, ctx) = bed();
    put(&*log, vec![paused("a", "down"), paused("a", "after"), paused("b", "other")]).await;
    let effect = Patient::failing(3);
    let attempt = |why: &str, attempt: u32| (why.to_owned(), attempt, attempt > 1);
    for (process, attempts) in [("p", 1), ("q", 2), ("r", 3)] {
        // Each process makes one attempt and ends.
        let ctx = other(&ctx, process);
        let mut worker = effect.worker(&ctx);
        let until = idle(&mut worker, &ctx).await;
        assert_eq!(until, Some(Span::from_secs(60).after(ctx.clock.now())), "{process}");
        let mut tried = effect.attempts();
        tried.retain(|(why, ..)| why == "down");
        assert_eq!(tried, (1..=attempts).map(|number| attempt("down", number)).collect::<Vec<_>>());
        assert_eq!(log.lag(P, "patient", &[Family::Action]).await.unwrap(), 0, "a retry holds back no trimming");
        ctx.shutdown.cancel();
        worker.run().await.unwrap();
        clock.advance(Span::from_secs(60));
    }
    let mut worker = effect.worker(&other(&ctx, "s"));
    put(&*log, vec![paused("a", "last")]).await;
    assert_eq!(idle(&mut worker, &ctx).await, None);
    let did = [
        "did other at attempt 1 after 0 ms",
        "did down at attempt 4 after 3 min",
        "did after at attempt 1 after 3 min",
        "did last at attempt 1 after 0 ms",
    ];
    assert_eq!(story(&*log).await.split_off(3), [&did[..1], &["last"], &did[1..]].concat());
    let expected: Vec<_> =
        [("down", 1), ("other", 1), ("down", 2), ("down", 3), ("down", 4), ("after", 1), ("last", 1)]
            .map(|(why, number)| attempt(why, number))
            .into();
    let mut tried = effect.attempts();
    // The first two run concurrently.
    tried[..2].sort();
    assert_eq!(tried, expected);
    assert_eq!(log.timers(P, "patient").await.unwrap(), [], "nothing is left of the retries");
}

#[tokio::test]
async fn a_due_retry_without_room_waits_for_what_is_in_flight() {
    let (log, clock, ctx) = bed();
    put(&*log, vec![paused("a", "down")]).await;
    let effect = Patient::failing(1);
    let mut worker = effect.worker(&ctx);
    assert!(idle(&mut worker, &ctx).await.is_some());
    // As many as may be in flight.
    put(&*log, (0..256).map(|n| paused(&format!("s{n}"), "stuck")).collect()).await;
    while worker.step().await.unwrap() != (Step::Idle { until: None }) {
        tokio::task::yield_now().await;
    }
    clock.advance(Span::from_secs(60));
    assert_eq!(worker.step().await.unwrap(), Step::Idle { until: None }, "it would not wait");
}

#[tokio::test]
async fn a_retry_whose_event_was_trimmed_becomes_a_dead_letter() {
    let (log, clock, ctx) = bed();
    put(&*log, vec![paused("a", "down"), paused("a", "after")]).await;
    let effect = Patient::failing(1);
    let mut worker = effect.worker(&ctx);
    assert!(idle(&mut worker, &ctx).await.is_some());
    let after = history(&*log).await[1].id;
    assert_eq!(log.trim(P, Family::Action, after).await.unwrap().removed, 1);
    clock.advance(Span::from_secs(60));
    assert_eq!(idle(&mut worker, &ctx).await, None);
    let [letter] = &log.dead_letters(P, 10).await.unwrap()[..] else { panic!("there is one dead letter") };
    assert_eq!(letter.error, "it is not on the log any more");
    assert_eq!(story(&*log).await, ["after", "did after at attempt 1 after 1 min"]);
}

/// Executes what is for its hosts; after a minute it also handles the rest.
struct HostBound {
    hosts: Vec<HostName>,
    takes: Duration,
    done: Mutex<Vec<String>>,
}

impl HostBound {
    fn of(hosts: &[&str]) -> Arc<Self> {
        let hosts = hosts.iter().map(|host| host.parse().unwrap()).collect();
        Arc::new(Self { hosts, takes: Duration::ZERO, done: Mutex::default() })
    }

    fn worker(self: &Arc<Self>, ctx: &Context) -> LeasedWorker<EffectWorker<Self>> {
        let worker = EffectWorker::new(ctx.clone(), P, self.clone()).serving(self.hosts.clone());
        LeasedWorker::new(ctx.clone(), worker)
    }

    /// What it executed, sorted.
    fn done(&self) -> Vec<String> {
        let mut done = self.done.lock().unwrap().clone();
        done.sort();
        done
    }
}

fn on(host: &str, why: &str) -> NewEvent {
    NewEvent { subject: format!("{host}/a").parse().unwrap(), ..paused("a", why) }
}

#[async_trait]
impl Effect for HostBound {
    const READS: &'static [Family] = &[Family::Action];

    fn group(&self) -> &str {
        "host-bound"
    }

    fn wants(&self, event: &Recorded) -> bool {
        event.kind() == "action.paused"
    }

    fn delegated_until(&self, event: &Recorded) -> Option<Timestamp> {
        (!self.hosts.contains(&event.subject.host)).then(|| Timestamp::from_second(1_800_000_060).unwrap())
    }

    async fn run(&self, event: &Recorded, guard: &ExecutionGuard) -> Result<Vec<NewEvent>, Fault> {
        let why = said(event).unwrap_or_default();
        self.done.lock().unwrap().push(why.clone());
        if !self.takes.is_zero() {
            tokio::time::sleep(self.takes).await;
        }
        Ok(vec![NewEvent::new(event.subject.clone(), guard.began_at(), Resumed { by: format!("did {why}") })])
    }
}

#[tokio::test]
async fn an_event_for_a_host_that_no_process_serves_waits_until_its_deadline() {
    let (log, clock, ctx) = bed();
    put(&*log, vec![on("theirs", "1"), on("ours", "2"), on("ours", "3")]).await;
    let effect = HostBound::of(&["ours"]);
    let mut here = effect.worker(&ctx);
    let settle = async |worker: &mut LeasedWorker<EffectWorker<HostBound>>, count: usize| {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            match worker.step().await.unwrap() {
                Step::Idle { until } if story(&*log).await.len() == 3 + count => break until,
                _ => assert!(Instant::now() < deadline, "it does not become idle"),
            }
            tokio::task::yield_now().await;
        }
    };
    let until = settle(&mut here, 2).await;
    assert_eq!(effect.done(), ["2", "3"]);
    assert_eq!(until, Some(Timestamp::from_second(1_800_000_060).unwrap()));
    assert!(log.dead_letters(P, 10).await.unwrap().is_empty());
    clock.advance(Span::from_secs(60));
    let until = settle(&mut here, 3).await;
    assert_eq!((effect.done().len(), until), (3, None), "no process took it in time, so it is handled here");
}

#[tokio::test]
async fn an_effect_is_handed_off_to_the_process_that_serves_its_host() {
    let (log, _, ctx) = bed();
    let ctx = Context { lease_ttl: Duration::from_millis(300), ..ctx };
    let hosts = [("p", vec!["web"]), ("q", vec!["db"]), ("r", vec!["mail", "cache"])];
    let effects: Vec<_> = hosts.iter().map(|(_, served)| HostBound::of(served)).collect();
    let processes: Vec<_> = hosts
        .iter()
        .zip(&effects)
        .map(|((owner, _), effect)| {
            let ctx = other(&ctx, owner);
            (ctx.shutdown.clone(), tokio::spawn(effect.worker(&ctx).run()))
        })
        .collect();
    for round in 0..3 {
        let events = ["web", "db", "mail", "cache"].map(|host| on(host, &format!("{host} {round}")));
        put(&*log, events.to_vec()).await;
        let deadline = Instant::now() + Duration::from_secs(20);
        while story(&*log).await.len() < (round + 1) * 8 {
            assert!(Instant::now() < deadline, "round {round}: {:?}", story(&*log).await);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    for (shutdown, process) in processes {
        shutdown.cancel();
        process.await.unwrap().unwrap();
    }
    let done: Vec<_> = effects.iter().map(|effect| effect.done()).collect();
    assert_eq!(done[0], ["web 0", "web 1", "web 2"]);
    assert_eq!(done[1], ["db 0", "db 1", "db 2"]);
    assert_eq!(done[2], ["cache 0", "cache 1", "cache 2", "mail 0", "mail 1", "mail 2"]);
    assert!(log.dead_letters(P, 10).await.unwrap().is_empty());
}

/// Else it is handed over, handed back as no other process serves the host, and begun again.
#[tokio::test(start_paused = true)]
async fn a_rebalance_does_not_interrupt_an_effect_on_a_host() {
    let mut rebalanced = vec![];
    // The partition is assigned to the same of two members in both rounds, so one of them rebalances.
    for (first, second) in [("p", "q"), ("q", "p")] {
        let (log, _, ctx) = bed();
        put(&*log, vec![on("web", "1")]).await;
        // Longer than two heartbeats and the time to drain.
        let web = Arc::new(HostBound {
            hosts: vec!["web".parse().unwrap()],
            takes: 3 * ctx.lease_ttl,
            done: Mutex::default(),
        });
        let db = HostBound::of(&["db"]);
        let holder = async || {
            let leases = log.inspect(P).await.unwrap().leases;
            leases.into_iter().find(|lease| lease.group == "host-bound").and_then(|lease| lease.owner)
        };
        let contexts = [other(&ctx, first), other(&ctx, second)];
        let mut running = vec![tokio::spawn(web.worker(&contexts[0]).run())];
        while web.done().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        running.push(tokio::spawn(db.worker(&contexts[1]).run()));
        while story(&*log).await.len() < 2 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert_eq!(web.done(), ["1"], "{first}, then {second}");
        }
        // Paused time: enough heartbeats to rebalance once the effect has ended.
        tokio::time::sleep(3 * ctx.lease_ttl).await;
        rebalanced.push(holder().await.as_deref() == Some(second));
        for ctx in &contexts {
            ctx.shutdown.cancel();
        }
        for process in running {
            process.await.unwrap().unwrap();
        }
    }
    rebalanced.sort_unstable();
    assert_eq!(rebalanced, [false, true]);
}

/// Else it is interrupted, delivered again after the handoff, and begun again.
#[tokio::test(start_paused = true)]
async fn a_requested_handoff_waits_for_what_runs_and_nothing_new_is_started_before_it() {
    let (log, _, ctx) = bed();
    // Longer than the handoff waits for idleness, and the time to drain after that.
    let takes = 2 * ctx.lease_ttl + Duration::from_secs(15);
    let web = Arc::new(HostBound { hosts: vec!["web".parse().unwrap()], takes, done: Mutex::default() });
    let db = HostBound::of(&["db"]);
    let contexts = [other(&ctx, "p"), other(&ctx, "q")];
    put(&*log, vec![on("web", "1")]).await;
    let mut running = vec![tokio::spawn(web.worker(&contexts[0]).run())];
    let until = async |is: &dyn Fn() -> bool| {
        let deadline = Instant::now() + Duration::from_secs(600);
        while !is() {
            assert!(Instant::now() < deadline, "{:?} {:?} {:?}", web.done(), db.done(), story(&*log).await);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    until(&|| !web.done().is_empty()).await;
    running.push(tokio::spawn(db.worker(&contexts[1]).run()));
    put(&*log, vec![on("db", "2")]).await;
    // There is always more work on the other host.
    tokio::time::sleep(2 * ctx.lease_ttl).await;
    put(&*log, vec![NewEvent { subject: "web/b".parse().unwrap(), ..paused("b", "3") }]).await;
    until(&|| !db.done().is_empty()).await;
    assert_eq!((web.done(), db.done()), (vec!["1".to_owned()], vec!["2".to_owned()]));
    until(&|| web.done().len() > 1).await;
    tokio::time::sleep(2 * takes).await;
    assert_eq!((web.done(), story(&*log).await.len()), (vec!["1".to_owned(), "3".to_owned()], 6));
    for ctx in &contexts {
        ctx.shutdown.cancel();
    }
    for process in running {
        process.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_process_that_joins_later_executes_what_waits_for_its_host() {
    let (log, _, ctx) = bed();
    let ctx = Context { lease_ttl: Duration::from_millis(300), ..ctx };
    put(&*log, vec![on("db", "1"), on("web", "2")]).await;
    let (first, second) = (HostBound::of(&["web"]), HostBound::of(&["db"]));
    let (early, late) = (other(&ctx, "p"), other(&ctx, "q"));
    let mut processes = vec![tokio::spawn(first.worker(&early).run())];
    let until = async |count: usize| {
        let deadline = Instant::now() + Duration::from_secs(20);
        while story(&*log).await.len() < count {
            assert!(Instant::now() < deadline, "{:?}", story(&*log).await);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    until(3).await;
    assert_eq!((first.done(), second.done().len()), (vec!["2".to_owned()], 0));
    processes.push(tokio::spawn(second.worker(&late).run()));
    until(4).await;
    assert_eq!(second.done(), ["1"]);
    // A handoff request to a crashed process lasts until its membership expires; then the other one continues.
    put(&*log, vec![on("db", "3"), on("web", "4")]).await;
    processes.pop().expect("two were started").abort();
    until(7).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    while first.done() != ["2", "4"] {
        assert!(Instant::now() < deadline, "{:?}", story(&*log).await);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    early.shutdown.cancel();
    processes.remove(0).await.unwrap().unwrap();
    assert!(log.dead_letters(P, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_projection_folds_each_event_once_across_processes_and_a_panic_costs_one_event() {
    let (log, _, ctx) = bed();
    let project = |ctx: &Context| LeasedWorker::new(ctx.clone(), ProjectWorker::<Count>::new(ctx.clone(), P));
    put(&*log, vec![paused("a", "x"), paused("b", "x"), paused("a", "panic"), paused("a", "y")]).await;
    let mut first = project(&ctx);
    assert_eq!(first.step().await.unwrap(), Step::Worked { handled: 4, appended: 0 });
    put(&*log, vec![paused("a", "z")]).await;
    // The same owner acquires the lease again, as after a restart.
    project(&ctx).step().await.unwrap();
    assert_eq!(first.step().await.unwrap(), Step::StandingBy, "the old epoch is fenced off");
    assert_eq!(read_model::all::<Count>(&*log).await.unwrap(), [("host/a".to_owned(), 3), ("host/b".to_owned(), 1)]);
    assert_eq!(read_model::get::<Count>(&*log, "host/a").await.unwrap(), Some(3));
    assert_eq!(read_model::get::<Count>(&*log, "host/zz").await.unwrap(), None);
    assert_eq!(log.dead_letters(P, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_fenced_producer_appends_nothing() {
    let (log, _, ctx) = bed();
    let mut first = Producer::acquire(&ctx, P, "monitor").await.unwrap();
    first.append(vec![paused("a", "x")], vec![]).await.unwrap();
    // The same owner again, as after a restart: a new epoch.
    let mut second = Producer::acquire(&ctx, P, "monitor").await.unwrap();
    assert_eq!(first.append(vec![paused("a", "lost")], vec![]).await, Err(ProducerError::LeaseLost));
    second.append(vec![paused("a", "y")], vec![]).await.unwrap();
    assert_eq!(story(&*log).await, ["x", "y"]);
    assert!(history(&*log).await.iter().all(|event| event.trace.is_some()));
}
