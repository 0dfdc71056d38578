//! What a backtest found: the decisions that change, and what all of them come to.

use hemostat_schema::{Action, Event, EventId, IncidentId, Subject, Timestamp, action::Outcome};
use serde::Serialize;

/// One decision that changes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// When it was, or would be, decided.
    pub at: Timestamp,
    /// The decision on the log; none where nothing was decided.
    pub id: Option<EventId>,
    /// About whom.
    pub subject: Subject,
    /// For which illness.
    pub incident: Option<IncidentId>,
    /// What was decided; none where nothing was.
    pub was: Option<Said>,
    /// What would be decided; none where nothing would.
    pub would_be: Option<Said>,
}

/// A decision, in words.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Said {
    /// Such as `action.refused`.
    pub kind: String,
    /// In a word or two: `refused restart (cooling_down)`.
    pub short: String,
    /// In a sentence, with its reason.
    pub why: String,
}

/// What all decisions of one world come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Totals {
    /// Remedies that were authorised, dry runs aside.
    pub actions: u64,
    /// Remedies that helped.
    pub recoveries: u64,
    /// Refusals.
    pub refusals: u64,
}

/// What a backtest found.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Report {
    /// Every decision that changes, in the order of time.
    pub changes: Vec<Change>,
    /// How many events were looked at.
    pub events: u64,
    /// How many decisions of the log were decided again.
    pub decisions: u64,
    /// Those that the reference policy does not give: another was in force then. They stand as they are recorded.
    pub unexplained: u64,
    /// What was.
    pub was: Totals,
    /// What would be.
    pub would_be: Totals,
    /// Diagnoses whose remedy was refused and would have run.
    pub refused_that_would_run: u64,
}

impl Report {
    /// This and the report of another partition.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.changes.extend(other.changes);
        self.changes.sort_by_key(|change| change.at);
        self.events += other.events;
        self.decisions += other.decisions;
        self.unexplained += other.unexplained;
        self.was = self.was.and(other.was);
        self.would_be = self.would_be.and(other.would_be);
        self.refused_that_would_run += other.refused_that_would_run;
        self
    }
}

impl Totals {
    fn and(self, other: Self) -> Self {
        Self {
            actions: self.actions + other.actions,
            recoveries: self.recoveries + other.recoveries,
            refusals: self.refusals + other.refusals,
        }
    }

    pub(super) fn count(&mut self, event: &Event) {
        match event {
            Event::Action(Action::Authorised(intent)) if !intent.dry_run => self.actions += 1,
            Event::Action(Action::Verified(verdict)) if verdict.outcome == Outcome::Recovered => self.recoveries += 1,
            Event::Action(Action::Refused(_)) => self.refusals += 1,
            _ => {}
        }
    }
}
