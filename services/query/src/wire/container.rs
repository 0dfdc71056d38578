//! A container as the API shows it: how it is, and why it is, or is not, being healed.

use hemostat_core::{
    Policy,
    policy::Care,
    view::{breaker, containers, cooldown, timeline},
};
use hemostat_schema::{Span, Subject, container::RestartPolicy};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    treatment::{Action, Attention, Breaker, Cooldown, Diagnosis},
    words,
};

/// All containers that were asked for.
#[derive(Debug, Serialize, ToSchema)]
pub struct Containers {
    /// By key.
    pub containers: Vec<Container>,
}

/// A container: how it is, and why it is, or is not, being healed.
#[derive(Debug, Serialize, ToSchema)]
pub struct Container {
    /// `host/name`.
    #[schema(example = "docker-1/api-1")]
    pub key: String,
    /// Its Docker host.
    pub host: String,
    /// Its name.
    pub name: String,
    /// Docker's id of the one that carries the name at present.
    pub id: String,
    /// Its image, as it was asked for.
    #[schema(example = "nginx:1.27")]
    pub image: String,
    /// Its life cycle: created, running, paused, restarting, removing, exited or dead.
    #[schema(value_type = String, example = "running")]
    pub state: &'static str,
    /// Since when `state` holds.
    pub since: Timestamp,
    /// What its health check says: none, starting, healthy or unhealthy.
    #[schema(value_type = String, example = "healthy")]
    pub health: &'static str,
    /// When its present (or last) run began.
    pub started_at: Option<Timestamp>,
    /// How its last run ended; none while it runs.
    pub exit: Option<Exit>,
    /// Docker's own restart policy, as Docker writes it.
    #[schema(example = "on-failure:3")]
    pub restart_policy: String,
    /// How often Docker has restarted it by that policy.
    pub restarts: u32,
    /// The Compose service that it is a container of, as `project/service`.
    pub compose: Option<String>,
    /// The Swarm service that schedules it.
    pub swarm: Option<String>,
    /// What it used last.
    pub vitals: Option<Vitals>,
    /// The symptoms that stand.
    pub symptoms: Vec<Standing>,
    /// The illness that it is going through.
    pub incident: Option<String>,
    /// The last conclusion about it, also of an earlier illness.
    pub diagnosis: Option<Diagnosis>,
    /// The last remedy that was authorised, also in an earlier illness, and what came of it.
    pub action: Option<Action>,
    /// Why it is, or is not, being healed.
    pub attention: Attention,
    /// How HemoStat is told to care for it: by its labels, where they say something, else by this process' configuration.
    pub care: CareFor,
    /// What has been counted since it was first seen.
    pub counters: Counters,
    /// When it was removed, while something about it is still awaited.
    pub removed: Option<Timestamp>,
}

/// A container with everything that bears on its treatment.
#[derive(Debug, Serialize, ToSchema)]
pub struct ContainerDetail {
    #[serde(flatten)]
    #[schema(inline)]
    container: Container,
    /// The rest after its last illness: a new one is not acted on before it ends.
    cooldown: Option<Cooldown>,
    /// Whether HemoStat goes on trying.
    breaker: Breaker,
    /// What happened to it lately, the oldest first.
    timeline: Vec<Line>,
}

/// How a run ended.
#[derive(Debug, Serialize, ToSchema)]
pub struct Exit {
    /// When.
    at: Timestamp,
    /// The exit code; 128 + n for signal n.
    code: i64,
    /// Who ended it: itself, crash, oom, operator or unknown.
    #[schema(value_type = String, example = "crash")]
    by: &'static str,
}

/// What a container used at one instant.
#[derive(Debug, Serialize, ToSchema)]
pub struct Vitals {
    /// When.
    at: Timestamp,
    /// CPU, in per cent of its limit or of the host.
    #[schema(minimum = 0, maximum = 100)]
    cpu_percent: f64,
    /// Memory without page cache, in per cent of its limit or of the host.
    #[schema(minimum = 0, maximum = 100)]
    memory_percent: f64,
    /// Memory without page cache.
    memory_bytes: u64,
    /// What `memory_percent` is a share of.
    memory_limit_bytes: u64,
    /// Processes and threads.
    pids: u64,
}

/// A symptom that stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct Standing {
    /// Which: unhealthy, exited, oom_killed, restart_loop, cpu_high or memory_high.
    #[schema(value_type = String, example = "unhealthy")]
    symptom: &'static str,
    /// high or critical.
    #[schema(value_type = String, example = "high")]
    severity: &'static str,
    /// Since when.
    since: Timestamp,
}

