//! A container as the API shows it: its state, and why HemoStat heals it or does not.

use hemostat_core::{
    Policy, policy,
    views::{
        breaker, containers, cooldown,
        metrics::{Figure, Reading},
        timeline,
    },
};
use hemostat_schema::{Span, Subject, container::RestartPolicy};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    enums::{ContainerState, ExitBy, Health, Mode, Remedy, Severity, Symptom},
    metrics::{instant, shown},
    treatment::{Action, Attention, Breaker, Cooldown, Diagnosis},
};

/// Containers.
#[derive(Debug, Serialize, ToSchema)]
pub struct Containers {
    /// The containers, sorted by key.
    pub containers: Vec<Container>,
}

/// A container: its state, and why HemoStat heals it or does not.
#[derive(Debug, Serialize, ToSchema)]
pub struct Container {
    /// `host/name`.
    #[schema(example = "docker-1/api-1")]
    pub key: String,
    /// Its Docker host.
    pub host: String,
    /// Its name.
    pub name: String,
    /// Docker's id of the container that has this name at present.
    pub id: String,
    /// Its image, as it was requested.
    #[schema(example = "nginx:1.27")]
    pub image: String,
    /// Its life cycle state.
    pub state: ContainerState,
    /// When it entered `state`.
    pub since: Timestamp,
    /// The result of its health check.
    pub health: Health,
    /// When its current or last run began.
    pub started_at: Option<Timestamp>,
    /// How its last run ended; null while it runs.
    pub exit: Option<Exit>,
    /// Docker's restart policy, in Docker's notation.
    #[schema(example = "on-failure:3")]
    pub restart_policy: String,
    /// How often Docker has restarted it by that policy.
    pub restarts: u32,
    /// Its Compose service, as `project/service`.
    pub compose: Option<String>,
    /// The Swarm service that schedules it.
    pub swarm: Option<String>,
    /// Its last measured resource usage; null unless it runs and is measured.
    pub vitals: Option<Vitals>,
    /// Its active symptoms.
    pub symptoms: Vec<ActiveSymptom>,
    /// Its open incident.
    pub incident: Option<String>,
    /// The last diagnosis, possibly of an earlier incident.
    pub diagnosis: Option<Diagnosis>,
    /// The last authorised remedy, possibly of an earlier incident, and its outcome.
    pub action: Option<Action>,
    /// Why HemoStat heals it or does not.
    pub attention: Attention,
    /// The policy for it: from its labels, or else from this process' configuration.
    pub care: ContainerPolicy,
    /// Counters since it was first seen.
    pub counters: Counters,
    /// When it was removed. It is listed until its pending actions have ended.
    pub removed: Option<Timestamp>,
}

/// A container with everything that affects its treatment.
#[derive(Debug, Serialize, ToSchema)]
pub struct ContainerDetail {
    #[serde(flatten)]
    #[schema(inline)]
    container: Container,
    /// The cooldown after its last incident: HemoStat does not act on a new one before it ends.
    cooldown: Option<Cooldown>,
    /// Its circuit breaker.
    breaker: Breaker,
    /// Its recent history, the oldest first.
    timeline: Vec<TimelineEntry>,
}

/// How a run ended.
#[derive(Debug, Serialize, ToSchema)]
pub struct Exit {
    /// When.
    at: Timestamp,
    /// The exit code; 128 + n for signal n.
    code: i64,
    /// What ended it.
    by: ExitBy,
}

/// The resource usage of a container at one time.
#[derive(Debug, Serialize, ToSchema)]
pub struct Vitals {
    /// When.
    at: Timestamp,
    /// If nothing changes, it is measured again until then.
    holds_until: Timestamp,
    /// CPU, in percent of its limit or of the host.
    #[schema(minimum = 0, maximum = 100)]
    cpu_percent: f64,
    /// Memory without page cache, in percent of its limit or of the host.
    #[schema(minimum = 0, maximum = 100)]
    memory_percent: f64,
    /// Memory without page cache, in bytes.
    memory_bytes: u64,
    /// 100 percent of `memory_percent`, in bytes.
    memory_limit_bytes: u64,
    /// Number of processes and threads.
    pids: u64,
}

/// An active symptom.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Standing)]
pub struct ActiveSymptom {
    /// The symptom.
    symptom: Symptom,
    /// Its severity.
    severity: Severity,
    /// When it was raised.
    since: Timestamp,
}

/// The policy for a container.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CareFor)]
pub struct ContainerPolicy {
    /// What HemoStat may do; null if HemoStat is disabled for it.
    mode: Option<Mode>,
    /// Why HemoStat never touches it; null if it is not protected.
    protected: Option<String>,
    /// The allowed remedies.
    #[schema(example = json!(["restart", "start"]))]
    actions: Vec<Remedy>,
    /// Maximum attempts in the rolling window.
    max_retries: u32,
    /// How long HemoStat waits after an incident before it acts on a new one, in milliseconds.
    cooldown_ms: u64,
    /// Whether it is in maintenance.
    maintenance: bool,
    /// Invalid labels, each with what would be valid.
    label_faults: Vec<String>,
}

