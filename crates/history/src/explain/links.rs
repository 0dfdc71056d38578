//! The links between events: by cause, and by the events that an event names.

use std::collections::BTreeSet;

use hemostat_schema::{Action, Alert, Event, EventId, Recorded};

/// Of these events, which are in order: those that led to the event `id`, the event itself, and those that followed from it.
pub fn chain(events: &[Recorded], id: EventId) -> BTreeSet<EventId> {
    let mut chain = BTreeSet::from([id]);
    for event in events.iter().rev().filter(|event| event.id <= id) {
        if chain.contains(&event.id) {
            chain.extend(links(event));
        }
    }
    // Other consequences of its causes did not follow from it.
    let mut after = BTreeSet::from([id]);
    for event in events.iter().filter(|event| event.id > id) {
        if links(event).any(|link| after.contains(&link)) {
            after.insert(event.id);
        }
    }
    chain.append(&mut after);
    chain
}

/// The earlier events to which `event` is linked: its cause, and those that it names.
pub fn links(event: &Recorded) -> impl Iterator<Item = EventId> {
    let named = match event.event() {
        Some(Event::Action(action)) => match action {
            Action::Proposed(proposed) => Some(proposed.diagnosis),
            Action::Approved(approved) => Some(approved.proposal),
            Action::Denied(denied) => Some(denied.proposal),
            Action::Expired(expired) => Some(expired.proposal),
            Action::Authorised(authorised) => Some(authorised.diagnosis),
            Action::Refused(refused) => Some(refused.diagnosis),
            Action::Succeeded(succeeded) => Some(succeeded.action),
            Action::Failed(failed) => Some(failed.action),
            Action::Verified(verified) => Some(verified.action),
            Action::GaveUp(_)
            | Action::BreakerReset(_)
            | Action::Paused(_)
            | Action::Resumed(_)
            | Action::DeadLetterRedriven(_)
            | Action::DeadLetterDiscarded(_)
            | Action::PolicyChanged(_)
            | Action::PolicyRefused(_)
            | Action::PoliciesCompared(_) => None,
        },
        Some(Event::Alert(alert)) => match alert {
            Alert::Escalated(escalated) => Some(escalated.alert),
            Alert::Resolved(resolved) => Some(resolved.alert),
            Alert::Delivered(delivered) => Some(delivered.alert),
            Alert::Undelivered(undelivered) => Some(undelivered.alert),
            Alert::Raised(_) | Alert::Suppressed(_) | Alert::Tested(_) => None,
        },
        Some(Event::Observation(_) | Event::Diagnosis(_) | Event::Sample(_)) | None => None,
    };
    event.cause.into_iter().chain(named)
}
