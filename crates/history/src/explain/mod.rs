//! Why something happened, and what came of it: the chain of events about it, told as a story.
//!
//! [`Story`] is pure: events in, story out. Around it stands the reading: which events belong to an incident, to one act
//! or to a container. An event belongs to another by its cause, or because it names it (a verdict names its act).

mod details;
mod story;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use hemostat_core::view::story as lines;
use hemostat_log::{Error, History};
use hemostat_schema::{Action, Alert, Event, EventId, IncidentId, Recorded, Subject};

pub use self::{
    details::Detail,
    story::{Part, Scene, Story},
};
use crate::{
    Filter,
    filter::Whom,
    select::{Progress, Selected},
    window::Window,
};

/// So many causes are followed back from the beginning of an incident: what led to it lies just before it.
const CAUSES: usize = 16;

/// What is to be explained.
#[derive(Debug, Clone)]
pub enum About {
    /// All that happened in an incident.
    Incident(IncidentId),
    /// What led to an event, and what came of it.
    Event(EventId),
}

/// The story of an incident or an event; none where there is no such.
///
/// # Errors
/// When the log or the archive cannot be read.
pub async fn explain(history: &History, about: &About, progress: &Progress) -> Result<Option<Story>, Error> {
    match about {
        About::Incident(incident) => {
            let filter = Filter { incident: Some(incident.clone()), ..Filter::ALL };
            let events = read(history, filter, progress).await?;
            told(history, events, None).await
        }
        About::Event(id) => {
            if id.partition.0 >= history.log().partitions() {
                return Ok(None);
            }
            let Some(event) = history.get(*id).await?.and_then(|entry| entry.event.ok()) else { return Ok(None) };
            // What came of it is about the same container; without an incident it may be anything that follows.
            let filter = Filter {
                window: if event.incident.is_some() { Window::ALL } else { Window::ALL.starting_with(*id) },
                incident: event.incident.clone(),
                container: event.incident.is_none().then(|| event.subject.to_string().parse().ok()).flatten(),
                host: Some(event.subject.host.clone()),
                ..Filter::ALL
            };
            let mut events = read(history, filter, progress).await?;
            if !events.iter().any(|other| other.id == *id) {
                events.insert(0, event);
            }
            told(history, events, Some(*id)).await
        }
    }
}

/// The incidents of the containers that are meant, in the order in which they began, each with its container.
///
/// # Errors
/// When the log or the archive cannot be read.
pub async fn incidents(
    history: &History,
    whom: &Whom,
    window: Window,
    progress: &Progress,
) -> Result<Vec<(IncidentId, Subject)>, Error> {
    let kind = Some("observation.symptom_raised".parse().expect("it is a kind"));
    let filter = Filter { window, kind, container: Some(whom.clone()), ..Filter::ALL };
    let begun = read(history, filter, progress).await?;
    let by_id: BTreeMap<IncidentId, Subject> =
        begun.into_iter().filter_map(|event| Some((event.incident?, event.subject))).collect();
    // An incident's id begins with the instant at which it began.
    Ok(by_id.into_iter().collect())
}

/// What is asked for and can be read and told, in order.
async fn read(history: &History, filter: Filter, progress: &Progress) -> Result<Vec<Recorded>, Error> {
    let mut selected = Selected::new(history, filter, progress);
    let mut events = vec![];
    while let Some(found) = selected.next().await? {
        events.extend(found.entry.event.ok().filter(lines::is_notable));
    }
    Ok(events)
}

/// The story of these events, with what led to the first of them; where it is about one of them, of its chain alone.
async fn told(history: &History, mut events: Vec<Recorded>, about: Option<EventId>) -> Result<Option<Story>, Error> {
    let mut lost = vec![];
    for _ in 0..CAUSES {
        let here: BTreeSet<EventId> = events.iter().map(|event| event.id).collect();
        let missing = events.iter().filter_map(|event| event.cause).find(|id| !here.contains(id) && !lost.contains(id));
        let Some(cause) = missing else { break };
        match history.get(cause).await?.and_then(|entry| entry.event.ok()) {
            Some(event) => events.push(event),
            None => lost.push(cause),
        }
    }
    events.sort_by_key(|event| event.id);
    let chain = about.map(|id| chain(&events, id));
    Ok(Story::of(&events, |event| chain.as_ref().is_none_or(|chain| chain.contains(&event.id)), lost))
}

/// Of these events, in order, those that led to the event `id`, itself, and those that came of it.
pub fn chain(events: &[Recorded], id: EventId) -> BTreeSet<EventId> {
    let mut chain = BTreeSet::from([id]);
    for event in events.iter().rev().filter(|event| event.id <= id) {
        if chain.contains(&event.id) {
            chain.extend(links(event));
        }
    }
    // What followed from a cause of it alone did not come of it.
    let mut after = BTreeSet::from([id]);
    for event in events.iter().filter(|event| event.id > id) {
        if links(event).any(|link| after.contains(&link)) {
            after.insert(event.id);
        }
    }
    chain.append(&mut after);
    chain
}

/// The earlier events without which `event` would not be: its cause, and what it names.
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
            Action::GaveUp(_) | Action::BreakerReset(_) | Action::Paused(_) | Action::Resumed(_) => None,
        },
        Some(Event::Alert(alert)) => match alert {
            Alert::Escalated(escalated) => Some(escalated.alert),
            Alert::Resolved(resolved) => Some(resolved.alert),
            Alert::Delivered(delivered) => Some(delivered.alert),
            Alert::Undelivered(undelivered) => Some(undelivered.alert),
            Alert::Raised(_) | Alert::Suppressed(_) | Alert::Tested(_) => None,
        },
        Some(Event::Observation(_) | Event::Diagnosis(_)) | None => None,
    };
    event.cause.into_iter().chain(named)
}
