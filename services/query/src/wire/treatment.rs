//! How a container is being treated, as the API shows it: conclusions, remedies and what stands in their way.

use hemostat_core::{
    backoff, breaker,
    view::{self, Attempt, Stage, containers, cooldown, incidents},
};
use hemostat_schema::{Span, action::Remedy, diagnosis::Method};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::words;

/// A conclusion.
#[derive(Debug, Serialize, ToSchema)]
pub struct Diagnosis {
    /// The event.
    id: String,
    /// When.
    at: Timestamp,
    /// sick, false_alarm or unclear.
    #[schema(value_type = String, example = "sick")]
    verdict: &'static str,
    /// What is wrong.
    root_cause: String,
    /// What would help; none where nothing that HemoStat can do would.
    #[schema(value_type = Option<String>, example = "restart")]
    remedy: Option<&'static str>,
    /// How sure it is.
    #[schema(minimum = 0, maximum = 1)]
    confidence: f64,
    /// Who concluded it: `rule:<name>` or `model:<name>`.
    #[schema(example = "rule:unhealthy")]
    by: String,
}

/// An authorised remedy and what came of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Action {
    /// The event that authorised it.
    id: String,
    /// When it was authorised.
    at: Timestamp,
    /// What was to be done.
    #[schema(value_type = String, example = "restart")]
    remedy: &'static str,
    /// Which attempt within the rolling hour, from 1.
    attempt: u32,
    /// How many the rolling hour allows.
    of: u32,
    /// Everything was done but the deed.
    dry_run: bool,
    /// How far it has come: authorised, done, failed, withheld, recovered, relapsed or inconclusive.
    #[schema(value_type = String, example = "recovered")]
    outcome: &'static str,
    /// What says so, where it failed, was withheld or was judged.
    why: Option<String>,
    /// Milliseconds that the engine took, or from the intent to the verdict.
    took_ms: Option<u64>,
}

/// Why a container is, or is not, being healed.
#[derive(Debug, Serialize, ToSchema)]
pub struct Attention {
    /// For programs: healthy, starting, idle, left_alone, sick, no_remedy, in_hand, waiting_for_approval, backing_off,
    /// cooling_down, given_up, protected, not_approved or refused.
    #[schema(value_type = String, example = "left_alone")]
    reason: &'static str,
    /// For people.
    #[schema(example = "stopped by an operator at 2026-01-01T00:00:05Z; HemoStat leaves it alone")]
    sentence: String,
    /// Until when the reason holds, where that is known.
    until: Option<Timestamp>,
}

/// The rest after an illness.
#[derive(Debug, Serialize, ToSchema)]
pub struct Cooldown {
    /// The illness that ended.
    incident: Option<String>,
    /// healed or given_up.
    #[schema(value_type = String, example = "healed")]
    why: &'static str,
    /// Since when.
    since: Timestamp,
    /// Until when.
    until: Timestamp,
}

/// Whether HemoStat goes on trying.
#[derive(Debug, Serialize, ToSchema)]
pub struct Breaker {
    /// passing, tripped (given up) or probing (one attempt after the hold).
    #[schema(value_type = String, example = "passing")]
    position: &'static str,
    /// Until when it is tripped.
    until: Option<Timestamp>,
    /// The attempt that counted last.
    last_attempt: Option<Timestamp>,
}

impl From<&containers::Concluded> for Diagnosis {
    fn from(concluded: &containers::Concluded) -> Self {
        let reached = &concluded.reached;
        Self {
            id: concluded.id.to_string(),
            at: concluded.at,
            verdict: words::verdict(reached.verdict),
            root_cause: reached.root_cause.clone(),
            remedy: reached.remedy.as_ref().map(Remedy::name),
            confidence: reached.confidence.get(),
            by: by(&reached.method),
        }
    }
}

impl From<&incidents::Concluded> for Diagnosis {
    fn from(concluded: &incidents::Concluded) -> Self {
        Self {
            id: concluded.id.to_string(),
            at: concluded.at,
            verdict: words::verdict(concluded.verdict),
            root_cause: concluded.root_cause.clone(),
            remedy: concluded.remedy.as_ref().map(Remedy::name),
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

impl From<&view::Attention> for Attention {
    fn from(attention: &view::Attention) -> Self {
        Self { reason: attention.name(), sentence: attention.to_string(), until: attention.until() }
    }
}

impl From<&Attempt> for Action {
    fn from(attempt: &Attempt) -> Self {
        let (outcome, why, took) = match &attempt.stage {
            Stage::Authorised => ("authorised", None, None),
            Stage::Done { took } => ("done", None, Some(took)),
            Stage::Failed { error } => ("failed", Some(error.clone()), None),
            Stage::Withheld { why } => ("withheld", Some(why.clone()), None),
            Stage::Judged { outcome, why, took } => (words::outcome(*outcome), Some(why.clone()), Some(took)),
        };
        Self {
            id: attempt.id.to_string(),
            at: attempt.at,
            remedy: attempt.remedy.name(),
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
    /// The rest that `row` tells of, if it lasts this long.
    pub fn new(row: &cooldown::Row, length: Span) -> Self {
        Self {
            incident: row.rest.incident.as_ref().map(ToString::to_string),
            why: words::rest(row.why),
            since: row.rest.since,
            until: row.until(length),
        }
    }
}

/// A container that was never treated has a breaker that lets attempts pass.
impl From<Option<&view::breaker::Row>> for Breaker {
    fn from(row: Option<&view::breaker::Row>) -> Self {
        let (position, until) = match row.map(|row| row.breaker).unwrap_or_default() {
            breaker::Breaker::Passing => ("passing", None),
            breaker::Breaker::Tripped { until } => ("tripped", Some(until)),
            breaker::Breaker::Probing => ("probing", None),
        };
        let last: Option<&backoff::Attempt> = row.and_then(|row| row.attempts.last());
        Self { position, until, last_attempt: last.map(|attempt| attempt.at) }
    }
}
