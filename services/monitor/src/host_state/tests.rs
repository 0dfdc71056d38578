//! Recorded sequences of Docker's events, and the observations that follow from them.

use hemostat_schema::{
    ByteCount, Event, Observation, Sample, Span,
    container::{Exit, Health, Limits, RestartPolicy},
    observation::Symptom,
};

use super::{inspections::RECHECK_DELAY, *};
use crate::{exit_cause, facts::Inspected};

mod ends;
mod measurements;
mod takeover;

const ID: &str = "ef1ff59165b9fed19d914ad5062fedf9a3d4b61300b5a0bb702fa6d29375851f";
const OTHER: &str = "5159c58bdfaa18c4530fc0a7ad2900069766b7f1b48f3d9065e494549e028a7d";

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_795_462_698_000 + ms).unwrap()
}

/// The inspection of a running container that started at this millisecond.
fn running(started: i64) -> Inspected {
    let facts = Facts {
        id: ID.parse().unwrap(),
        created_at: at(-60_000),
        started_at: Some(at(started)),
        ..hemostat_core::testing::facts()
    };
    let process = Some(MainProcess { pid: 7, in_host_network: false });
    Inspected { name: "api-1".parse().unwrap(), facts, stop_signal: 15, out_of_memory: false, process }
}

/// The same container, exited with `code`.
fn exited(started: i64, ended: i64, code: i64) -> Inspected {
    let base = running(started);
    let exit = Some(Exit { at: at(ended), code, by: exit_cause::infer_exit_cause(code, false, false) });
    Inspected { facts: Facts { state: Life::Exited, exit, ..base.facts }, process: None, ..base }
}

struct Fixture {
    state: HostState,
    requests: VecDeque<InspectRequest>,
    observations: Vec<Observation>,
    samples: Vec<Sample>,
}

impl Fixture {
    fn empty() -> Self {
        let policy = Arc::new(Policy::default());
        let state = HostState::new("host".parse().unwrap(), policy, None, EventOffset::default(), BTreeMap::new());
        Self { state, requests: VecDeque::new(), observations: vec![], samples: vec![] }
    }

    /// A host with one known running container.
    fn with_running_container() -> Self {
        let mut fixture = Self::empty();
        fixture.state.apply_list(&[ID.parse().unwrap()], 0, at(0));
        fixture.collect();
        fixture.answer_at(0, Some(running(0)));
        fixture.observations.clear();
        fixture
    }

    fn collect(&mut self) {
        let changes = self.state.take_changes();
        self.requests.extend(changes.inspections);
        for event in changes.events {
            match event.event {
                Event::Observation(observation) => self.observations.push(observation),
                Event::Sample(sample) => self.samples.push(sample),
                other => panic!("{other:?}"),
            }
        }
    }

    fn engine_event(&mut self, ms: i64, what: DockerEventKind) {
        self.docker_event_of(ID, "api-1", ms, what);
    }

    fn docker_event_of(&mut self, id: &str, name: &str, ms: i64, what: DockerEventKind) {
        let (id, name) = (id.parse().unwrap(), name.parse().unwrap());
        self.state.engine_event(DockerEvent { at: at(ms), id, name, what });
        self.collect();
    }

    /// From which millisecond on another process would read events.
    fn since(&self) -> Option<i64> {
        self.state.offset().since().map(|since| since.as_millisecond() - at(0).as_millisecond())
    }

    /// Another process that takes over from the checkpoint.
    fn take_over(&self) -> Self {
        let mut next = Self::empty();
        let (offset, states) = (self.state.offset().clone(), self.state.states.clone());
        next.state = HostState::new("host".parse().unwrap(), Arc::new(Policy::default()), None, offset, states);
        next
    }

    /// Answers the oldest request.
    fn answer(&mut self, answer: Option<Inspected>) {
        self.answer_at(100_000, answer);
    }

    fn answer_at(&mut self, ms: i64, answer: Option<Inspected>) {
        let request = self.requests.pop_front().expect("an inspection was requested");
        self.state.apply_inspection(&request, answer, at(ms));
        self.collect();
    }