/// Counters since a container was first seen.
#[derive(Debug, Serialize, ToSchema)]
pub struct Counters {
    /// Incidents.
    incidents: u64,
    /// Authorised remedies.
    attempts: u64,
    /// Remedies after which it recovered.
    recovered: u64,
    /// Refused remedies, counted once per change of the reason.
    refused: u64,
    /// Starts.
    starts: u64,
}

/// An event in one sentence.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Line)]
pub struct TimelineEntry {
    /// The event's id.
    id: String,
    /// When.
    at: Timestamp,
    /// The incident that it belongs to.
    incident: Option<String>,
    /// What happened.
    #[schema(example = "api-1 turned unhealthy")]
    line: String,
}

impl Container {
    /// From the read model's row of `subject`.
    pub fn new(subject: &Subject, row: &containers::Row, held: Option<&Reading>, policy: &Policy) -> Self {
        let facts = &row.facts;
        Self {
            key: subject.to_string(),
            host: subject.host.to_string(),
            name: subject.short().to_owned(),
            id: facts.id.to_string(),
            image: facts.image.clone(),
            state: ContainerState(facts.state),
            since: row.since,
            health: Health(facts.health),
            started_at: facts.started_at,
            exit: facts.exit.map(|exit| Exit { at: exit.at, code: exit.code, by: ExitBy(exit.by) }),
            restart_policy: restart_policy(facts.restart_policy),
            restarts: facts.restarts,
            compose: facts.compose.as_ref().map(|of| format!("{}/{}", of.project, of.service)),
            swarm: facts.swarm.as_ref().map(|of| of.service.clone()),
            vitals: held.map(Vitals::from),
            symptoms: row
                .symptoms
                .iter()
                .map(|active| ActiveSymptom {
                    symptom: Symptom(active.symptom),
                    severity: Severity(active.severity),
                    since: active.since,
                })
                .collect(),
            incident: row.incident.as_ref().map(ToString::to_string),
            diagnosis: row.diagnosis.as_ref().map(Diagnosis::from),
            action: row.action.as_ref().map(Action::from),
            attention: Attention::from(&row.attention()),
            care: ContainerPolicy::new(&policy.for_container(facts), policy.protection(subject.short(), facts)),
            counters: Counters {
                incidents: row.counters.incidents,
                attempts: row.counters.attempts,
                recovered: row.counters.recovered,
                refused: row.counters.refused,
                starts: row.counters.starts,
            },
            removed: row.removed,
        }
    }
}

impl From<&Reading> for Vitals {
    fn from(Reading { at, until, figures }: &Reading) -> Self {
        let figure = |figure| figures.get(&figure).copied().unwrap_or_default();
        let share = |of| shown(of, figure(of));
        Self {
            at: instant(*at),
            holds_until: instant(*until),
            cpu_percent: share(Figure::Cpu),
            memory_percent: share(Figure::Memory),
            memory_bytes: figure(Figure::MemoryBytes),
            memory_limit_bytes: figure(Figure::MemoryLimit),
            pids: figure(Figure::Pids),
        }
    }
}

impl ContainerDetail {
    /// A container with its rows in the other views.
    pub fn new(
        container: Container,
        cooldown: Option<cooldown::Row>,
        breaker: Option<breaker::Row>,
        timeline: Option<timeline::Row>,
    ) -> Self {
        let length = Span::from_millis(container.care.cooldown_ms);
        let cooldown = cooldown.map(|row| Cooldown::new(&row, length));
        let breaker = Breaker::from(breaker.as_ref());
        let entry = |line: timeline::Line| TimelineEntry {
            id: line.id.to_string(),
            at: line.at,
            incident: line.incident.map(|incident| incident.to_string()),
            line: line.text,
        };
        let timeline = timeline.map(|row| row.lines.into_iter().map(entry).collect()).unwrap_or_default();
        Self { container, cooldown, breaker, timeline }
    }
}

impl ContainerPolicy {
    fn new(policy: &policy::ContainerPolicy, protected: Option<String>) -> Self {
        Self {
            mode: policy.enabled.then_some(Mode(policy.mode)),
            protected,
            actions: policy.remedies.iter().copied().map(Remedy).collect(),
            max_retries: policy.max_attempts,
            cooldown_ms: policy.cooldown.as_millis(),
            maintenance: policy.maintenance,
            label_faults: policy.faults.clone(),
        }
    }
}

/// In Docker's notation.
fn restart_policy(policy: RestartPolicy) -> String {
    match policy {
        RestartPolicy::No => "no".into(),
        RestartPolicy::Always => "always".into(),
        RestartPolicy::UnlessStopped => "unless-stopped".into(),
        RestartPolicy::OnFailure { max: 0 } => "on-failure".into(),
        RestartPolicy::OnFailure { max } => format!("on-failure:{max}"),
    }
}
