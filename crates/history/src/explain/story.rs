//! A story: what happened, in order, each with what led to it, and how it ended. Pure.

use hemostat_core::{
    Projection as _,
    view::{Incidents, incidents, story as lines},
};
use hemostat_schema::{
    Action, Alert, Diagnosis, Event, EventId, IncidentId, Observation, Recorded, Span, Subject, Timestamp,
};
use serde::Serialize;

use super::{Detail, details, links};

/// What happened, why, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Story {
    /// Who it is about.
    pub subject: Subject,
    /// The incident, where it is one's.
    pub incident: Option<IncidentId>,
    /// When it began.
    pub begun: Timestamp,
    /// When the incident was over; none while it is open, and where it is no incident's.
    pub ended: Option<Timestamp>,
    /// How it stands or ended, in a sentence.
    pub ending: String,
    /// What happened, in order.
    pub scenes: Vec<Scene>,
    /// Causes that history no longer holds.
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
    /// The part that it plays.
    pub part: Part,
    /// What happened, in a sentence.
    pub line: String,
    /// The numbers and reasons behind it.
    pub details: Vec<Detail>,
    /// The scenes that led to it, by number.
    pub because_of: Vec<usize>,
}

/// The part that an event plays in a story.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// What was seen.
    Seen,
    /// What was concluded.
    Concluded,
    /// What was decided, and which limits stood where.
    Decided,
    /// What was done.
    Done,
    /// What came of it.
    Outcome,
    /// Who was told.
    Told,
}

impl Part {
    /// As a word at the beginning of a line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Seen => "seen",
            Self::Concluded => "concluded",
            Self::Decided => "decided",
            Self::Done => "done",
            Self::Outcome => "came of it",
            Self::Told => "told",
        }
    }

    /// Of a known event.
    fn of(event: &Event) -> Self {
        match event {
            Event::Observation(observation) => match observation {
                Observation::SymptomCleared(_) => Self::Outcome,
                Observation::Seen(_)
                | Observation::Removed(_)
                | Observation::Started(_)
                | Observation::Exited(_)
                | Observation::Frozen(_)
                | Observation::Thawed(_)
                | Observation::HealthChanged(_)
                | Observation::Sampled(_)
                | Observation::Stored(_)
                | Observation::Examined(_)
                | Observation::DiskMeasured(_)
                | Observation::SymptomRaised(_)
                | Observation::SymptomWorsened(_)
                | Observation::EngineLost(_)
                | Observation::EngineFound(_) => Self::Seen,
            },
            Event::Diagnosis(
                Diagnosis::Reached(_) | Diagnosis::OpinionSought(_) | Diagnosis::Opined(_) | Diagnosis::Failed(_),
            ) => Self::Concluded,
            Event::Action(action) => match action {
                Action::Succeeded(_) | Action::Failed(_) => Self::Done,
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
                | Action::Resumed(_) => Self::Decided,
            },
            Event::Alert(
                Alert::Raised(_)
                | Alert::Escalated(_)
                | Alert::Resolved(_)
                | Alert::Suppressed(_)
                | Alert::Tested(_)
                | Alert::Delivered(_)
                | Alert::Undelivered(_),
            ) => Self::Told,
        }
    }
}

impl Story {
    /// The story of those of these events, which are in order, that are `told`: an incident's ending follows from all of
    /// them. `lost` are causes that history no longer holds. None where nothing can be told.
    pub fn of(events: &[Recorded], told: impl Fn(&Recorded) -> bool, lost: Vec<EventId>) -> Option<Self> {
        let known = events.iter().filter(|event| told(event)).filter_map(|event| Some((event, event.event()?)));
        let known: Vec<(&Recorded, &Event)> = known.collect();
        let first = known.first()?.0;
        let begun = first.at;
        let incident = known.iter().find_map(|(event, _)| event.incident.clone());
        let number = |id: EventId| known.iter().position(|(event, _)| event.id == id).map(|index| index + 1);
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
                details: details::of(event),
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

/// How an incident stands or ended.
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
            (Some((_, refusal)), _) => format!("{who} is still ill; no remedy is carried out: {refusal}"),
            (None, true) => format!("{who} is still ill; nothing has been tried yet"),
            (None, false) => format!("{who} is still ill, {tried}"),
        },
        incidents::State::Recovered => format!("{who} was healed {tried}, in {}", took()),
        incidents::State::GivenUp => format!("HemoStat gave up on {who} {tried}; it needs a person"),
        incidents::State::Passed => format!("it passed by itself, or somebody else mended it, in {} ({tried})", took()),
        incidents::State::Stopped => format!("an operator stopped {who}, which ended it after {}", took()),
        incidents::State::Removed => format!("{who} was removed, which ended it after {}", took()),
    }
}
