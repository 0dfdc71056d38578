//! The events that record a model's opinion, as a pure function.

use hemostat_diagnosis::opinion::agree;
use hemostat_schema::{
    Cause, DecidedOn, Event, NewEvent, Recorded, Span, Timestamp,
    diagnosis::{Failed, Opined, OpinionSought, Part, Reached},
};

use crate::model_client::{CallError, Opinion};

/// Characters of the model's error that the fallback diagnosis repeats.
const MAX_ERROR: usize = 200;

/// What came of a question, and when.
pub(super) struct Outcome<'a> {
    /// The event that asked.
    pub event: &'a Recorded,
    /// What it asked.
    pub sought: &'a OpinionSought,
    /// What came of it.
    pub opinion: &'a Opinion,
    /// Now.
    pub now: Timestamp,
    /// The timeout of the question.
    pub limit: Span,
}

impl Outcome<'_> {
    /// The events to record.
    pub fn events(&self) -> Vec<NewEvent> {
        match (self.sought.part, &self.opinion.outcome) {
            (Part::Decides, Ok(reached)) => vec![self.event_at(self.now, reached.clone())],
            (Part::Decides, Err(error)) => {
                vec![
                    self.event_at(self.now, self.failed(error)),
                    self.event_at(self.fallback_at(), self.fallback(error)),
                ]
            }
            (Part::Shadows, Ok(reached)) => {
                let rules = self.sought.fallback.clone();
                let agrees = agree(reached, &rules);
                vec![self.event_at(self.now, Opined { opinion: reached.clone(), rules, agrees })]
            }
            (Part::Shadows, Err(error)) => vec![self.event_at(self.now, self.failed(error))],
        }
    }

    fn event_at(&self, at: Timestamp, event: impl Into<Event>) -> NewEvent {
        let event = event.into().decided(self.sought.fallback.policy, &DecidedOn::Event(self.event.id));
        let event = NewEvent::new(self.event.subject.clone(), at, event);
        event.in_incident(self.event.incident.clone()).caused_by(Cause::Event(self.event.id))
    }

    fn failed(&self, error: &CallError) -> Failed {
        Failed {
            provider: self.sought.provider.clone(),
            model: self.sought.model.clone(),
            trouble: error.trouble,
            error: error.error.clone(),
            took: self.opinion.usage.took,
            usage: Some(self.opinion.usage),
        }
    }

    /// The diagnosis of the rules, which says why it stands.
    fn fallback(&self, error: &CallError) -> Reached {
        let rules = self.sought.fallback.clone();
        let error: String = error.error.chars().take(MAX_ERROR).collect();
        let why = format!("{} (by rules: {} gave no diagnosis, {error})", rules.why, self.sought.model);
        Reached { why, ..rules }
    }

    /// The instant of the fallback: now, or, if the question was handled too late, that of the question, so that readers
    /// see that it is stale.
    fn fallback_at(&self) -> Timestamp {
        let is_late = Span::between(self.event.at, self.now) > self.limit.times(2);
        if is_late { self.event.at } else { self.now }
    }
}

#[cfg(test)]
mod tests;