    /// The names of the observations, and who ended the runs.
    fn summary(&self) -> Vec<String> {
        let line = |observation: &Observation| match observation {
            Observation::Exited(exited) => format!("exited {} {:?}", exited.exit.code, exited.exit.by),
            Observation::SymptomRaised(raised) => format!("raised {}", raised.symptom),
            other => other.name().to_owned(),
        };
        self.observations.iter().map(line).collect()
    }
}

fn signal(signal: i32) -> DockerEventKind {
    DockerEventKind::Signalled { signal }
}

fn died(code: i64) -> DockerEventKind {
    DockerEventKind::Died { code }
}

#[test]
fn a_container_is_seen_once_however_often_it_is_listed() {
    let mut fixture = Fixture::empty();
    for _ in 0..3 {
        fixture.state.apply_list(&[ID.parse().unwrap()], fixture.state.list_sequence(), at(0));
        fixture.collect();
        fixture.answer(Some(running(0)));
    }
    assert_eq!(fixture.summary(), ["seen"]);
}

#[test]
fn a_health_change_is_applied_at_once() {
    let mut fixture = Fixture::with_running_container();
    fixture.engine_event(5, DockerEventKind::Health(Health::Unhealthy));
    assert_eq!(fixture.summary(), ["health_changed", "raised unhealthy"]);
    assert!(fixture.requests.is_empty());
    assert_eq!(fixture.since(), Some(5));
}

#[test]
fn an_oom_kill_of_a_child_is_reported_unless_the_run_ends_with_it() {
    let mut fixture = Fixture::with_running_container();
    fixture.engine_event(10, DockerEventKind::OutOfMemory);
    assert_eq!(fixture.state.next_timer(), Some(at(2_010)));
    fixture.state.fire_due_timers(at(2_010));
    fixture.collect();
    assert_eq!(fixture.summary(), ["raised oom child"]);

    // It ends the run, however long the inspection takes.
    let mut fixture = Fixture::with_running_container();
    fixture.engine_event(10, DockerEventKind::OutOfMemory);
    fixture.engine_event(20, died(137));
    assert_eq!(fixture.summary(), ["exited 137 Oom", "raised oom killed"]);
    fixture.state.fire_due_timers(at(20_000));
    fixture.collect();
    fixture.answer(Some(exited(0, 20, 137)));
    assert_eq!(fixture.summary(), ["exited 137 Oom", "raised oom killed"]);
}

#[test]
fn timers_do_not_fire_while_an_inspection_is_awaited() {
    let mut fixture = Fixture::with_running_container();
    fixture.engine_event(10, DockerEventKind::OutOfMemory);
    fixture.engine_event(20, DockerEventKind::Changed);
    assert_eq!(fixture.state.next_timer(), None);
    fixture.state.fire_due_timers(at(20_000));
    fixture.collect();
    assert_eq!(fixture.summary(), [""; 0]);
    fixture.answer(Some(running(0)));
    assert_eq!(fixture.state.next_timer(), Some(at(2_010)));
}

#[test]
fn events_queue_behind_an_inspection_of_their_own_container_only() {
    let mut fixture = Fixture::with_running_container();
    fixture.docker_event_of(OTHER, "db-1", 0, DockerEventKind::Created);
    let other = Facts { id: OTHER.parse().unwrap(), ..running(0).facts };
    fixture.answer(Some(Inspected { name: "db-1".parse().unwrap(), facts: other, ..running(0) }));
    fixture.observations.clear();

    fixture.engine_event(10, died(3));
    fixture.engine_event(20, DockerEventKind::Started);
    fixture.engine_event(30, DockerEventKind::Health(Health::Unhealthy));
    assert_eq!(fixture.summary(), ["exited 3 Crash", "raised exited"], "the run that ended is known");
    assert_eq!(fixture.since(), Some(10), "an event that waits must be read again after a crash");
    fixture.observations.clear();
    fixture.docker_event_of(OTHER, "db-1", 40, DockerEventKind::Health(Health::Unhealthy));
    assert_eq!(fixture.summary(), ["health_changed", "raised unhealthy"]);
    fixture.observations.clear();

    fixture.answer(Some(running(19)));
    fixture.answer(Some(running(19)));
    assert_eq!(fixture.summary(), ["started", "health_changed", "raised unhealthy"]);
    assert_eq!(fixture.since(), Some(40));
}

