//! Remedies against a fake engine in paused time, with crashes at chosen milliseconds.

use std::time::Duration;

use hemostat_docker::Error;
use std::sync::Mutex;

use async_trait::async_trait;
use hemostat_schema::{
    ContainerId, EventId, Partition,
    action::{Limits, Service},
    container::State,
};
use hemostat_settings::Durability;
use tokio::time::Instant;

use super::{restart::MAX_CALL_OVERRUN, *};
use crate::engine::{ContainerState, StopEvidence};

const ID: &str = "ef1ff59165b9fed19d914ad5062fedf9a3d4b61300b5a0bb702fa6d29375851f";
/// How long the container takes to stop, and then to start.
const STOPPING: Duration = Duration::from_secs(2);
const STARTING: Duration = Duration::from_millis(300);

/// An engine with one container. It completes each call even if the caller is gone.
#[derive(Debug)]
struct FakeEngine {
    began: Instant,
    container: Mutex<FakeContainer>,
}

#[derive(Debug, Clone)]
struct FakeContainer {
    started_at: Timestamp,
    state: State,
    /// A restart under way: when it was requested, and how far it gets.
    restart: Option<(Instant, Fate)>,
    stopped: bool,
    evidence: StopEvidence,
    calls: Vec<&'static str>,
    unreachable: bool,
    gone: bool,
    refuses: bool,
    refuses_half_way: bool,
    loses_answers: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Completes,
    StuckStopped,
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_795_462_698_000 + ms).unwrap()
}

impl FakeEngine {
    fn new() -> Self {
        let container = FakeContainer {
            started_at: at(-60_000),
            state: State::Running,
            restart: None,
            stopped: false,
            evidence: StopEvidence::Absent,
            calls: vec![],
            unreachable: false,
            gone: false,
            refuses: false,
            refuses_half_way: false,
            loses_answers: false,
        };
        Self { began: Instant::now(), container: Mutex::new(container) }
    }

    fn set(&self, change: impl FnOnce(&mut FakeContainer)) {
        change(&mut self.container.lock().unwrap());
    }

    /// Begins a restart, which goes on without its caller.
    fn begin_restart(&self, fate: Fate) {
        self.set(|container| (container.restart, container.stopped) = (Some((Instant::now(), fate)), true));
    }

    fn container(&self) -> FakeContainer {
        let mut container = self.container.lock().unwrap();
        if let Some((asked, fate)) = container.restart
            && asked.elapsed() >= STOPPING
        {
            container.state = State::Exited;
            if fate == Fate::Completes && asked.elapsed() >= STOPPING + STARTING {
                let whole = Span::from(asked.duration_since(self.began) + STOPPING + STARTING);
                (container.state, container.started_at, container.restart) = (State::Running, whole.after(at(0)), None);
            }
        }
        container.clone()
    }

    fn receive(&self) -> Result<(), Error> {
        let container = self.container();
        match () {
            () if container.unreachable => Err(unreachable("connection refused")),
            () if container.gone => Err(Error::Gone("api-1".into())),
            () => Ok(()),
        }
    }
}

fn unreachable(reason: &str) -> Error {
    Error::Unreachable { host: "here".into(), reason: reason.into(), remedy: "is it running?" }
}

fn refused(reason: &str) -> Error {
    let operation = "restart the container";
    Error::Refused { host: "here".into(), operation, status: 500, reason: reason.into() }
}

#[async_trait]
impl Engine for FakeEngine {
    async fn container_state(&self, _: &ContainerId) -> Result<ContainerState, Error> {
        self.receive()?;
        let container = self.container();
        Ok(ContainerState {
            started_at: Some(container.started_at),
            state: container.state,
            stop_timeout: Some(Span::from_secs(4)),
        })
    }

    async fn stop_evidence(&self, _: &ContainerId, _: Timestamp) -> Result<StopEvidence, Error> {
        self.receive()?;
        let container = self.container();
        Ok(if container.stopped { StopEvidence::Present } else { container.evidence })
    }

    async fn restart(&self, _: &ContainerId, _: Span) -> Result<(), Error> {
        self.receive()?;
        self.set(|container| container.calls.push("restart"));
        if self.container().refuses {
            return Err(refused("no space left"));
        }
        if self.container().refuses_half_way {
            self.set(|container| container.state = State::Exited);
            return Err(refused("the port is taken"));
        }
        self.begin_restart(Fate::Completes);
        if self.container().loses_answers {
            return Err(unreachable("connection reset"));
        }
        sleep(STOPPING + STARTING).await;
        Ok(())
    }

