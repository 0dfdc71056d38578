//! The effect that asks a model and records the outcome on the log.
//!
//! ```text
//! opinion_sought ─► ModelClient ─┬─► reached (the model's), or failed + reached (the rules')       Part::Decides
//!                                └─► opined, or failed                                             Part::Shadows
//! ```
//!
//! Asking is idempotent, so a redelivered question is asked again if its deadline is not over; the budget counts both.
//! Every question gets an outcome within its timeout, counted from when it was recorded, because the container waits for
//! its diagnosis.

mod ledger_reader;
mod outcome;

use std::time::Duration;

use async_trait::async_trait;
use hemostat_runtime::{Context, Effect, ExecutionGuard, Fault};
use hemostat_schema::{
    Diagnosis, Event, Family, NewEvent, Recorded, Span,
    diagnosis::{OpinionSought, Trouble},
};
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use self::{ledger_reader::LedgerReader, outcome::Outcome};
use crate::model_client::{ModelClient, Opinion, Question};

/// Asks a model.
#[derive(Debug)]
pub struct AskModel {
    ctx: Context,
    /// None if no model is configured; the rules then answer questions that are still open.
    client: Option<ModelClient>,
    ledger_reader: LedgerReader,
}

impl AskModel {
    /// Asks by `client` what is sought on this log.
    pub fn new(ctx: &Context, client: Option<ModelClient>) -> Self {
        Self { ctx: ctx.clone(), client, ledger_reader: LedgerReader::new(ctx) }
    }

    async fn opinion(&self, event: &Recorded, sought: &OpinionSought) -> Opinion {
        let Some(client) = &self.client else {
            return Opinion::failed(Trouble::Other, "no model is configured any more (analyzer.mode is \"rules\")");
        };
        if !client.is_for(sought) {
            let error = format!("another model is configured now than {} of {}", sought.model, sought.provider);
            return Opinion::failed(Trouble::Other, error);
        }
        let waited = Span::between(event.at, self.ctx.clock.now());
        let left = client.timeout().saturating_sub(Duration::from(waited));
        if left.is_zero() {
            let error = format!("the deadline passed before an analyzer handled the question, which is {waited} old");
            return Opinion::failed(Trouble::TimedOut, error);
        }
        let begun = Instant::now();
        // The budget can be checked only after the ledger has caught up.
        match timeout(left, self.ledger_reader.catch_up(client)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                return Opinion::failed(Trouble::Other, format!("could not read recent model usage: {error}"));
            }
            Err(_) => return Opinion::failed(Trouble::TimedOut, "could not read recent model usage in time"),
        }
        let question = Question { id: event.id, sought, trace: event.trace };
        client.ask(question, left.saturating_sub(begun.elapsed())).await
    }
}

#[async_trait]
impl Effect for AskModel {
    const READS: &'static [Family] = &[Family::Diagnosis];

    fn group(&self) -> &str {
        "consult"
    }

    fn wants(&self, event: &Recorded) -> bool {
        matches!(event.event(), Some(Event::Diagnosis(Diagnosis::OpinionSought(_))))
    }

    async fn run(&self, event: &Recorded, guard: &ExecutionGuard) -> Result<Vec<NewEvent>, Fault> {
        let Some(Event::Diagnosis(Diagnosis::OpinionSought(sought))) = event.event() else { return Ok(vec![]) };
        guard.check_lease()?;
        let opinion = self.opinion(event, sought).await;
        let name = event.subject.short();
        match &opinion.outcome {
            Ok(reached) => {
                let (model, took) = (&sought.model, opinion.usage.took);
                info!(container = name, model, "{model} diagnosed {name} after {took}: {}", reached.root_cause);
            }
            Err(error) => {
                let (model, trouble) = (&sought.model, error.trouble.name());
                warn!(container = name, model, trouble, "{model} gave no diagnosis of {name}: {}", error.error);
            }
        }
        let limit = self.client.as_ref().map_or(Duration::ZERO, ModelClient::timeout);
        let outcome = Outcome { event, sought, opinion: &opinion, now: self.ctx.clock.now(), limit: limit.into() };
        Ok(outcome.events())
    }
}
