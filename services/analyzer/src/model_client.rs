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

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hemostat_runtime::Clock;
use hemostat_schema::{
    EventId, Span, TraceParent,
    diagnosis::{OpinionSought, Reached, Trouble, Usage},
};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

pub use self::config::ClientConfig;
use self::in_flight::InFlightRequest;
use crate::{breaker::BreakerState, provider::Provider, usage_ledger::UsageLedger};

/// A model with its limits, its usage ledger and its circuit breaker.
pub struct ModelClient {
    provider: Box<dyn Provider>,
    config: ClientConfig,
    clock: Arc<dyn Clock>,
    ledger: Mutex<UsageLedger>,
    slots: Semaphore,
    probe: Semaphore,
}

/// A question to a model.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The event that asks; any unique id if there is none.
    pub id: EventId,
    /// What is asked.
    pub sought: &'a OpinionSought,
    /// The trace that it belongs to.
    pub trace: Option<TraceParent>,
}

/// What came of a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Opinion {
    /// The model's diagnosis, or why there is none.
    pub outcome: Result<Reached, CallError>,
    /// What it cost.
    pub usage: Usage,
}

/// Why a model gave no diagnosis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallError {
    /// The kind of failure.
    pub trouble: Trouble,
    /// What happened, for people; holds no secret.
    pub error: String,
}

impl CallError {
    /// A failure of this kind.
    pub fn new(trouble: Trouble, error: impl Into<String>) -> Self {
        Self { trouble, error: error.into() }
    }
}

impl Opinion {
    /// No request was made.
    pub fn failed(trouble: Trouble, error: impl Into<String>) -> Self {
        Self { outcome: Err(CallError::new(trouble, error)), usage: Usage::default() }
    }
}

impl ModelClient {
    /// A client of `provider`.
    pub fn new(provider: Box<dyn Provider>, config: ClientConfig, clock: Arc<dyn Clock>) -> Self {
        let ledger = Mutex::new(UsageLedger::new(config.prices, config.max_tokens, config.cache));
        let slots = Semaphore::new(config.concurrency);
        Self { provider, config, clock, ledger, slots, probe: Semaphore::new(1) }
    }

    /// Whether it asks the model that `sought` names.
    pub fn is_for(&self, sought: &OpinionSought) -> bool {
        (self.provider.name(), self.provider.model()) == (&*sought.provider, &*sought.model)
    }

    /// The model and its limits in one sentence, for the log line at start.
    pub fn summary(&self) -> String {
        let (provider, ClientConfig { timeout, max_tokens, retries, .. }) = (&self.provider, self.config);
        let timeout = Span::from(timeout);
        let (model, name) = (provider.model(), provider.name());
        format!(
            "HemoStat asks {model} by {name}'s API: at most {timeout} and {retries} retries per question, {max_tokens} \
             tokens per answer"
        )
    }

    /// The timeout of a question.
    pub fn timeout(&self) -> Duration {
        self.config.timeout
    }

    /// The ledger of recent calls.
    pub fn ledger(&self) -> MutexGuard<'_, UsageLedger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The model's diagnosis, or why there is none, after at most `within`.
    pub async fn ask(&self, question: Question<'_>, within: Duration) -> Opinion {
        let begun = Instant::now();
        self.ledger().begin(question.id, self.clock.now(), question.sought);
        if let Some(reached) = self.cached(question.sought) {
            let usage = Usage { cached: true, ..Usage::default() };
            return Opinion { outcome: Ok(Reached { usage: Some(usage), ..reached }), usage };
        }
        let mut in_flight = InFlightRequest::new(self, question, within.min(self.config.timeout));
        let outcome = timeout_at(in_flight.deadline(), in_flight.run()).await;
        let outcome = outcome.unwrap_or_else(|_| Err(in_flight.timed_out()));
        let usage = Usage { took: Span::from(begun.elapsed()), ..in_flight.usage() };
        in_flight.finish(&outcome);
        Opinion { outcome: outcome.map(|reached| Reached { usage: Some(usage), ..reached }), usage }
    }

    /// The cached answer to the same evidence, applied to this container, if its remedy and citations are still offered.
    fn cached(&self, sought: &OpinionSought) -> Option<Reached> {
        let ledger = self.ledger();
        let cached = ledger.cached(sought, self.config.cache, self.clock.now())?;
        let is_offered = cached.remedy.as_ref().is_none_or(|remedy| sought.remedies.contains(remedy));
        let is_shown = |id: &String| sought.evidence.iter().any(|exhibit| exhibit.id == *id);
        (is_offered && cached.cites.iter().all(is_shown)).then(|| Reached {
            symptoms: sought.fallback.symptoms.clone(),
            target: sought.fallback.target.clone(),
            examination: sought.fallback.examination,
            ..cached.clone()
        })
    }

    fn breaker_state(&self) -> BreakerState {
        let failures = self.ledger().failures();
        self.config.breaker.state(failures, self.clock.now())
    }
}

impl fmt::Debug for ModelClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelClient")
            .field("provider", &self.provider)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
