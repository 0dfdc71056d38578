//! The result of a backtest: the decisions that change, and the totals.

use hemostat_schema::{Action, Event, EventId, IncidentId, Subject, Timestamp, action::Outcome};
use serde::Serialize;

/// One decision that changes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// When it was decided, or would be.
    pub at: Timestamp,
    /// The decision on the log; `None` when there is none.
    pub id: Option<EventId>,
    /// Its subject.
    pub subject: Subject,
    /// Its incident.
    pub incident: Option<IncidentId>,
    /// The recorded decision; `None` when there was none.
    pub was: Option<DecisionSummary>,
    /// The decision of the proposed policy; `None` when there would be none.
    pub would_be: Option<DecisionSummary>,
}

/// A decision for people.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DecisionSummary {
    /// The kind of its event, such as `action.refused`.
    pub kind: String,
    /// In a word or two: `refused restart (cooling_down)`.
    pub short: String,
    /// In a sentence, with its reason.
    pub why: String,
}

/// The totals of the decisions of one world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Totals {
    /// Remedies that were authorised, without dry runs.
    pub actions: u64,
    /// Remedies after which the container recovered.
    pub recoveries: u64,
    /// Refusals.
    pub refusals: u64,
}

/// The result of a backtest.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Report {
    /// Every decision that changes, by time.
    pub changes: Vec<Change>,
    /// How many events were read.
    pub events: u64,
    /// How many recorded decisions were made again.
    pub decisions: u64,
    /// How many of them record no policy or no trigger, as an earlier version of HemoStat made them: the reference policy
    /// is taken for theirs, and the trigger that leads to them is sought.
    pub guessed: u64,
    /// How many of them the policy of the time, or the reference policy, does not make. They count as recorded.
    pub unexplained: u64,
    /// The recorded decisions.
    pub was: Totals,
    /// The decisions of the proposed policy.
    pub would_be: Totals,
    /// Diagnoses whose remedy was refused and would be executed.
    pub refused_that_would_run: u64,
}

impl Totals {
    pub(super) fn count(&mut self, event: &Event) {
        match event {
            Event::Action(Action::Authorised(intent)) if !intent.dry_run => self.actions += 1,
            Event::Action(Action::Verified(verdict)) if verdict.outcome == Outcome::Recovered => self.recoveries += 1,
            Event::Action(Action::Refused(_)) => self.refusals += 1,
            _ => {}
        }
    }
}
