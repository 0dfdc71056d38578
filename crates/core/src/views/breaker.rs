//! The view `breaker`: whether HemoStat goes on trying to heal a container, by the rules of [`crate::remedy::breaker`]
//! and [`crate::remedy::backoff`].

use hemostat_schema::{Action, Event, EventId, Family, Recorded, action::Outcome};
use serde::{Deserialize, Serialize};

use crate::{
    projection::Projection,
    remedy::{
        backoff::{AttemptEnd, Attempts},
        breaker,
    },
};

/// The view itself.
#[derive(Debug, Clone, Copy)]
pub struct Breaker;

/// The circuit breaker of one container that was treated, by the container's key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its state.
    pub breaker: breaker::Breaker,
    /// The attempts so far.
    pub attempts: Attempts,
    /// The last event applied.
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
            Some(Event::Action(
                Action::Proposed(_)
                | Action::Approved(_)
                | Action::Denied(_)
                | Action::Expired(_)
                | Action::Refused(_)
                | Action::Succeeded(_)
                | Action::Paused(_)
                | Action::Resumed(_)
                | Action::DeadLetterRedriven(_)
                | Action::DeadLetterDiscarded(_)
                | Action::PolicyChanged(_)
                | Action::PolicyRefused(_)
                | Action::PoliciesCompared(_),
            ))
            | Some(Event::Observation(_) | Event::Diagnosis(_) | Event::Alert(_) | Event::Sample(_))
            | None => vec![],
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
                breaker.pass(event.incident.as_ref(), &attempts);
                attempts.begin(event.id, event.at, event.incident.clone());
            }
            Action::Failed(failed) => attempts.end(failed.action, event.at, AttemptEnd::Failed),
            Action::Verified(verified) => {
                attempts.end(verified.action, event.at, AttemptEnd::Judged(verified.outcome));
                if verified.outcome == Outcome::Recovered {
                    breaker.reset();
                }
            }
            Action::GaveUp(gave_up) => breaker.trip(gave_up.until),
            Action::BreakerReset(_) => {
                breaker.reset();
                attempts.reset();
            }
            Action::Proposed(_)
            | Action::Approved(_)
            | Action::Denied(_)
            | Action::Expired(_)
            | Action::Refused(_)
            | Action::Succeeded(_)
            | Action::Paused(_)
            | Action::Resumed(_)
            | Action::DeadLetterRedriven(_)
            | Action::DeadLetterDiscarded(_)
            | Action::PolicyChanged(_)
            | Action::PolicyRefused(_)
            | Action::PoliciesCompared(_) => {}
        }
        Some(Row { breaker, attempts, last: event.id })
    }
}
