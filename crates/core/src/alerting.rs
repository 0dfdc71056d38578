//! What people are told: one alert for each incident, escalated at most once, resolved at most once.
//!
//! An incident is told with its first diagnosis (or, under [`Tell::Failures`], only when HemoStat cannot or must not heal
//! it), escalated when a person is needed, and resolved when no remedy is in hand and no symptom has stood for the
//! stabilisation window. A symptom that comes back within that window belongs to the same incident, so what was told as
//! over does not come back under the same name. What would be told again is recorded as suppressed, once.
//!
//! The key of all this is the incident, which is one container's: three containers that fall ill in one second are three
//! alerts, and one container that is ill for an hour is one.

mod case;
#[cfg(test)]
mod tests;
mod words;

use hemostat_schema::{
    Action, Diagnosis, Event, Family, IncidentId, NewEvent, Recorded, Span, Subject, Timestamp,
    action::{Failed, GaveUp, Proposed, Refusal, Refused},
    alert::{Escalated, Raised, Resolution, Resolved, Suppressed, Suppression},
    diagnosis::{Reached, Verdict},
    observation::Cleared,
};

use crate::{
    Policy,
    decider::{Decider, Decision, Trigger},
    policy::Tell,
};
pub use case::State;
use case::{Case, Stage};
use words::Words;

/// The timer on which an incident may be over.
const OVER: &str = "over";

/// Tells people.
#[derive(Debug, Clone, Copy)]
pub struct Alerting;

impl Decider for Alerting {
    const GROUP: &'static str = "raise";
    const VERSION: u16 = 1;
    const READS: &'static [Family] = &[Family::Observation, Family::Diagnosis, Family::Action, Family::Alert];
    type State = State;
    type Shared = ();
    type Policy = Policy;

    fn evolve(state: &mut State, (): &mut (), event: &Recorded) {
        state.evolve(event);
    }

    fn decide(state: &State, (): &(), trigger: &Trigger<'_>, policy: &Policy, now: Timestamp) -> Decision {
        let desk = Desk { state, subject: trigger.subject(), policy, now };
        match trigger {
            Trigger::Event(event) if event.event().is_none_or(|event| !event.moves_head()) => Decision::nothing(),
            // Whoever tells something thinks again when that has been read, and sees then whether the incident is over.
            Trigger::Event(event) => desk.tell(event).map_or_else(|| desk.settle(), Decision::event),
            Trigger::Timer(_) => desk.settle(),
        }
    }
}

