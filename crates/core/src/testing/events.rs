//! Builders of facts and events. Time is a number of seconds, and ids are counted.

use hemostat_schema::{
    ByteCount, Confidence, Event, EventId, IncidentId, NewEvent, Partition, Percent, Span, Subject, Timestamp,
    action::Remedy,
    container::{Exit, ExitBy, Facts, Health, Limits, RestartPolicy, Run, State, Strain, Vitals},
    diagnosis::{Method, Reached, Verdict},
    examination::Examined,
    observation::{
        Cleared, Evidence, Exited, HealthChanged, Seen, Severity, Started, Symptom, SymptomCleared, SymptomRaised,
    },
};

use crate::policy::Policy;

/// This many seconds after the start of the test.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + seconds).expect("tests take place in this century")
}

/// The id of the `n`th event of a given history, counted from 1.
pub fn id(n: u64) -> EventId {
    EventId { partition: Partition(0), ms: n, seq: 0 }
}

/// The default policy, but a diagnosis does not wait for an examination: in most tests nothing examines.
pub fn policy() -> Policy {
    Policy { examine_within: Span::ZERO, ..Policy::default() }
}

/// The container that most tests are about.
pub fn subject() -> Subject {
    container("api")
}

/// A container of the tests' host.
pub fn container(name: &str) -> Subject {
    format!("host/{name}").parse().expect("a test's name is a container's name")
}

/// The tests' host.
pub fn host() -> Subject {
    Subject::host(subject().host)
}

/// The incident that begins at this second.
pub fn incident(second: i64) -> IncidentId {
    IncidentId::begun(&subject(), at(second))
}

/// The run of the container that began at this second.
pub fn run(second: i64) -> Run {
    Run { id: "0123456789abcdef".parse().expect("hexadecimal"), started_at: Some(at(second)) }
}

/// A running container with a health check that it passes, since second 0.
pub fn facts() -> Facts {
    Facts {
        id: run(0).id,
        image: "api:1".into(),
        image_id: "sha256:1".into(),
        created_at: at(-60),
        started_at: Some(at(0)),
        state: State::Running,
        health: Health::Healthy,
        exit: None,
        restart_policy: RestartPolicy::No,
        restarts: 0,
        stop_timeout: None,
        limits: Limits::default(),
        network_of: None,
        compose: None,
        swarm: None,
        labels: [].into(),
    }
}

/// [`facts`] with a label.
pub fn labelled(label: &str, value: &str) -> Facts {
    Facts { labels: [(label.to_owned(), value.to_owned())].into(), ..facts() }
}

/// An examination of this run without findings.
pub fn examined(target: Run) -> Examined {
    Examined {
        target,
        symptoms: vec![],
        checks: vec![],
        output: vec![],
        output_cut: false,
        exit: None,
        out_of_memory: false,
        processes: vec![],
        samples: vec![],
        changes: vec![],
        relatives: vec![],
        writable: None,
        disk: None,
        missing: vec![],
        redacted: 0,
        took: Span::ZERO,
    }
}

/// An event of [`subject`] at this second.
pub fn event(second: i64, event: impl Into<Event>) -> NewEvent {
    NewEvent::new(subject(), at(second), event)
}

/// An event of [`subject`] at this second, in the incident that began at second 10.
pub fn incident_event(second: i64, of: impl Into<Event>) -> NewEvent {
    event(second, of).in_incident(Some(incident(10)))
}

/// The container was seen.
pub fn seen(second: i64, facts: Facts) -> NewEvent {
    event(second, Seen { facts })
}

/// A run began.
pub fn started(second: i64) -> NewEvent {
    event(second, Started { target: run(second) })
}

/// A run ended.
pub fn exited(second: i64, target: Run, by: ExitBy) -> NewEvent {
    let code = if by == ExitBy::Crash { 1 } else { 137 };
    event(second, Exited { target, exit: Exit { at: at(second), code, by } })
}

/// The result of the health check changed.
pub fn health(second: i64, target: Run, to: Health) -> NewEvent {
    let from = if to == Health::Unhealthy { Health::Healthy } else { Health::Unhealthy };
    event(second, HealthChanged { target, from, to })
}

/// Resource use with this CPU and memory (in percent) and number of processes; everything else is zero.
pub fn vitals(cpu: f64, memory: f64, pids: u64) -> Vitals {
    let none = ByteCount(0);
    Vitals {
        cpu: Percent::clamped(cpu),
        memory: Percent::clamped(memory),
        memory_used: none,
        memory_limit: none,
        network_rx: none,
        network_tx: none,
        block_read: none,
        block_write: none,
        pids,
        pids_limit: None,
        strain: Strain::default(),
    }
}

/// A raised symptom of the incident that began at second 10.
pub fn raised(second: i64, symptom: Symptom, target: Run) -> NewEvent {
    let evidence = Evidence::Health { held: Span::ZERO };
    incident_event(second, SymptomRaised { symptom, severity: Severity::High, since: at(second), target, evidence })
}

/// A raised symptom of low severity, which belongs to no incident.
pub fn unusual(second: i64, symptom: Symptom, target: Run) -> NewEvent {
    let evidence = Evidence::Unusual { value: 60.0, expected: 5.0, deviation: 1.0, held: Span::from_secs(60) };
    event(second, SymptomRaised { symptom, severity: Severity::Low, since: at(second), target, evidence })
}

/// A cleared symptom of the incident that began at second 10.
pub fn cleared(second: i64, symptom: Symptom) -> NewEvent {
    incident_event(second, SymptomCleared { symptom, why: Cleared::Well, stood: Span::from_secs(1) })
}

/// A confident diagnosis that asks for a restart of an unhealthy container.
pub fn reached(target: Run) -> Reached {
    Reached {
        verdict: Verdict::Sick,
        symptoms: vec![Symptom::Unhealthy],
        target,
        root_cause: "its health check fails".into(),
        remedy: Some(Remedy::Restart),
        confidence: Confidence::clamped(0.9),
        method: Method::Rule { rule: "unhealthy".into() },
        why: "Docker says so".into(),
        examination: None,
        cites: vec![],
        usage: None,
        policy: None,
        trigger: None,
    }
}

/// A container that was seen (event 1), became unhealthy (2) and has the symptom (3), all by second 10.
pub fn unhealthy() -> Vec<NewEvent> {
    unhealthy_with(facts())
}

/// [`unhealthy`] with other facts.
pub fn unhealthy_with(facts: Facts) -> Vec<NewEvent> {
    vec![seen(0, facts), health(10, run(0), Health::Unhealthy), raised(10, Symptom::Unhealthy, run(0))]
}
