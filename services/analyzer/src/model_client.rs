//! Asks a model for a diagnosis, within its timeout, its budget and the provider's rate limits.
//!
//! ```text
//!  cache ─► circuit breaker ─► free slot ─► budget ─► provider ─► validate ─► diagnosis
//!                                             ▲          │            │
//!                                             ├──retry───┤            │
//!                                             └──once, with faults────┘
//! ```
//!
//! One timeout covers all of it, whatever the server does.

mod config;
mod in_flight;
mod question;
mod shared;

use std::{
    sync::{Arc, MutexGuard},
    time::Duration,
};

use hemostat_runtime::Clock;
use hemostat_schema::{
    Span,
    diagnosis::{OpinionSought, Reached, Usage},
};
use tokio::time::{Instant, timeout_at};

pub use self::{
    config::ClientConfig,
    question::{CallError, Opinion, Question},
};
use self::{in_flight::InFlightRequest, shared::Shared};
use crate::{provider::Provider, usage_ledger::UsageLedger};

/// A model with its limits, its usage ledger and its circuit breaker.
#[derive(Debug)]
pub struct ModelClient {
    shared: Shared,
}

impl ModelClient {
    /// A client of `provider`.
    pub fn new(provider: Box<dyn Provider>, config: ClientConfig, clock: Arc<dyn Clock>) -> Self {
        Self { shared: Shared::new(provider, config, clock) }
    }

    /// Whether it asks the model that `sought` names.
    pub fn is_for(&self, sought: &OpinionSought) -> bool {
        (self.shared.provider.name(), self.shared.provider.model()) == (&*sought.provider, &*sought.model)
    }

    /// The model and its limits in one sentence, for the log line at start.
    pub fn summary(&self) -> String {
        let (provider, ClientConfig { timeout, max_tokens, retries, .. }) = (&self.shared.provider, self.shared.config);
        let timeout = Span::from(timeout);
        let (model, name) = (provider.model(), provider.name());
        format!(
            "HemoStat asks {model} by {name}'s API: at most {timeout} and {retries} retries per question, {max_tokens} \
             tokens per answer"
        )
    }

    /// The timeout of a question.
    pub fn timeout(&self) -> Duration {
        self.shared.config.timeout
    }

    /// The ledger of recent calls.
    pub fn ledger(&self) -> MutexGuard<'_, UsageLedger> {
        self.shared.ledger()
    }

    /// The model's diagnosis, or why there is none, after at most `within`.
    pub async fn ask(&self, question: Question<'_>, within: Duration) -> Opinion {
        let begun = Instant::now();
        self.ledger().begin(question.id, self.shared.clock.now(), question.sought);
        if let Some(reached) = self.cached(question.sought) {
            let usage = Usage { cached: true, ..Usage::default() };
            return Opinion { outcome: Ok(Reached { usage: Some(usage), ..reached }), usage };
        }
        let mut in_flight = InFlightRequest::new(&self.shared, question, within.min(self.shared.config.timeout));
        let outcome = timeout_at(in_flight.deadline(), in_flight.run()).await;
        let outcome = outcome.unwrap_or_else(|_| Err(in_flight.timed_out()));
        let usage = Usage { took: Span::from(begun.elapsed()), ..in_flight.usage() };
        in_flight.finish(&outcome);
        Opinion { outcome: outcome.map(|reached| Reached { usage: Some(usage), ..reached }), usage }
    }

    /// The cached answer to the same evidence, applied to this container, if its remedy and citations are still offered.
    fn cached(&self, sought: &OpinionSought) -> Option<Reached> {
        let ledger = self.ledger();
        let cached = ledger.cached(sought, self.shared.config.cache, self.shared.clock.now())?;
        let is_offered = cached.remedy.as_ref().is_none_or(|remedy| sought.remedies.contains(remedy));
        let is_shown = |id: &String| sought.evidence.iter().any(|exhibit| exhibit.id == *id);
        (is_offered && cached.cites.iter().all(is_shown)).then(|| Reached {
            symptoms: sought.fallback.symptoms.clone(),
            target: sought.fallback.target.clone(),
            examination: sought.fallback.examination,
            ..cached.clone()
        })
    }
}
