//! The treatment of a container as the API shows it: diagnoses, remedies and what prevents them.

use hemostat_core::{
    remedy::backoff,
    remedy::breaker,
    views::{self, Attempt, Stage, containers, cooldown, incidents},
};
use hemostat_schema::{Span, diagnosis::Method};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::enums::{ActionOutcome, AttentionReason, BreakerPosition, CooldownReason, Remedy, Verdict};

/// A diagnosis.
#[derive(Debug, Serialize, ToSchema)]
pub struct Diagnosis {
    /// The event's id.
    id: String,
    /// When it was made.
    at: Timestamp,
    /// The verdict.
    verdict: Verdict,
    /// The root cause.
    root_cause: String,
    /// The proposed remedy; null if HemoStat has none that would help.
    remedy: Option<Remedy>,
    /// The stated confidence.
    #[schema(minimum = 0, maximum = 1)]
    confidence: f64,
    /// What made the diagnosis: `rule:<name>` or `model:<name>`.
    #[schema(example = "rule:unhealthy")]
    by: String,
}

/// An authorised remedy and its outcome.
#[derive(Debug, Serialize, ToSchema)]
pub struct Action {
    /// The id of the event that authorised it.
    id: String,
    /// When it was authorised.
    at: Timestamp,
    /// The remedy.
    remedy: Remedy,
    /// The number of this attempt within the rolling window, from 1.
    attempt: u32,
    /// The maximum attempts within the rolling window.
    of: u32,
    /// Whether it was a dry run: everything except the call to Docker.
    dry_run: bool,
    /// How far it has come.
    outcome: ActionOutcome,
    /// The reason, if it failed, was withheld or was verified.
    why: Option<String>,
    /// How long Docker took, or, once verified, the time from authorisation to verdict, in milliseconds.
    took_ms: Option<u64>,
}

/// Why HemoStat heals a container or does not.
#[derive(Debug, Serialize, ToSchema)]
pub struct Attention {
    /// The reason, for programs.
    reason: AttentionReason,
    /// The reason, for people.
    #[schema(example = "stopped by an operator at 2026-01-01T00:00:05Z; HemoStat leaves it alone")]
    sentence: String,
    /// When the reason ends, if known.
    until: Option<Timestamp>,
}

/// The cooldown after an incident.
#[derive(Debug, Serialize, ToSchema)]
pub struct Cooldown {
    /// The incident.
    incident: Option<String>,
    /// How the incident ended.
    why: CooldownReason,
    /// When it began.
    since: Timestamp,
    /// When it ends.
    until: Timestamp,
}

/// The circuit breaker of a container.
#[derive(Debug, Serialize, ToSchema)]
pub struct Breaker {
    /// Its state.
    position: BreakerPosition,
    /// When it stops being tripped.
    until: Option<Timestamp>,
    /// The last attempt that counted.
    last_attempt: Option<Timestamp>,
}

impl From<&containers::Conclusion> for Diagnosis {
    fn from(concluded: &containers::Conclusion) -> Self {
        let reached = &concluded.reached;
        Self {
            id: concluded.id.to_string(),
            at: concluded.at,
            verdict: Verdict(reached.verdict),
            root_cause: reached.root_cause.clone(),
            remedy: reached.remedy.as_ref().map(|remedy| Remedy(remedy.kind())),
            confidence: reached.confidence.get(),
            by: by(&reached.method),
        }
    }
}

impl From<&incidents::Conclusion> for Diagnosis {
    fn from(concluded: &incidents::Conclusion) -> Self {
        Self {
            id: concluded.id.to_string(),
            at: concluded.at,
            verdict: Verdict(concluded.verdict),
            root_cause: concluded.root_cause.clone(),
            remedy: concluded.remedy.as_ref().map(|remedy| Remedy(remedy.kind())),
            confidence: concluded.confidence.get(),
            by: by(&concluded.method),
        }
    }
}

fn by(method: &Method) -> String {
    match method {
        Method::Rule { rule } => format!("rule:{rule}"),
        Method::Model { model, .. } => format!("model:{model}"),
    }
}

impl From<&views::Attention> for Attention {
    fn from(attention: &views::Attention) -> Self {
        Self { reason: attention.into(), sentence: attention.to_string(), until: attention.until() }
    }
}

impl From<&Attempt> for Action {
    fn from(attempt: &Attempt) -> Self {
        let (outcome, why, took) = match &attempt.stage {
            Stage::Authorised => (ActionOutcome::Authorised, None, None),
            Stage::Done { took } => (ActionOutcome::Done, None, Some(took)),
            Stage::Failed { error } => (ActionOutcome::Failed, Some(error.clone()), None),
            Stage::NotExecuted { why } => (ActionOutcome::Withheld, Some(why.clone()), None),
            Stage::Judged { outcome, why, took } => ((*outcome).into(), Some(why.clone()), Some(took)),
        };
        Self {
            id: attempt.id.to_string(),
            at: attempt.at,
            remedy: Remedy(attempt.remedy.kind()),
            attempt: attempt.attempt,
            of: attempt.of,
            dry_run: attempt.dry_run,
            outcome,
            why,
            took_ms: took.map(|took| took.as_millis()),
        }
    }
}

impl Cooldown {
    /// From the read model's row, with the configured length.
    pub fn new(row: &cooldown::Row, length: Span) -> Self {
        Self {
            incident: row.cooldown.incident.as_ref().map(ToString::to_string),
            why: (&row.why).into(),
            since: row.cooldown.since,
            until: row.until(length),
        }
    }
}

/// A container without attempts has a passing breaker.
impl From<Option<&views::breaker::Row>> for Breaker {
    fn from(row: Option<&views::breaker::Row>) -> Self {
        let breaker = row.map(|row| row.breaker).unwrap_or_default();
        let until = match breaker {
            breaker::Breaker::Tripped { until } => Some(until),
            breaker::Breaker::Passing | breaker::Breaker::Probing => None,
        };
        let last: Option<&backoff::Attempt> = row.and_then(|row| row.attempts.last());
        Self { position: (&breaker).into(), until, last_attempt: last.map(|attempt| attempt.at) }
    }
}