/// How HemoStat is told to care for a container.
#[derive(Debug, Serialize, ToSchema)]
pub struct CareFor {
    /// How far it may go: observe, approve or auto; none where it does nothing at all.
    #[schema(value_type = Option<String>, example = "auto")]
    mode: Option<&'static str>,
    /// Why it is never touched, where that is so.
    protected: Option<String>,
    /// What it may do.
    #[schema(value_type = Vec<String>, example = json!(["restart", "start"]))]
    actions: Vec<&'static str>,
    /// Attempts in the rolling hour.
    max_retries: u32,
    /// How long after an illness a new one is not acted on.
    cooldown_ms: u64,
    /// An operator works on it.
    maintenance: bool,
    /// Labels that cannot be read, each with what would be right.
    label_faults: Vec<String>,
}

/// What has been counted since a container was first seen.
#[derive(Debug, Serialize, ToSchema)]
pub struct Counters {
    /// Illnesses.
    incidents: u64,
    /// Remedies that were authorised.
    attempts: u64,
    /// Remedies that helped.
    recovered: u64,
    /// Remedies that were refused, once for each change of the reason.
    refused: u64,
    /// Runs that began.
    starts: u64,
}

/// An event in a line.
#[derive(Debug, Serialize, ToSchema)]
pub struct Line {
    /// The event.
    id: String,
    /// When.
    at: Timestamp,
    /// The illness that it is part of.
    incident: Option<String>,
    /// What happened.
    #[schema(example = "api-1 turned unhealthy")]
    line: String,
}

impl Container {
    /// What `row` says of `subject`, cared for by `policy`.
    pub fn new(subject: &Subject, row: &containers::Row, policy: &Policy) -> Self {
        let facts = &row.facts;
        Self {
            key: subject.to_string(),
            host: subject.host.to_string(),
            name: subject.short().to_owned(),
            id: facts.id.to_string(),
            image: facts.image.clone(),
            state: words::state(facts.state),
            since: row.since,
            health: words::health(facts.health),
            started_at: facts.started_at,
            exit: facts.exit.map(|exit| Exit { at: exit.at, code: exit.code, by: words::exit_by(exit.by) }),
            restart_policy: restart_policy(facts.restart_policy),
            restarts: facts.restarts,
            compose: facts.compose.as_ref().map(|of| format!("{}/{}", of.project, of.service)),
            swarm: facts.swarm.as_ref().map(|of| of.service.clone()),
            vitals: row.vitals.map(|(at, vitals)| Vitals {
                at,
                cpu_percent: vitals.cpu.get(),
                memory_percent: vitals.memory.get(),
                memory_bytes: vitals.memory_used.0,
                memory_limit_bytes: vitals.memory_limit.0,
                pids: vitals.pids,
            }),
            symptoms: row
                .symptoms
                .iter()
                .map(|standing| Standing {
                    symptom: words::symptom(standing.symptom),
                    severity: words::severity(standing.severity),
                    since: standing.since,
                })
                .collect(),
            incident: row.incident.as_ref().map(ToString::to_string),
            diagnosis: row.diagnosis.as_ref().map(Diagnosis::from),
            action: row.action.as_ref().map(Action::from),
            attention: Attention::from(&row.attention()),
            care: CareFor::new(&policy.care_of(facts), policy.protection(subject.short(), facts)),
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

impl ContainerDetail {
    /// A container with what the other views say of it.
    pub fn new(
        container: Container,
        cooldown: Option<cooldown::Row>,
        breaker: Option<breaker::Row>,
        timeline: Option<timeline::Row>,
    ) -> Self {
        let length = Span::from_millis(container.care.cooldown_ms);
        let cooldown = cooldown.map(|row| Cooldown::new(&row, length));
        let breaker = Breaker::from(breaker.as_ref());
        let line = |line: timeline::Line| Line {
            id: line.id.to_string(),
            at: line.at,
            incident: line.incident.map(|incident| incident.to_string()),
            line: line.text,
        };
        let timeline = timeline.map(|row| row.lines.into_iter().map(line).collect()).unwrap_or_default();
        Self { container, cooldown, breaker, timeline }
    }
}

impl CareFor {
    fn new(care: &Care, protected: Option<String>) -> Self {
        Self {
            mode: care.enabled.then_some(words::mode(care.mode)),
            protected,
            actions: care.remedies.iter().map(|remedy| words::allowed(*remedy)).collect(),
            max_retries: care.max_retries,
            cooldown_ms: care.cooldown.as_millis(),
            maintenance: care.maintenance,
            label_faults: care.faults.clone(),
        }
    }
}

/// As Docker writes it.
fn restart_policy(policy: RestartPolicy) -> String {
    match policy {
        RestartPolicy::No => "no".into(),
        RestartPolicy::Always => "always".into(),
        RestartPolicy::UnlessStopped => "unless-stopped".into(),
        RestartPolicy::OnFailure { max: 0 } => "on-failure".into(),
        RestartPolicy::OnFailure { max } => format!("on-failure:{max}"),
    }
}
