//! A story: what happened, in order, each with what led to it, and how it ended. Pure.

use hemostat_core::{
    Projection as _,
    views::{Incidents, incidents, story as lines},
};
use hemostat_schema::{Action, Event, EventId, IncidentId, Observation, Recorded, Span, Subject, Timestamp};
use serde::Serialize;

use crate::Policies;

use super::{
    basis::BasisDetails,
    details::{self, Detail},
    links::links,
};

/// What happened, why, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Story {
    /// Its subject.
    pub subject: Subject,
    /// Its incident, if it belongs to one.
    pub incident: Option<IncidentId>,
    /// When it began.
    pub begun: Timestamp,
    /// When the incident ended; `None` while it is open, and without an incident.
    pub ended: Option<Timestamp>,
    /// The state or the end of the incident, in a sentence.
    pub ending: String,
    /// What happened, in order.
    pub scenes: Vec<Scene>,
    /// Causes that are no longer in history.
    pub lost: Vec<EventId>,
}

/// One event of a story.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scene {
    /// Its number in the story, from 1.
    pub number: usize,
    /// The event.
    pub id: EventId,
    /// When it happened.
    pub at: Timestamp,
    /// How long after the beginning of the story, in milliseconds.
    pub after: Span,
    /// Its part in the story.
    pub part: Part,
    /// What happened, in a sentence.
    pub line: String,
    /// The numbers and reasons of the event.
    pub details: Vec<Detail>,
    /// The numbers of the scenes that led to it.
    pub because_of: Vec<usize>,
}

/// The part of an event in a story.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// An observation.
    #[serde(rename = "seen")]
    Observed,
    /// A diagnosis.
    #[serde(rename = "concluded")]
    Diagnosed,
    /// A decision about a remedy.
    Decided,
    /// The execution of a remedy.
    #[serde(rename = "done")]
    Executed,
    /// The outcome of a remedy or of an incident.
    Outcome,
    /// An alert.
    #[serde(rename = "told")]
    Alerted,
}

impl Part {
    /// As the word at the beginning of a line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Observed => "observed",
            Self::Diagnosed => "diagnosed",
            Self::Decided => "decided",
            Self::Executed => "executed",
            Self::Outcome => "outcome",
            Self::Alerted => "alerted",
        }
    }

    /// The part of a known event.
    fn of(event: &Event) -> Self {
        match event {
            Event::Observation(Observation::SymptomCleared(_)) => Self::Outcome,
            Event::Observation(_) | Event::Sample(_) => Self::Observed,
            Event::Diagnosis(_) => Self::Diagnosed,
            Event::Action(action) => match action {
                Action::Succeeded(_) | Action::Failed(_) => Self::Executed,
                Action::Verified(_) => Self::Outcome,
                Action::Proposed(_)
                | Action::Approved(_)
                | Action::Denied(_)
                | Action::Expired(_)
                | Action::Authorised(_)
                | Action::Refused(_)
                | Action::GaveUp(_)
                | Action::BreakerReset(_)
                | Action::Paused(_)
                | Action::Resumed(_)
                | Action::DeadLetterRedriven(_)
                | Action::DeadLetterDiscarded(_)
                | Action::PolicyChanged(_)
                | Action::PolicyRefused(_)
                | Action::PoliciesCompared(_) => Self::Decided,
            },
            Event::Alert(_) => Self::Alerted,
        }
    }
}

impl Story {
    /// The story of `events`, which are in order: a scene for each event that `is_scene` selects; how the incident ended
    /// follows from all events. `lost` are causes that are no longer in history; `policies` are those of the partition. `None`
    /// without a scene.
    pub fn of(
        events: &[Recorded],
        is_scene: impl Fn(&Recorded) -> bool,
        lost: Vec<EventId>,
        policies: &Policies,
    ) -> Option<Self> {
        let known = events.iter().filter(|event| is_scene(event)).filter_map(|event| Some((event, event.event()?)));
        let known: Vec<(&Recorded, &Event)> = known.collect();
        let first = known.first()?.0;
        let begun = first.at;
        let incident = known.iter().find_map(|(event, _)| event.incident.clone());
        let number = |id: EventId| known.iter().position(|(event, _)| event.id == id).map(|index| index + 1);
        let mut basis = BasisDetails { policies, before: None };
        let scenes = known.iter().enumerate().map(|(index, (recorded, event))| {
            let mut because_of: Vec<usize> = links(recorded).filter_map(number).collect();
            because_of.sort_unstable();
            because_of.dedup();
            Scene {
                number: index + 1,
                id: recorded.id,
                at: recorded.at,
                after: Span::between(begun, recorded.at),
                part: Part::of(event),
                line: lines::line(recorded),
                details: details::of(event).into_iter().chain(basis.of(event)).collect(),
                because_of,
            }
        });
        let scenes = scenes.collect();
        let row = incident.as_ref().and_then(|incident| {
            let key = incident.to_string();
            let of_it = events.iter().filter(|event| event.incident.as_ref() == Some(incident));
            of_it.fold(None, |row, event| Incidents::evolve(row, &key, event))
        });
        Some(Self {
            subject: row.as_ref().map_or(&first.subject, |row| &row.subject).clone(),
            incident,
            begun,
            ended: row.as_ref().and_then(|row| row.ended),
            ending: row.as_ref().map_or_else(|| lines::line(known[known.len() - 1].0), ending),
            scenes,
            lost,
        })
    }
}

/// The state or the end of an incident, in a sentence.
fn ending(row: &incidents::Row) -> String {
    let who = row.subject.short();
    let took = || row.ended.map_or(Span::ZERO, |ended| Span::between(row.begun, ended));
    let tried = match row.attempts.len() {
        0 => "without a remedy".to_owned(),
        1 => "after 1 attempt".to_owned(),
        attempts => format!("after {attempts} attempts"),
    };
    match row.state {
        incidents::State::Open => match (&row.refused, row.attempts.is_empty()) {
            (Some((_, refusal)), _) => format!("{who} is still sick; HemoStat does not act: {refusal}"),
            (None, true) => format!("{who} is still sick; HemoStat has tried nothing yet"),
            (None, false) => format!("{who} is still sick, {tried}"),
        },
        incidents::State::Recovered => format!("{who} was healed {tried}, in {}", took()),
        incidents::State::GivenUp => format!("HemoStat gave up on {who} {tried}; it needs an operator"),
        incidents::State::Passed => {
            format!("{who} recovered by itself or with help from outside, in {} ({tried})", took())
        }
        incidents::State::Stopped => {
            format!("{who} was stopped, paused or no longer monitored, which ended it after {}", took())
        }
        incidents::State::Removed => format!("{who} was removed, which ended it after {}", took()),
    }
}
