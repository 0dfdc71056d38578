//! Which events may be worth an alert.

use hemostat_schema::{
    Action, Diagnosis, Event, Recorded,
    action::{Failed, GaveUp, Proposed, Refusal, Refused},
    diagnosis::{Reached, Verdict},
};

/// What an alert may report.
#[derive(Debug, Clone, Copy)]
pub(super) enum Notice<'a> {
    /// The container is sick, and HemoStat is dealing with it.
    Diagnosed(&'a Reached),
    /// A person is needed.
    NeedsPerson(NeedsPerson<'a>),
}

/// Why a person is needed.
#[derive(Debug, Clone, Copy)]
pub(super) enum NeedsPerson<'a> {
    /// No remedy of HemoStat's would help.
    NoRemedy,
    /// The remedy must not be carried out now.
    Refused(&'a Refused),
    /// A person must approve the remedy.
    Proposed(&'a Proposed),
    /// The remedy could not be carried out.
    Failed(&'a Failed),
    /// HemoStat gave up after unsuccessful attempts.
    GaveUp(&'a GaveUp),
}

impl<'a> Notice<'a> {
    /// What `event` may be worth an alert for, if anything.
    pub(super) fn of(event: &'a Recorded) -> Option<Self> {
        match event.event()? {
            Event::Diagnosis(Diagnosis::Reached(reached)) => match (reached.verdict, &reached.remedy) {
                (Verdict::Sick, None) => Some(Self::NeedsPerson(NeedsPerson::NoRemedy)),
                (Verdict::Sick, Some(_)) | (Verdict::Unclear, _) => Some(Self::Diagnosed(reached)),
                (Verdict::FalseAlarm, _) => None,
            },
            Event::Action(Action::Refused(refused)) if needs_person(&refused.refusal) => {
                Some(Self::NeedsPerson(NeedsPerson::Refused(refused)))
            }
            Event::Action(Action::Proposed(proposed)) => Some(Self::NeedsPerson(NeedsPerson::Proposed(proposed))),
            Event::Action(Action::Failed(failed)) => Some(Self::NeedsPerson(NeedsPerson::Failed(failed))),
            Event::Action(Action::GaveUp(gave_up)) => Some(Self::NeedsPerson(NeedsPerson::GaveUp(gave_up))),
            Event::Observation(_) | Event::Diagnosis(_) | Event::Action(_) | Event::Alert(_) | Event::Sample(_) => None,
        }
    }
}

/// Whether nothing more happens to the container unless a person acts.
fn needs_person(refusal: &Refusal) -> bool {
    match refusal {
        Refusal::Paused
        | Refusal::Protected { .. }
        | Refusal::Observing
        | Refusal::Unsure { .. }
        | Refusal::NotPermitted
        | Refusal::Storm { .. }
        | Refusal::CoolingDown { .. }
        | Refusal::Tripped { .. }
        | Refusal::Unsupported { .. }
        | Refusal::NotDurable { .. } => true,
        Refusal::Stale { .. }
        | Refusal::OperatorStopped
        | Refusal::Maintenance { .. }
        | Refusal::InHand
        | Refusal::Moot
        | Refusal::BackingOff { .. } => false,
    }
}