#[test]
fn a_container_that_is_no_longer_listed_was_removed() {
    let mut fixture = Fixture::with_running_container();
    fixture.state.apply_list(&[], fixture.state.list_sequence(), at(10));
    fixture.collect();
    assert_eq!(fixture.summary(), ["removed"]);
    // Except one with an event after the list was requested.
    let mut fixture = Fixture::with_running_container();
    let mark = fixture.state.list_sequence();
    fixture.engine_event(5, DockerEventKind::Health(Health::Starting));
    fixture.state.apply_list(&[], mark, at(10));
    fixture.collect();
    assert_eq!(fixture.summary(), ["health_changed"]);
}

#[test]
fn a_renamed_container_is_removed_under_its_old_name() {
    let mut fixture = Fixture::with_running_container();
    fixture.docker_event_of(ID, "api-2", 10, DockerEventKind::Changed);
    fixture.answer(Some(Inspected { name: "api-2".parse().unwrap(), ..running(0) }));
    assert_eq!(fixture.summary(), ["removed", "seen"]);
    fixture.docker_event_of(ID, "api-2", 20, DockerEventKind::Paused);
    assert_eq!(fixture.summary(), ["removed", "seen", "paused"]);
}

#[test]
fn a_recreated_container_continues_under_its_name() {
    let mut fixture = Fixture::with_running_container();
    // As Compose does: rename the old one, create the new one, stop and remove the old one.
    fixture.docker_event_of(ID, "old_api-1", 10, DockerEventKind::Changed);
    fixture.answer(Some(Inspected { name: "old_api-1".parse().unwrap(), ..running(0) }));
    fixture.docker_event_of(OTHER, "api-1", 20, DockerEventKind::Created);
    let next = Facts { id: OTHER.parse().unwrap(), ..running(15).facts };
    fixture.answer(Some(Inspected { facts: next, ..running(15) }));
    fixture.observations.clear();
    fixture.docker_event_of(ID, "old_api-1", 30, signal(15));
    fixture.docker_event_of(ID, "old_api-1", 40, died(0));
    fixture.answer(Some(Inspected { name: "old_api-1".parse().unwrap(), ..exited(0, 40, 0) }));
    fixture.docker_event_of(ID, "old_api-1", 50, DockerEventKind::Destroyed);
    assert_eq!(fixture.summary(), ["exited 0 Operator", "removed"]);
    let names: Vec<_> = fixture.state.states.keys().map(ToString::to_string).collect();
    assert!(names.contains(&"api-1".to_owned()), "{names:?}");
}

#[test]
fn the_engine_status_is_reported_once_per_change() {
    let mut fixture = Fixture::empty();
    let engine = EngineFound { version: "20.10".into(), api_version: "1.41".into(), cpus: 2, memory: ByteCount(1) };
    let about = EngineInfo { engine, now: at(0), root: None };
    fixture.state.engine_found(&about, at(0));
    fixture.state.engine_found(&about, at(1));
    fixture.state.engine_lost("connection refused", at(2));
    fixture.state.engine_lost("connection refused", at(3));
    fixture.state.engine_found(&about, at(4));
    fixture.collect();
    assert_eq!(fixture.summary(), ["engine_found", "engine_lost", "engine_found"]);
}

#[test]
fn a_symptom_is_cleared_after_its_clear_time() {
    let mut fixture = Fixture::with_running_container();
    fixture.engine_event(1_000, DockerEventKind::Health(Health::Unhealthy));
    fixture.engine_event(2_000, DockerEventKind::Health(Health::Healthy));
    let due = fixture.state.next_timer().expect("it is cleared after a while");
    assert_eq!(due, Policy::default().clear_after.after(at(2_000)));
    fixture.state.fire_due_timers(Span::from_millis(1).before(due));
    fixture.collect();
    assert_eq!(fixture.summary().len(), 3);
    fixture.state.fire_due_timers(due);
    fixture.collect();
    assert_eq!(fixture.summary()[3], "symptom_cleared");
    assert_eq!(fixture.state.next_timer(), None);
    assert!(fixture.state.states.values().all(|state| !state.active_symptoms().contains_key(&Symptom::Unhealthy)));
}
