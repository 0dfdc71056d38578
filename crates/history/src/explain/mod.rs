//! Explains an incident or an event: what caused it and what followed from it, as a story in order of time.
//!
//! [`Story`] is pure: events in, story out. This file reads the events that belong to it: those of an incident, or those
//! linked to one event. Two events are linked if one is the cause of the other, or names it as a verdict names its action.

mod basis;
mod details;
mod links;
mod story;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use hemostat_core::views::story as lines;
use hemostat_log::{Error, History};
use hemostat_schema::{Event, EventId, IncidentId, Recorded, Subject};

pub use self::{
    details::Detail,
    links::{chain, links},
    story::{Part, Scene, Story},
};
use crate::{
    Filter, Policies,
    filter::ContainerPattern,
    select::{Progress, Selected},
    window::Window,
};

/// Maximum causes that are followed back before the first event: what led to an incident lies just before it.
const MAX_CAUSES: usize = 16;

/// What to explain.
#[derive(Debug, Clone)]
pub enum About {
    /// All events of an incident.
    Incident(IncidentId),
    /// What led to an event, and what followed from it.
    Event(EventId),
}

/// The story of an incident or an event; `None` when there is no such.
///
/// # Errors
/// When the log or the archive cannot be read.
pub async fn explain(history: &History, about: &About, progress: &Progress) -> Result<Option<Story>, Error> {
    match about {
        About::Incident(incident) => {
            let filter = Filter { incident: Some(incident.clone()), ..Filter::ALL };
            let events = read(history, filter, progress).await?;
            tell(history, events, None).await
        }
        About::Event(id) => {
            if id.partition.0 >= history.log().partitions() {
                return Ok(None);
            }
            let Some(event) = history.get(*id).await?.and_then(|entry| entry.event.ok()) else { return Ok(None) };
            // What followed is about the same container: within its incident, or else anything later.
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
            tell(history, events, Some(*id)).await
        }
    }
}

/// The incidents of the containers that match `container`, by beginning, each with its subject.
///
/// # Errors
/// When the log or the archive cannot be read.
pub async fn incidents(
    history: &History,
    container: &ContainerPattern,
    window: Window,
    progress: &Progress,
) -> Result<Vec<(IncidentId, Subject)>, Error> {
    let kind = Some("observation.symptom_raised".parse().expect("it is a kind"));
    let filter = Filter { window, kind, container: Some(container.clone()), ..Filter::ALL };
    let begun = read(history, filter, progress).await?;
    let by_id: BTreeMap<IncidentId, Subject> =
        begun.into_iter().filter_map(|event| Some((event.incident?, event.subject))).collect();
    // The id of an incident starts with the time at which it began.
    Ok(by_id.into_iter().collect())
}

/// The selected events that can be decoded and are notable, in order.
async fn read(history: &History, filter: Filter, progress: &Progress) -> Result<Vec<Recorded>, Error> {
    let mut selected = Selected::new(history, filter, progress);
    let mut events = vec![];
    while let Some(found) = selected.next().await? {
        events.extend(found.entry.event.ok().filter(lines::is_notable));
    }
    Ok(events)
}

/// The story of these events and of the causes before them; `about` one of them: only of its chain.
async fn tell(history: &History, mut events: Vec<Recorded>, about: Option<EventId>) -> Result<Option<Story>, Error> {
    let mut lost = vec![];
    for _ in 0..MAX_CAUSES {
        let present: BTreeSet<EventId> = events.iter().map(|event| event.id).collect();
        let missing =
            events.iter().filter_map(|event| event.cause).find(|id| !present.contains(id) && !lost.contains(id));
        let Some(cause) = missing else { break };
        match history.get(cause).await?.and_then(|entry| entry.event.ok()) {
            Some(event) => events.push(event),
            None => lost.push(cause),
        }
    }
    events.sort_by_key(|event| event.id);
    let policies = match events.first() {
        Some(first) if events.iter().any(names_policy) => Policies::read(history, first.id.partition).await?,
        _ => Policies::default(),
    };
    let chain = about.map(|id| chain(&events, id));
    Ok(Story::of(&events, |event| chain.as_ref().is_none_or(|chain| chain.contains(&event.id)), lost, &policies))
}

fn names_policy(event: &Recorded) -> bool {
    event.event().and_then(Event::basis).is_some_and(|basis| basis.policy.is_some())
}
