//! What models have been asked lately, what it cost and what came of it.
//!
//! It is a fold of the diagnoses on the log, so budget, breaker and cache outlast a restart, and processes that share a
//! log share them. What is on its way in this process is noted beside it, under the id of the question, and is written
//! over by what the log says of the same question: nothing is counted twice, and nothing between sending and recording
//! goes uncounted.

use std::collections::BTreeMap;

use hemostat_schema::{
    Diagnosis, Event, EventId, Recorded, Span, Timestamp,
    diagnosis::{Failed, Method, OpinionSought, Reached, Trouble, Usage},
};

use crate::{
    breaker::Failures,
    budget::{HOUR, Prices, Spent, spent_by},
    prompt,
};

/// What models have been asked lately.
#[derive(Debug)]
pub struct Casebook {
    cases: BTreeMap<EventId, Case>,
    prices: Prices,
    /// The most that an answer has.
    max_tokens: u32,
    /// How long a case is kept.
    keep: Span,
}

/// One question.
#[derive(Debug)]
struct Case {
    /// When it was asked, or its outcome was told.
    at: Timestamp,
    asked: Option<Asked>,
    /// What it has cost, as far as it is known, and what it may cost yet.
    spent: Spent,
    end: Option<End>,
}

/// What a question was.
#[derive(Debug)]
struct Asked {
    provider: String,
    model: String,
    fingerprint: String,
    /// The most that one request of it costs.
    most: Spent,
}

/// What came of a question.
#[derive(Debug)]
enum End {
    /// The provider answered, and with a diagnosis where it is here and may be given again.
    Answered(Option<Box<Reached>>),
    /// The provider was not waited for any longer.
    Awaited,
    /// The provider failed.
    Failed,
    /// It was not asked.
    Unasked,
}

impl End {
    /// Whether the provider worked on it, and so wants to be paid.
    fn is_dear(&self) -> bool {
        match self {
            Self::Answered(_) | Self::Awaited => true,
            Self::Failed | Self::Unasked => false,
        }
    }
}

impl Casebook {
    /// An empty one that keeps what is needed for the hour, and for as long as an answer may be given again.
    pub fn new(prices: Prices, max_tokens: u32, cache: Span) -> Self {
        Self { cases: BTreeMap::new(), prices, max_tokens, keep: cache.max(HOUR) }
    }

    /// How far back the log must be read to know everything.
    pub fn horizon(&self, now: Timestamp) -> Timestamp {
        self.keep.before(now)
    }

    /// Takes in what the log says.
    pub fn evolve(&mut self, event: &Recorded) {
        let Some(Event::Diagnosis(diagnosis)) = event.event() else { return };
        match diagnosis {
            Diagnosis::OpinionSought(sought) => self.open(event.id, event.at, sought),
            Diagnosis::Reached(reached) => self.close(event, reached.usage.as_ref(), |usage| answered(reached, usage)),
            Diagnosis::Opined(opined) => {
                let opinion = &opined.opinion;
                self.close(event, opinion.usage.as_ref(), |usage| answered(opinion, usage));
            }
            Diagnosis::Failed(failed) => self.close(event, failed.usage.as_ref(), |usage| failure(failed, usage)),
        }
    }

    /// A question is known; what was noted of it before stays.
    pub fn open(&mut self, id: EventId, at: Timestamp, sought: &OpinionSought) {
        let bytes: usize = sought.evidence.iter().map(|exhibit| exhibit.text.len()).sum();
        let bytes = bytes + prompt::AROUND;
        let asked = Asked {
            provider: sought.provider.clone(),
            model: sought.model.clone(),
            fingerprint: sought.fingerprint.clone(),
            most: self.prices.at_most(bytes, self.max_tokens),
        };
        let case = self.cases.entry(id).or_insert_with(|| Case::new(at));
        case.asked = Some(asked);
    }

