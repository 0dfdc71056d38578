//! Ledger of model calls: what was spent, how often the provider failed, and which answers may be reused.
//!
//! It is folded from the diagnosis events on the log, so budget, circuit breaker and cache survive restarts, and
//! processes on one log share them. A call in flight in this process is entered under the id of its question; the
//! recorded outcome then replaces that entry. So nothing is counted twice, and a call that is sent but not yet recorded
//! is counted.

use std::collections::BTreeMap;

use hemostat_schema::{
    Diagnosis, Event, EventId, Recorded, Span, Timestamp,
    diagnosis::{Failed, Method, OpinionSought, Reached, Trouble, Usage},
};

use crate::{
    breaker::Failures,
    budget::{HOUR, Prices, Spending, spending_of},
    prompt,
};

/// Ledger of recent model calls.
#[derive(Debug)]
pub struct UsageLedger {
    calls: BTreeMap<EventId, Call>,
    prices: Prices,
    /// The longest answer, in tokens.
    max_tokens: u32,
    /// How long a call is kept.
    retention: Span,
}

/// One question and its outcome.
#[derive(Debug)]
struct Call {
    /// When it was asked, or its outcome was recorded.
    at: Timestamp,
    question: Option<QuestionKey>,
    /// What it has cost as far as known, plus the upper bound of what is in flight.
    spent: Spending,
    end: Option<CallEnd>,
}

/// What identifies a question for the cache.
#[derive(Debug)]
struct QuestionKey {
    provider: String,
    model: String,
    fingerprint: String,
    /// Upper bound of one request.
    upper_bound: Spending,
}

/// How a call ended.
#[derive(Debug)]
enum CallEnd {
    /// The provider answered; with the diagnosis if it may be reused.
    Answered(Option<Box<Reached>>),
    /// HemoStat stopped waiting.
    TimedOut,
    /// The provider failed.
    Failed,
    /// No request was made.
    NotSent,
}

impl CallEnd {
    /// Whether the provider did work that it bills.
    fn is_billed(&self) -> bool {
        match self {
            Self::Answered(_) | Self::TimedOut => true,
            Self::Failed | Self::NotSent => false,
        }
    }
}

impl UsageLedger {
    /// An empty ledger. It keeps calls for an hour, or for as long as the cache needs them.
    pub fn new(prices: Prices, max_tokens: u32, cache: Span) -> Self {
        Self { calls: BTreeMap::new(), prices, max_tokens, retention: cache.max(HOUR) }
    }

    /// From when on the log must be read to fill the ledger.
    pub fn horizon(&self, now: Timestamp) -> Timestamp {
        self.retention.before(now)
    }

    /// Folds one event.
    pub fn apply(&mut self, event: &Recorded) {
        let Some(Event::Diagnosis(diagnosis)) = event.event() else { return };
        match diagnosis {
            Diagnosis::OpinionSought(sought) => self.begin(event.id, event.at, sought),
            Diagnosis::Reached(reached) => {
                self.end(event, reached.usage.as_ref(), |usage| end_of_answer(reached, usage));
            }
            Diagnosis::Opined(opined) => {
                let opinion = &opined.opinion;
                self.end(event, opinion.usage.as_ref(), |usage| end_of_answer(opinion, usage));
            }
            Diagnosis::Failed(failed) => self.end(event, failed.usage.as_ref(), |usage| end_of_failure(failed, usage)),
        }
    }

    /// Enters a question; what is already entered under its id stays.
    pub fn begin(&mut self, id: EventId, at: Timestamp, sought: &OpinionSought) {
        let evidence: usize = sought.evidence.iter().map(|exhibit| exhibit.text.len()).sum();
        let key = QuestionKey {
            provider: sought.provider.clone(),
            model: sought.model.clone(),
            fingerprint: sought.fingerprint.clone(),
            upper_bound: self.prices.upper_bound(evidence + prompt::OVERHEAD_BYTES, self.max_tokens),
        };
        let call = self.calls.entry(id).or_insert_with(|| Call::new(at));
        call.question = Some(key);
    }

    /// Enters a recorded outcome. A diagnosis without usage came from rules alone and is ignored.
    fn end(&mut self, event: &Recorded, usage: Option<&Usage>, end: impl FnOnce(&Usage) -> CallEnd) {
        let (Some(id), Some(usage)) = (event.cause, usage) else { return };
        let call = self.calls.entry(id).or_insert_with(|| Call::new(event.at));
        call.spent = spending_of(usage);
        let end = end(usage);
        if end.is_billed() && call.spent.tokens == 0 {
            // The provider reported no usage, or HemoStat did not wait for it.
            let per_request = call.question.as_ref().map(|key| key.upper_bound).unwrap_or_default();
            call.spent = per_request.times(u64::from(usage.requests));
        }
        call.at = event.at;
        call.end = Some(end);
    }

