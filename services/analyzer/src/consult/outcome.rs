//! What is told on the log of a model's opinion: a pure function.

use hemostat_schema::{
    Cause, Event, NewEvent, Recorded, Span, Timestamp,
    diagnosis::{Failed, Opined, OpinionSought, Part, Reached},
};

use crate::counsel::{Opinion, Snag, agree};

/// So much of what happened is repeated where the rules' answer says why it stands, in characters.
const REPEATED: usize = 200;

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
    /// How long it was to take at most.
    pub limit: Span,
}

impl Outcome<'_> {
    /// As events.
    pub fn events(&self) -> Vec<NewEvent> {
        match (self.sought.part, &self.opinion.outcome) {
            (Part::Decides, Ok(reached)) => vec![self.told(self.now, reached.clone())],
            (Part::Decides, Err(snag)) => {
                vec![self.told(self.now, self.failed(snag)), self.told(self.concluded(), self.fallback(snag))]
            }
            (Part::Shadows, Ok(reached)) => {
                let rules = self.sought.fallback.clone();
                let agrees = agree(reached, &rules);
                vec![self.told(self.now, Opined { opinion: reached.clone(), rules, agrees })]
            }
            (Part::Shadows, Err(snag)) => vec![self.told(self.now, self.failed(snag))],
        }
    }

    fn told(&self, at: Timestamp, event: impl Into<Event>) -> NewEvent {
        let told = NewEvent::new(self.event.subject.clone(), at, event);
        told.in_incident(self.event.incident.clone()).caused_by(Cause::Event(self.event.id))
    }

    fn failed(&self, snag: &Snag) -> Failed {
        Failed {
            provider: self.sought.provider.clone(),
            model: self.sought.model.clone(),
            trouble: snag.trouble,
            error: snag.error.clone(),
            took: self.opinion.usage.took,
            usage: Some(self.opinion.usage),
        }
    }

    /// The rules' answer, which says why it stands.
    fn fallback(&self, snag: &Snag) -> Reached {
        let rules = self.sought.fallback.clone();
        let error: String = snag.error.chars().take(REPEATED).collect();
        let why = format!("{} (the rules': {} has no diagnosis, {error})", rules.why, self.sought.model);
        Reached { why, ..rules }
    }

    /// When the rules' answer was reached: now, unless nobody came to ask in time. It is then as old as the question,
    /// so that whoever acts on it can tell that it is stale.
    fn concluded(&self) -> Timestamp {
        let is_late = Span::between(self.event.at, self.now) > self.limit.times(2);
        if is_late { self.event.at } else { self.now }
    }
}

#[cfg(test)]
mod tests;
