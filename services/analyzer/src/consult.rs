//! The effect that asks a model, and tells on the log what came of it.
//!
//! ```text
//! opinion_sought ─► counsel ─┬─► reached (the model's), or failed + reached (the rules')       it decides
//!                            └─► opined, or failed                                             it shadows
//! ```
//!
//! Asking again is harmless, so a redelivered question is asked again, if its time is not over; the budget counts both. In
//! every case the question is answered within its time of when it was asked: a diagnosis that waits for a model heals
//! nobody.

mod outcome;
mod reading;

use std::time::Duration;

use async_trait::async_trait;
use hemostat_runtime::{Context, Effect, Fault, Permit};
use hemostat_schema::{
    Diagnosis, Event, Family, NewEvent, Recorded, Span,
    diagnosis::{OpinionSought, Trouble},
};
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use self::{outcome::Outcome, reading::Reading};
use crate::counsel::{Asked, Counsel, Opinion};

/// Asks a model.
#[derive(Debug)]
pub struct Consult {
    ctx: Context,
    /// None where no model is configured; a question that was asked of one before is then answered by the rules.
    counsel: Option<Counsel>,
    reading: Reading,
}

impl Consult {
    /// By `counsel`, on this log.
    pub fn new(ctx: &Context, counsel: Option<Counsel>) -> Self {
        Self { ctx: ctx.clone(), counsel, reading: Reading::new(ctx) }
    }

    async fn opinion(&self, event: &Recorded, sought: &OpinionSought) -> Opinion {
        let Some(counsel) = &self.counsel else {
            return Opinion::none(Trouble::Other, "no model is configured any more (analyzer.mode is \"rules\")");
        };
        if !counsel.is_for(sought) {
            let error = format!("another model is configured now than {} of {}", sought.model, sought.provider);
            return Opinion::none(Trouble::Other, error);
        }
        let waited = Span::between(event.at, self.ctx.clock.now());
        let left = counsel.timeout().saturating_sub(Duration::from(waited));
        if left.is_zero() {
            return Opinion::none(Trouble::TimedOut, format!("nobody came to ask it: the question is {waited} old"));
        }
        let begun = Instant::now();
        // Without what was spent it is not known whether anything may be.
        match timeout(left, self.reading.catch_up(counsel)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                return Opinion::none(Trouble::Other, format!("what was spent lately could not be read: {error}"));
            }
            Err(_) => return Opinion::none(Trouble::TimedOut, "what was spent lately could not be read in time"),
        }
        let asked = Asked { id: event.id, sought, trace: event.trace };
        counsel.ask(asked, left.saturating_sub(begun.elapsed())).await
    }
}

#[async_trait]
impl Effect for Consult {
    const GROUP: &'static str = "consult";
    const READS: &'static [Family] = &[Family::Diagnosis];

    fn wants(&self, event: &Recorded) -> bool {
        matches!(event.event(), Some(Event::Diagnosis(Diagnosis::OpinionSought(_))))
    }

    async fn run(&self, event: &Recorded, permit: &Permit) -> Result<Vec<NewEvent>, Fault> {
        let Some(Event::Diagnosis(Diagnosis::OpinionSought(sought))) = event.event() else { return Ok(vec![]) };
        permit.check()?;
        let opinion = self.opinion(event, sought).await;
        let name = event.subject.short();
        match &opinion.outcome {
            Ok(reached) => {
                let (model, took) = (&sought.model, opinion.usage.took);
                info!(container = name, model, "{model} says of {name}, after {took}: {}", reached.root_cause);
            }
            Err(snag) => {
                let (model, trouble) = (&sought.model, snag.trouble.name());
                warn!(container = name, model, trouble, "{model} has no diagnosis of {name}: {}", snag.error);
            }
        }
        let limit = self.counsel.as_ref().map_or(Duration::ZERO, Counsel::timeout);
        let outcome = Outcome { event, sought, opinion: &opinion, now: self.ctx.clock.now(), limit: limit.into() };
        Ok(outcome.events())
    }
}
