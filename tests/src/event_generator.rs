//! Generates the events of a busy host, deterministic by number: mostly samples, now and then an incident. An entry on
//! the log has about 250 bytes.

use hemostat_schema::{
    ByteCount, Cause, Confidence, Event, IncidentId, NewEvent, Percent, Span, Subject, Timestamp, TraceParent,
    action::{Refusal, Refused, Remedy},
    container::{Facts, Health, Limits, RestartPolicy, Run, State, Vitals},
    diagnosis::{Method, Reached, Verdict},
    observation::{Cleared, Evidence, Seen, Severity, Symptom, SymptomCleared, SymptomRaised, Trend},
    sample::Container,
};

/// Generates the events of one host.
#[derive(Debug, Clone)]
pub struct EventGenerator {
    host: String,
    containers: usize,
}

/// Length of the cycle of events; the last three of a cycle belong to an incident.
const CYCLE: usize = 25;

impl EventGenerator {
    /// A host of this name with this number of containers.
    pub fn new(host: &str, containers: usize) -> Self {
        Self { host: host.to_owned(), containers }
    }

    /// The subject of one of its containers.
    pub fn subject(&self, container: usize) -> Subject {
        let text = format!("{}/shop-api-{:02}", self.host, container % self.containers);
        text.parse().expect("it is a container's key")
    }

    /// The first sighting of every container.
    pub fn seen(&self) -> Vec<NewEvent> {
        (0..self.containers).map(|container| self.event(container, 0, Seen { facts: facts(container) })).collect()
    }

    /// The `n`-th batch of `size` events; causes are events of the same batch.
    pub fn batch(&self, n: usize, size: usize) -> Vec<NewEvent> {
        (0..size).map(|index| self.nth(n, index, n * size + index)).collect()
    }

    fn nth(&self, batch: usize, index: usize, number: usize) -> NewEvent {
        let container = number / CYCLE;
        match (index % CYCLE, batch % 2) {
            (22, 0) => self.in_incident(container, number, raised(container, number)),
            (23, 0) => self.in_incident(container, number, reached(container)).caused_by(Cause::Sibling(index - 1)),
            (24, 0) => self.in_incident(container, number, refused(number)).caused_by(Cause::Sibling(index - 1)),
            (22, _) => self.in_incident(
                container,
                number,
                SymptomCleared { symptom: Symptom::MemoryHigh, why: Cleared::Well, stood: Span::from_secs(95) },
            ),
            _ => self.event(number, number, Container { vitals: vitals(number), holds: Span::ZERO }),
        }
    }

    /// An event of an incident.
    fn in_incident(&self, container: usize, number: usize, event: impl Into<Event>) -> NewEvent {
        let incident = IncidentId::begun(&self.subject(container), at(container * 60_000));
        self.event(container, number, event).in_incident(Some(incident))
    }

    fn event(&self, container: usize, number: usize, event: impl Into<Event>) -> NewEvent {
        NewEvent { trace: Some(trace(number)), ..NewEvent::new(self.subject(container), at(number), event) }
    }
}

/// The time `ms` milliseconds into 2026.
fn at(ms: usize) -> Timestamp {
    let ms = i64::try_from(ms).expect("there are not so many events");
    Timestamp::from_millisecond(1_767_225_600_000 + ms).expect("it is an instant of this millennium")
}

/// Random, like real ones: Lua hashes only some bytes of a long string, so similar strings would collide.
fn trace(number: usize) -> TraceParent {
    let mut chance = fastrand::Rng::with_seed(number as u64);
    let text = format!("00-{:032x}-{:016x}-01", chance.u128(1..), chance.u64(1..));
    text.parse().expect("it is a trace parent")
}

pub(crate) fn target(container: usize) -> Run {
    let id = format!("{container:064x}").parse().expect("it is a container's id");
    Run { id, started_at: Some(at(0)) }
}

pub(crate) fn facts(container: usize) -> Facts {
    Facts {
        id: target(container).id,
        image: "registry.example/shop/api:1.4".into(),
        image_id: format!("sha256:{container:064x}"),
        created_at: at(0),
        started_at: Some(at(0)),
        state: State::Running,
        health: Health::Healthy,
        exit: None,
        restart_policy: RestartPolicy::UnlessStopped,
        restarts: 0,
        stop_timeout: None,
        limits: Limits { cpus: Some(0.5), memory: Some(ByteCount(1 << 29)) },
        network_of: None,
        compose: None,
        swarm: None,
        labels: [].into(),
    }
}

/// Vitals that contain the event's number, so that each event is distinguishable.
pub(crate) fn vitals(number: usize) -> Vitals {
    let number = number as u64;
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let share = |of: u64| Percent::clamped((number % of) as f64 * 0.7);
    Vitals {
        cpu: share(101),
        memory: share(97),
        memory_used: ByteCount(50_331_648 + number % 4096),
        memory_limit: ByteCount(1 << 29),
        network_rx: ByteCount(number),
        network_tx: ByteCount(number * 3),
        block_read: ByteCount(1_617_920),
        block_write: ByteCount(number % 7),
        pids: 5 + number % 11,
        pids_limit: None,
        strain: hemostat_schema::container::Strain::default(),
    }
}

fn raised(container: usize, number: usize) -> SymptomRaised {
    SymptomRaised {
        symptom: Symptom::MemoryHigh,
        severity: Severity::High,
        since: at(number),
        target: target(container),
        evidence: Evidence::Level {
            value: Percent::clamped(91.5),
            threshold: Percent::clamped(80.0),
            held: Span::from_secs(65),
            trend: Trend::Rising,
        },
    }
}

fn reached(container: usize) -> Reached {
    Reached {
        verdict: Verdict::Sick,
        symptoms: vec![Symptom::MemoryHigh],
        target: target(container),
        root_cause: "it uses more and more memory".into(),
        remedy: Some(Remedy::Restart),
        confidence: Confidence::clamped(0.8),
        method: Method::Rule { rule: "memory_leak".into() },
        why: "91.5 % for 65 s, and rising".into(),
        examination: None,
        cites: vec![],
        usage: None,
        policy: None,
        trigger: None,
    }
}

fn refused(number: usize) -> Refused {
    let diagnosis = hemostat_schema::EventId {
        partition: hemostat_schema::Partition(0),
        ms: 1_767_225_600_000,
        seq: number as u64,
    };
    Refused {
        remedy: Remedy::Restart,
        diagnosis,
        refusal: Refusal::CoolingDown { until: at(number + 3_600_000) },
        policy: None,
        trigger: None,
    }
}