    async fn start(&self, _: &ContainerId) -> Result<(), Error> {
        self.receive()?;
        self.set(|container| container.calls.push("start"));
        sleep(STARTING).await;
        let now = self.now();
        self.set(|container| (container.state, container.started_at, container.restart) = (State::Running, now, None));
        Ok(())
    }
}

impl Clock for FakeEngine {
    fn now(&self) -> Timestamp {
        at(i64::try_from(self.began.elapsed().as_millis()).unwrap())
    }
}

const SHORT: NotDurable = NotDurable { wanted: Durability::Always, replicas: 0 };

fn intent(remedy: Remedy) -> Authorised {
    Authorised {
        remedy,
        target: Run { id: ID.parse().unwrap(), started_at: Some(at(-60_000)) }.into(),
        arguments: None,
        diagnosis: EventId::start(Partition(0)),
        limits: Limits::of_attempt(1, 3),
        stop_timeout: None,
        dry_run: false,
        policy: None,
        trigger: None,
    }
}

/// Executes with this permission to act.
async fn run_with(
    engine: &FakeEngine,
    intent: &Authorised,
    in_doubt: bool,
    may_act: impl Fn() -> Result<(), NotAllowed> + Sync,
) -> Result<ExecutionResult, Fault> {
    let may_act = || std::future::ready(may_act());
    let stale_after = Span::from_secs(600);
    let execution =
        RemedyExecution { engine, name: "api-1", intended_at: at(0), intent, stale_after, clock: engine, may_act };
    execution.run(in_doubt).await
}

async fn execute(engine: &FakeEngine, intent: &Authorised, in_doubt: bool) -> ExecutionResult {
    run_with(engine, intent, in_doubt, || Ok(())).await.unwrap()
}

fn proof(result: &ExecutionResult) -> Option<Proof> {
    match result {
        ExecutionResult::Done { proof, .. } => Some(*proof),
        ExecutionResult::Failed(_) | ExecutionResult::NotExecuted(_) => None,
    }
}