    /// Reserves `more` for the question `id`, on top of what is entered for it.
    pub fn reserve(&mut self, id: EventId, more: Spending, now: Timestamp) {
        let call = self.calls.entry(id).or_insert_with(|| Call::new(now));
        call.spent = call.spent.plus(more);
    }

    /// Replaces the reservations for the question `id` by what it cost.
    pub fn settle(&mut self, id: EventId, spent: Spending) {
        if let Some(call) = self.calls.get_mut(&id) {
            call.spent = spent;
        }
    }

    /// Enters whether the provider answered the question `id`.
    pub fn finish(&mut self, id: EventId, is_answered: bool, now: Timestamp) {
        if let Some(call) = self.calls.get_mut(&id) {
            call.at = now;
            call.end = Some(if is_answered { CallEnd::Answered(None) } else { CallEnd::Failed });
        }
    }

    /// Spent within the last hour, with the upper bound of what is in flight.
    pub fn spent(&self, now: Timestamp) -> Spending {
        let since = HOUR.before(now);
        self.calls.values().filter(|call| call.at > since).fold(Spending::default(), |sum, call| sum.plus(call.spent))
    }

    /// The provider's failures since its last answer.
    pub fn failures(&self) -> Failures {
        let mut ends: Vec<(Timestamp, bool)> = self
            .calls
            .values()
            .filter_map(|call| match call.end.as_ref()? {
                CallEnd::Answered(_) => Some((call.at, true)),
                CallEnd::Failed | CallEnd::TimedOut => Some((call.at, false)),
                CallEnd::NotSent => None,
            })
            .collect();
        ends.sort_unstable();
        let failed = ends.iter().rev().take_while(|(_, is_answered)| !is_answered);
        let count = u32::try_from(failed.count()).unwrap_or(u32::MAX);
        Failures { count, last: ends.last().filter(|_| count > 0).map(|(at, _)| *at) }
    }

    /// The cached answer of the same model to the same evidence, if it is younger than `ttl`.
    pub fn cached(&self, sought: &OpinionSought, ttl: Span, now: Timestamp) -> Option<&Reached> {
        let since = ttl.before(now);
        let is_same = |key: &QuestionKey| {
            (&key.fingerprint, &key.provider, &key.model) == (&sought.fingerprint, &sought.provider, &sought.model)
        };
        self.calls.values().rev().find_map(|call| match &call.end {
            Some(CallEnd::Answered(Some(reached)))
                if call.at > since && !sought.fingerprint.is_empty() && call.question.as_ref().is_some_and(is_same) =>
            {
                Some(&**reached)
            }
            Some(CallEnd::Answered(_) | CallEnd::TimedOut | CallEnd::Failed | CallEnd::NotSent) | None => None,
        })
    }

    /// Drops calls that are older than the retention.
    pub fn evict(&mut self, now: Timestamp) {
        let since = self.horizon(now);
        self.calls.retain(|_, call| call.at > since);
    }
}

impl Call {
    fn new(at: Timestamp) -> Self {
        Self { at, question: None, spent: Spending::default(), end: None }
    }
}

/// An answer from the cache does not extend its own lifetime, so it counts as not sent.
fn end_of_answer(reached: &Reached, usage: &Usage) -> CallEnd {
    match reached.method {
        Method::Rule { .. } => CallEnd::NotSent,
        Method::Model { .. } if usage.cached => CallEnd::NotSent,
        Method::Model { .. } => CallEnd::Answered(Some(Box::new(reached.clone()))),
    }
}

fn end_of_failure(failed: &Failed, usage: &Usage) -> CallEnd {
    if usage.requests == 0 {
        return CallEnd::NotSent;
    }
    match failed.trouble {
        Trouble::Unreachable | Trouble::Refused | Trouble::RateLimited => CallEnd::Failed,
        Trouble::TimedOut => CallEnd::TimedOut,
        // The answer is unusable, but the provider works.
        Trouble::Invalid => CallEnd::Answered(None),
        Trouble::OverBudget | Trouble::BreakerOpen | Trouble::Other => CallEnd::NotSent,
    }
}

#[cfg(test)]
mod tests;
