//! The view `breaker`: whether HemoStat goes on trying with a container, by the rules of [`crate::breaker`] and
//! [`crate::backoff`].

use hemostat_schema::{Action, Event, EventId, Family, Recorded, action::Outcome};
use serde::{Deserialize, Serialize};

use crate::{
    Projection,
    backoff::{Attempts, End},
    breaker,
};

/// The view itself.
#[derive(Debug, Clone, Copy)]
pub struct Breaker;

/// The breaker of one container that was treated, by its key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its position.
    pub breaker: breaker::Breaker,
    /// What was tried.
    pub attempts: Attempts,
    /// The last event that was taken in.
    pub last: EventId,
}

impl Projection for Breaker {
    const NAME: &'static str = "breaker";
    const VERSION: u16 = 1;
    const READS: &'static [Family] = &[Family::Action];
    type Row = Row;

    fn keys(event: &Recorded) -> Vec<String> {
        match event.event() {
            Some(Event::Action(
                Action::Authorised(_)
                | Action::Failed(_)
                | Action::Verified(_)
                | Action::GaveUp(_)
                | Action::BreakerReset(_),
            )) => vec![event.subject.to_string()],
            _ => vec![],
        }
    }

    fn evolve(row: Option<Row>, _: &str, event: &Recorded) -> Option<Row> {
        let Some(Event::Action(action)) = event.event() else { return row };
        if row.as_ref().is_some_and(|row| event.id <= row.last) {
            return row;
        }
        let (mut breaker, mut attempts) = row.map(|row| (row.breaker, row.attempts)).unwrap_or_default();
        match action {
            Action::Authorised(_) => {
                breaker.attempt(event.incident.as_ref(), &attempts);
                attempts.begin(event.id, event.at, event.incident.clone());
            }
            Action::Failed(failed) => attempts.end(failed.action, event.at, End::Failed),
            Action::Verified(verified) => {
                attempts.end(verified.action, event.at, End::Judged(verified.outcome));
                if verified.outcome == Outcome::Recovered {
                    breaker.close();
                }
            }
            Action::GaveUp(gave_up) => breaker.trip(gave_up.until),
            Action::BreakerReset(_) => {
                breaker.close();
                attempts.forget();
            }
            Action::Proposed(_)
            | Action::Approved(_)
            | Action::Denied(_)
            | Action::Expired(_)
            | Action::Refused(_)
            | Action::Succeeded(_)
            | Action::Paused(_)
            | Action::Resumed(_) => {}
        }
        Some(Row { breaker, attempts, last: event.id })
    }
}