fn why(result: ExecutionResult) -> String {
    match result {
        ExecutionResult::Failed(why) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_reports_the_new_run_and_how_long_it_took() {
    let engine = FakeEngine::new();
    let result = execute(&engine, &intent(Remedy::Restart), false).await;
    let expected = ExecutionResult::Done {
        target: Some(Run { id: ID.parse().unwrap(), started_at: Some(at(2300)) }),
        called_at: Some(at(0)),
        took: Span::from_millis(2300),
        proof: Proof::Answered,
    };
    assert_eq!(result, expected);
}

/// The first process dies before or after its call; the second starts this many milliseconds later.
#[tokio::test(start_paused = true)]
async fn there_is_one_restart_whenever_the_first_process_dies() {
    for (begun, later) in
        [(false, 0), (false, 5_000), (true, 0), (true, 1), (true, 1_000), (true, 2_100), (true, 2_301), (true, 60_000)]
    {
        let engine = FakeEngine::new();
        if begun {
            engine.begin_restart(Fate::Completes);
        }
        sleep(Duration::from_millis(later)).await;
        let result = execute(&engine, &intent(Remedy::Restart), true).await;
        let container = engine.container();
        let (calls, expected): (&[&str], _) = if begun { (&[], Proof::Found) } else { (&["restart"], Proof::Answered) };
        assert_eq!(
            (proof(&result), container.calls.as_slice()),
            (Some(expected), calls),
            "begun {begun}, {later} ms later"
        );
        assert_eq!(container.state, State::Running);
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_that_stopped_half_way_is_finished_by_a_start() {
    let engine = FakeEngine::new();
    engine.begin_restart(Fate::StuckStopped);
    let result = execute(&engine, &intent(Remedy::Restart), true).await;
    assert_eq!((proof(&result), engine.container().calls.as_slice()), (Some(Proof::Answered), &["start"][..]));
}

#[tokio::test(start_paused = true)]
async fn without_evidence_an_earlier_call_is_waited_for() {
    let engine = FakeEngine::new();
    engine.set(|container| container.evidence = StopEvidence::Unknown);
    let began = Instant::now();
    let result = execute(&engine, &intent(Remedy::Restart), true).await;
    assert_eq!((proof(&result), engine.container().calls.as_slice()), (Some(Proof::Answered), &["restart"][..]));
    assert!(began.elapsed() >= Duration::from_secs(4) + MAX_CALL_OVERRUN);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_does_not_cause_a_second_restart() {
    let engine = FakeEngine::new();
    engine.set(|container| container.loses_answers = true);
    let result = execute(&engine, &intent(Remedy::Restart), false).await;
    assert_eq!((proof(&result), engine.container().calls.as_slice()), (Some(Proof::Found), &["restart"][..]));
    assert!(matches!(result, ExecutionResult::Done { called_at: Some(called), .. } if called == at(0)));
}

/// While the first read fails, nothing was called: what an operator does meanwhile is not ours.
#[tokio::test(start_paused = true)]
async fn a_failed_read_is_no_earlier_attempt() {
    type Change = fn(&mut FakeContainer);
    let cases: [(Change, &str); 2] = [
        (|c| c.started_at = at(100), "superseded: it has been restarted since it was diagnosed"),
        (|c| (c.stopped, c.state) = (true, State::Exited), "superseded: it has ended since it was diagnosed"),
    ];
    for (change, expected) in cases {
        let engine = FakeEngine::new();
        engine.set(|container| container.unreachable = true);
        let operator = async {
            sleep(Duration::from_millis(100)).await;
            engine.set(|container| container.unreachable = false);
            engine.set(change);
        };
        let intent = intent(Remedy::Restart);
        let (result, ()) = tokio::join!(execute(&engine, &intent, false), operator);
        assert_eq!(why(result), expected);
        assert!(engine.container().calls.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn retries_end_if_the_engine_never_answers() {
    let engine = FakeEngine::new();
    engine.set(|container| container.unreachable = true);
    let result = execute(&engine, &intent(Remedy::Restart), false).await;
    assert_eq!(why(result), "no Docker engine answers at here: connection refused; is it running?");
}

#[tokio::test(start_paused = true)]
async fn a_container_in_another_state_than_diagnosed_is_not_touched() {
    type Change = fn(&mut FakeContainer);
    let cases: [(Remedy, Change, &str); 8] = [
        (Remedy::Restart, |l| l.started_at = at(-1), "superseded: it has been restarted since it was diagnosed"),
        (Remedy::Restart, |l| l.state = State::Exited, "superseded: it has ended since it was diagnosed"),
        (Remedy::Restart, |l| l.state = State::Paused, "superseded: it was paused since it was diagnosed"),
        (Remedy::Restart, |l| l.gone = true, "superseded: the container is gone: it was removed or recreated"),
        (Remedy::Start, |l| l.started_at = at(-1), "superseded: it has been restarted since it was diagnosed"),
        (Remedy::Start, |_| {}, "superseded: it runs again"),
        (Remedy::Start, |l| l.state = State::Removing, "superseded: it is being removed"),
        (Remedy::Stop, |_| {}, "this responder cannot execute stop, only restart and start"),
    ];
    for (remedy, change, expected) in cases {
        let engine = FakeEngine::new();
        engine.set(change);
        assert_eq!(why(execute(&engine, &intent(remedy), false).await), expected);
        assert!(engine.container().calls.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_container_that_ended_is_started_once() {
    for (in_doubt, started_meanwhile) in [(false, false), (true, false), (true, true)] {
        let engine = FakeEngine::new();
        engine.set(|container| container.state = State::Exited);
        if started_meanwhile {
            engine.set(|container| (container.state, container.started_at) = (State::Exited, at(5)));
        }
        let result = execute(&engine, &intent(Remedy::Start), in_doubt).await;
        let (calls, expected): (&[&str], _) =
            if started_meanwhile { (&[], Proof::Found) } else { (&["start"], Proof::Answered) };
        assert_eq!((proof(&result), engine.container().calls.as_slice()), (Some(expected), calls));
    }
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_touches_nothing() {
    let engine = FakeEngine::new();
    let result = execute(&engine, &Authorised { dry_run: true, ..intent(Remedy::Restart) }, false).await;
    assert_eq!((proof(&result), engine.container().calls.len()), (Some(Proof::DryRun), 0));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_the_engine_is_reported() {
    let engine = FakeEngine::new();
    engine.set(|container| container.refuses = true);
    let result = execute(&engine, &intent(Remedy::Restart), false).await;
    assert_eq!(why(result), "the Docker engine at here refused to restart the container: no space left (status 500)");
}

#[tokio::test(start_paused = true)]
async fn without_the_lease_nothing_is_touched() {
    let engine = FakeEngine::new();
    let lost = || Err(NotAllowed::Fault(Fault::Retry(anyhow::anyhow!("the lease is lost"))));
    assert!(run_with(&engine, &intent(Remedy::Restart), false, lost).await.is_err());
    assert!(engine.container().calls.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_intent_that_is_not_durable_is_not_executed_but_an_earlier_execution_is_reported() {
    let not_durable = || Err(NotAllowed::NotDurable(SHORT));
    for in_doubt in [false, true] {
        let engine = FakeEngine::new();
        let result = run_with(&engine, &intent(Remedy::Restart), in_doubt, not_durable).await.unwrap();
        assert_eq!(result, ExecutionResult::NotExecuted(SHORT), "in doubt: {in_doubt}");
        assert!(engine.container().calls.is_empty());
    }
    let engine = FakeEngine::new();
    engine.begin_restart(Fate::Completes);
    let result = run_with(&engine, &intent(Remedy::Restart), true, not_durable).await.unwrap();
    assert_eq!((proof(&result), engine.container().calls.len()), (Some(Proof::Found), 0));
}

#[tokio::test(start_paused = true)]
async fn a_stale_intent_is_not_executed() {
    for in_doubt in [false, true] {
        let engine = FakeEngine::new();
        tokio::time::advance(Duration::from_secs(3600)).await;
        let result = execute(&engine, &intent(Remedy::Restart), in_doubt).await;
        let ExecutionResult::Failed(why) = result else { panic!("{result:?}") };
        assert_eq!(why, "superseded: the intent is 1 h old, more than 10 min");
        assert!(engine.container().calls.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_stale_intent_does_not_start_what_an_operator_stopped() {
    let engine = FakeEngine::new();
    engine.set(|container| (container.stopped, container.state) = (true, State::Exited));
    tokio::time::advance(Duration::from_secs(3600)).await;
    let result = execute(&engine, &intent(Remedy::Restart), true).await;
    assert!(matches!(&result, ExecutionResult::Failed(why) if why.contains("the intent is 1 h old")), "{result:?}");
    assert!(engine.container().calls.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_container_that_a_refused_restart_left_stopped_is_started() {
    let engine = FakeEngine::new();
    engine.set(|container| container.refuses_half_way = true);
    let result = execute(&engine, &intent(Remedy::Restart), false).await;
    assert_eq!(proof(&result), Some(Proof::Answered), "{result:?}");
    assert_eq!((engine.container().calls, engine.container().state), (vec!["restart", "start"], State::Running));
}

#[tokio::test(start_paused = true)]
async fn a_remedy_for_a_container_acts_on_nothing_else() {
    for (remedy, state) in [(Remedy::Restart, State::Running), (Remedy::Start, State::Exited)] {
        for target in [Target::Host, Target::Service(Service::Compose { project: "p".into(), service: "s".into() })] {
            let engine = FakeEngine::new();
            engine.set(|container| container.state = state);
            let expected = format!("{} acts on a container and nothing else", remedy.name());
            assert_eq!(why(execute(&engine, &Authorised { target, ..intent(remedy.clone()) }, false).await), expected);
            assert!(engine.container().calls.is_empty());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn of_all_remedies_only_restart_and_start_are_executed() {
    for kind in RemedyKind::ALL {
        let (remedy, state, expected) = match kind {
            RemedyKind::Restart => (Remedy::Restart, State::Running, Some("restart")),
            RemedyKind::Start => (Remedy::Start, State::Exited, Some("start")),
            RemedyKind::Stop => (Remedy::Stop, State::Running, None),
            RemedyKind::Scale => (Remedy::Scale, State::Running, None),
            RemedyKind::Cleanup => (Remedy::Cleanup, State::Running, None),
            RemedyKind::Exec => (Remedy::Exec { argv: vec!["true".into()] }, State::Running, None),
        };
        for (in_doubt, dry_run) in [(false, false), (true, false), (false, true)] {
            let engine = FakeEngine::new();
            engine.set(|container| container.state = state);
            let intent = Authorised { dry_run, ..intent(remedy.clone()) };
            let result = execute(&engine, &intent, in_doubt).await;
            match expected {
                Some(call) => {
                    let calls: &[&str] = if dry_run { &[] } else { &[call] };
                    assert!(proof(&result).is_some(), "{remedy:?}: {result:?}");
                    assert_eq!(engine.container().calls, calls, "{remedy:?}");
                }
                None => {
                    let name = remedy.name();
                    assert_eq!(why(result), format!("this responder cannot execute {name}, only restart and start"));
                    assert!(engine.container().calls.is_empty(), "{remedy:?}");
                }
            }
        }
    }
}
