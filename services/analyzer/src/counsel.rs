//! Getting a diagnosis out of a model, within its time, its budget and the provider's patience, or saying why not.
//!
//! ```text
//!  answered before? ─► breaker ─► a free slot ─► budget ─► provider ─► validate ─► diagnosis
//!       (cache)                                    ▲          │           │
//!                                                  ├──later───┤           │
//!                                                  └──once────┴──faults───┘
//! ```
//!
//! All of it has one limit of time, whatever a server does: what is not there by then is not waited for.

mod flight;
mod terms;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hemostat_diagnosis::opinion;
use hemostat_runtime::Clock;
use hemostat_schema::{
    EventId, Span, TraceParent,
    diagnosis::{OpinionSought, Reached, Trouble, Usage},
};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use self::flight::Flight;
pub use self::terms::Terms;
use crate::{breaker::Passage, casebook::Casebook, provider::Provider};

/// Somebody to ask, and the terms on which it is asked.
pub struct Counsel {
    provider: Box<dyn Provider>,
    terms: Terms,
    clock: Arc<dyn Clock>,
    casebook: Mutex<Casebook>,
    slots: Semaphore,
    probe: Semaphore,
}

/// A question on its way.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The event that asks; whatever is unique where there is none.
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
    pub outcome: Result<Reached, Snag>,
    /// What it cost.
    pub usage: Usage,
}

/// Why a model gave no diagnosis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snag {
    /// In which way it failed.
    pub trouble: Trouble,
    /// What happened.
    pub error: String,
}

impl Snag {
    /// Of this kind, in these words.
    pub fn new(trouble: Trouble, error: impl Into<String>) -> Self {
        Self { trouble, error: error.into() }
    }
}

impl Opinion {
    /// Nobody was asked.
    pub fn none(trouble: Trouble, error: impl Into<String>) -> Self {
        Self { outcome: Err(Snag::new(trouble, error)), usage: Usage::default() }
    }
}

impl Counsel {
    /// Of `provider`, on these terms.
    pub fn new(provider: Box<dyn Provider>, terms: Terms, clock: Arc<dyn Clock>) -> Self {
        let casebook = Mutex::new(Casebook::new(terms.prices, terms.max_tokens, terms.cache));
        let slots = Semaphore::new(terms.concurrency);
        Self { provider, terms, clock, casebook, slots, probe: Semaphore::new(1) }
    }

    /// Whether it asks the model that `sought` names.
    pub fn is_for(&self, sought: &OpinionSought) -> bool {
        (self.provider.name(), self.provider.model()) == (&*sought.provider, &*sought.model)
    }

    /// Who it is, and on which terms, in a sentence.
    pub fn introduced(&self) -> String {
        let (provider, Terms { timeout, max_tokens, retries, .. }) = (&self.provider, self.terms);
        let timeout = Span::from(timeout);
        let (model, name) = (provider.model(), provider.name());
        format!("{model} is asked ({name}'s API), within {timeout}, {max_tokens} tokens and {retries} retries at most")
    }

    /// How long a question may take.
    pub fn timeout(&self) -> Duration {
        self.terms.timeout
    }

    /// What has been asked lately.
    pub fn casebook(&self) -> MutexGuard<'_, Casebook> {
        self.casebook.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The model's diagnosis, or why there is none; in any case `within` this time.
    pub async fn ask(&self, asked: Asked<'_>, within: Duration) -> Opinion {
        let begun = Instant::now();
        self.casebook().open(asked.id, self.clock.now(), asked.sought);
        if let Some(reached) = self.remembered(asked.sought) {
            let usage = Usage { cached: true, ..Usage::default() };
            return Opinion { outcome: Ok(Reached { usage: Some(usage), ..reached }), usage };
        }
        let mut flight = Flight::new(self, asked, within.min(self.terms.timeout));
        let outcome = timeout_at(flight.until(), flight.run()).await;
        let outcome = outcome.unwrap_or_else(|_| Err(flight.late()));
        let usage = Usage { took: Span::from(begun.elapsed()), ..flight.usage() };
        flight.land(&outcome);
        Opinion { outcome: outcome.map(|reached| Reached { usage: Some(usage), ..reached }), usage }
    }

    /// What the model said to the same evidence before, about this container: as good as new, if it may still be said.
    fn remembered(&self, sought: &OpinionSought) -> Option<Reached> {
        let casebook = self.casebook();
        let before = casebook.answer(sought, self.terms.cache, self.clock.now())?;
        let is_offered = before.remedy.as_ref().is_none_or(|remedy| sought.remedies.contains(remedy));
        let is_shown = |id: &String| sought.evidence.iter().any(|exhibit| exhibit.id == *id);
        (is_offered && before.cites.iter().all(is_shown)).then(|| Reached {
            symptoms: sought.fallback.symptoms.clone(),
            target: sought.fallback.target.clone(),
            examination: sought.fallback.examination,
            ..before.clone()
        })
    }

    /// Whether the provider may be asked, and whether that is a probe.
    fn passage(&self) -> Passage {
        let failures = self.casebook().failures();
        self.terms.breaker.passage(failures, self.clock.now())
    }
}

impl fmt::Debug for Counsel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counsel").field("provider", &self.provider).field("terms", &self.terms).finish_non_exhaustive()
    }
}

/// Whether two diagnoses come to the same.
pub(crate) fn agree(one: &Reached, other: &Reached) -> bool {
    opinion::agree(one, other)
}