    /// What was said of a question; of a diagnosis for which no model was asked, nothing.
    fn close(&mut self, event: &Recorded, usage: Option<&Usage>, end: impl FnOnce(&Usage) -> End) {
        let (Some(id), Some(usage)) = (event.cause, usage) else { return };
        let case = self.cases.entry(id).or_insert_with(|| Case::new(event.at));
        case.spent = spent_by(usage);
        let end = end(usage);
        if end.is_dear() && case.spent.tokens == 0 {
            // The provider does not say, or was not waited for.
            let most = case.asked.as_ref().map(|asked| asked.most).unwrap_or_default();
            case.spent = most.times(u64::from(usage.requests));
        }
        case.at = event.at;
        case.end = Some(end);
    }

    /// Notes that `more` may be spent on the question `id`, beside what is noted of it.
    pub fn reserve(&mut self, id: EventId, more: Spent, now: Timestamp) {
        let case = self.cases.entry(id).or_insert_with(|| Case::new(now));
        case.spent = case.spent.and(more);
    }

    /// Notes what the question `id` has cost so far, instead of what it might have.
    pub fn settle(&mut self, id: EventId, spent: Spent) {
        if let Some(case) = self.cases.get_mut(&id) {
            case.spent = spent;
        }
    }

    /// Notes whether the provider answered the question `id`.
    pub fn answered(&mut self, id: EventId, is_answered: bool, now: Timestamp) {
        if let Some(case) = self.cases.get_mut(&id) {
            case.at = now;
            case.end = Some(if is_answered { End::Answered(None) } else { End::Failed });
        }
    }

    /// What was spent, or may be by what is on its way, within the hour.
    pub fn spent(&self, now: Timestamp) -> Spent {
        let since = HOUR.before(now);
        self.cases.values().filter(|case| case.at > since).fold(Spent::default(), |sum, case| sum.and(case.spent))
    }

    /// How often the provider has failed since it last answered.
    pub fn failures(&self) -> Failures {
        let mut ends: Vec<(Timestamp, bool)> = self
            .cases
            .values()
            .filter_map(|case| match case.end.as_ref()? {
                End::Answered(_) => Some((case.at, true)),
                End::Failed | End::Awaited => Some((case.at, false)),
                End::Unasked => None,
            })
            .collect();
        ends.sort_unstable();
        let failed = ends.iter().rev().take_while(|(_, is_answered)| !is_answered);
        let count = u32::try_from(failed.count()).unwrap_or(u32::MAX);
        Failures { count, last: ends.last().filter(|_| count > 0).map(|(at, _)| *at) }
    }

    /// What this model answered to the same evidence not longer than `cache` ago.
    pub fn answer(&self, sought: &OpinionSought, cache: Span, now: Timestamp) -> Option<&Reached> {
        let since = cache.before(now);
        let is_same = |asked: &Asked| {
            (&asked.fingerprint, &asked.provider, &asked.model)
                == (&sought.fingerprint, &sought.provider, &sought.model)
        };
        self.cases.values().rev().find_map(|case| match &case.end {
            Some(End::Answered(Some(reached)))
                if case.at > since && !sought.fingerprint.is_empty() && case.asked.as_ref().is_some_and(is_same) =>
            {
                Some(&**reached)
            }
            _ => None,
        })
    }

    /// Forgets what is of no use any more.
    pub fn forget(&mut self, now: Timestamp) {
        let since = self.horizon(now);
        self.cases.retain(|_, case| case.at > since);
    }
}

impl Case {
    fn new(at: Timestamp) -> Self {
        Self { at, asked: None, spent: Spent::default(), end: None }
    }
}

/// Of an answer that was given again nothing new is known.
fn answered(reached: &Reached, usage: &Usage) -> End {
    match reached.method {
        Method::Rule { .. } => End::Unasked,
        Method::Model { .. } if usage.cached => End::Unasked,
        Method::Model { .. } => End::Answered(Some(Box::new(reached.clone()))),
    }
}

fn failure(failed: &Failed, usage: &Usage) -> End {
    if usage.requests == 0 {
        return End::Unasked;
    }
    match failed.trouble {
        Trouble::Unreachable | Trouble::Refused | Trouble::RateLimited => End::Failed,
        Trouble::TimedOut => End::Awaited,
        // It does answer.
        Trouble::Invalid => End::Answered(None),
        Trouble::OverBudget | Trouble::BreakerOpen | Trouble::Other => End::Unasked,
    }
}

#[cfg(test)]
mod tests;