/// What may be worth telling.
#[derive(Debug, Clone, Copy)]
enum News<'a> {
    /// It is ill, and HemoStat will see to it.
    Illness(&'a Reached),
    /// A person is needed.
    Trouble(Trouble<'a>),
}

/// Why a person is needed.
#[derive(Debug, Clone, Copy)]
enum Trouble<'a> {
    /// Nothing that HemoStat can do would help.
    Incurable,
    /// It must not be treated now.
    Refused(&'a Refused),
    /// A person is asked for leave.
    Proposed(&'a Proposed),
    /// A remedy could not be carried out.
    Failed(&'a Failed),
    /// Attempt after attempt did not help.
    GaveUp(&'a GaveUp),
}

impl<'a> News<'a> {
    fn of(event: &'a Recorded) -> Option<Self> {
        match event.event()? {
            Event::Diagnosis(Diagnosis::Reached(reached)) => match (reached.verdict, &reached.remedy) {
                (Verdict::Sick, None) => Some(Self::Trouble(Trouble::Incurable)),
                (Verdict::Sick, Some(_)) | (Verdict::Unclear, _) => Some(Self::Illness(reached)),
                (Verdict::FalseAlarm, _) => None,
            },
            Event::Action(Action::Refused(refused)) if needs_a_person(&refused.refusal) => {
                Some(Self::Trouble(Trouble::Refused(refused)))
            }
            Event::Action(Action::Proposed(proposed)) => Some(Self::Trouble(Trouble::Proposed(proposed))),
            Event::Action(Action::Failed(failed)) => Some(Self::Trouble(Trouble::Failed(failed))),
            Event::Action(Action::GaveUp(gave_up)) => Some(Self::Trouble(Trouble::GaveUp(gave_up))),
            Event::Observation(_) | Event::Diagnosis(_) | Event::Action(_) | Event::Alert(_) => None,
        }
    }
}

/// Whether nothing more happens to the container unless a person sees to it.
fn needs_a_person(refusal: &Refusal) -> bool {
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
        | Refusal::Undurable { .. } => true,
        Refusal::Stale { .. }
        | Refusal::OperatorStopped
        | Refusal::Maintenance { .. }
        | Refusal::InHand
        | Refusal::Moot
        | Refusal::BackingOff { .. } => false,
    }
}

/// Where it is decided what is told of one container.
#[derive(Debug, Clone, Copy)]
struct Desk<'a> {
    state: &'a State,
    subject: &'a Subject,
    policy: &'a Policy,
    now: Timestamp,
}

impl Desk<'_> {
    /// What is told of `event`; none where there is nothing to tell.
    fn tell(&self, event: &Recorded) -> Option<NewEvent> {
        let news = News::of(event)?;
        let (incident, case) = self.state.cases.get_key_value(event.incident.as_ref()?)?;
        let words = Words { subject: self.subject, case };
        let told: Event = match (news, &case.stage) {
            (News::Illness(reached), Stage::Untold) if self.policy.alerts.tell == Tell::Incidents => {
                Raised { severity: case.severity, title: words.title(), text: words.illness(reached) }.into()
            }
            (News::Illness(_), Stage::Untold) | (_, Stage::Resolved) => return None,
            (News::Trouble(trouble), Stage::Untold) => {
                Raised { severity: case.severity, title: words.title(), text: words.trouble(&trouble) }.into()
            }
            (News::Trouble(trouble), Stage::Raised { alert, .. }) if !case.escalated => {
                Escalated { alert: *alert, title: words.needs_you(), text: words.trouble(&trouble) }.into()
            }
            (News::Illness(_) | News::Trouble(_), Stage::Raised { .. }) => {
                return self.suppress(incident, case, Suppression::Duplicate);
            }
        };
        match self.policy.alerts.enabled {
            true => Some(self.about(incident, told)),
            false => self.suppress(incident, case, Suppression::Disabled),
        }
    }

    fn suppress(&self, incident: &IncidentId, case: &Case, why: Suppression) -> Option<NewEvent> {
        if case.suppressed.contains(&why) {
            return None;
        }
        let title = Words { subject: self.subject, case }.title();
        Some(self.about(incident, Suppressed { why, title }))
    }

    /// Resolves what is over, and comes back for what will be.
    fn settle(&self) -> Decision {
        let mut decision = Decision::nothing();
        let mut next: Option<Timestamp> = None;
        for (incident, case) in &self.state.cases {
            let Stage::Raised { alert, at } = case.stage else { continue };
            let Some((since, how)) = self.ended(incident, case, at) else { continue };
            let over = match how {
                Resolution::Healed | Resolution::Passed => self.policy.stabilisation.after(since),
                Resolution::Stopped | Resolution::Removed => since,
            };
            if self.now < over {
                next = Some(next.map_or(over, |next| next.min(over)));
                continue;
            }
            let words = Words { subject: self.subject, case };
            let took = Span::between(at, self.now);
            let resolved = Resolved { alert, how, title: words.over(how), text: words.ending(how, took), took };
            decision.events.push(self.about(incident, resolved));
        }
        match next {
            Some(next) => decision.wake(OVER, next),
            None => decision,
        }
    }

    /// Since when nothing has been wrong, and how it came to that; none while something is, or a remedy is in hand.
    fn ended(&self, incident: &IncidentId, case: &Case, told: Timestamp) -> Option<(Timestamp, Resolution)> {
        let condition = &self.state.condition;
        let stands = condition.standing.values().any(|standing| standing.incident.as_ref() == Some(incident));
        if stands || case.in_hand.is_some() {
            return None;
        }
        let (since, why) = condition.cleared.unwrap_or((told, Cleared::Well));
        // It was not an operator who stopped it but a remedy that failed half-way: people are needed until it runs again.
        if why == Cleared::Stopped && case.failed && condition.facts.is_some() && !condition.runs() {
            return None;
        }
        let how = match (case.healed, why) {
            (_, Cleared::Removed) => Resolution::Removed,
            (true, _) => Resolution::Healed,
            (false, Cleared::Stopped) => Resolution::Stopped,
            (false, Cleared::Well) => Resolution::Passed,
        };
        Some((since, how))
    }

    fn about(&self, incident: &IncidentId, event: impl Into<Event>) -> NewEvent {
        NewEvent::new(self.subject.clone(), self.now, event).in_incident(Some(incident.clone()))
    }
}
