//! Raises alerts: one per incident, escalated at most once and resolved at most once.
//!
//! The first diagnosis of an incident raises its alert (under [`AlertScope::Failures`] only if HemoStat cannot or must
//! not heal it). The alert is escalated when a person is needed, and resolved when no remedy is pending and no symptom
//! has been active for the stabilisation window. A symptom that comes back within that window belongs to the same
//! incident, so a resolved alert does not come back. What would be reported again is recorded as suppressed, once.
//!
//! The key is the incident, and an incident belongs to one container: three containers that get sick in one second are
//! three alerts, and one container that is sick for an hour is one.

mod case;
mod notice;
#[cfg(test)]
mod tests;
mod words;

use hemostat_schema::{
    Event, Family, IncidentId, NewEvent, PolicyHash, Recorded, Span, Subject, Timestamp,
    alert::{Escalated, Raised, Resolution, Resolved, Suppressed, Suppression},
    observation::Cleared,
};

use crate::{
    decider::{Decider, Decision, Trigger},
    policy::{AlertScope, Policy},
};
pub use case::State;
use case::{Case, Stage};
use notice::Notice;
use words::Words;

/// The consumer group that delivers alerts to the channel of this name. The channel `slack` is that of the settings
/// before there were several channels, and has the group that it always had.
pub fn delivery_group(channel: &str) -> String {
    if channel == FIRST_CHANNEL { FIRST_GROUP.to_owned() } else { format!("{FIRST_GROUP}:{channel}") }
}

/// The channel to which a consumer group delivers; none if it is another group.
pub fn channel_of_group(group: &str) -> Option<&str> {
    if group == FIRST_GROUP { Some(FIRST_CHANNEL) } else { group.strip_prefix(FIRST_GROUP)?.strip_prefix(':') }
}

const FIRST_CHANNEL: &str = "slack";
const FIRST_GROUP: &str = "deliver";

/// The timer on which an alert may be resolved.
const RESOLVE: &str = "over";

/// Raises alerts.
#[derive(Debug, Clone, Copy)]
pub struct Alerting;

impl Decider for Alerting {
    const GROUP: &'static str = "raise";
    const VERSION: u16 = 1;
    const READS: &'static [Family] = &Family::WITHOUT_SAMPLES;
    type State = State;
    type Shared = ();
    type Policy = Policy;

    fn policy_hash(policy: &Policy) -> Option<PolicyHash> {
        Some(policy.hash())
    }

    fn evolve(state: &mut State, (): &mut (), event: &Recorded) {
        state.evolve(event);
    }

    fn decide(state: &State, (): &(), trigger: &Trigger<'_>, policy: &Policy, now: Timestamp) -> Decision {
        let evaluation = Evaluation { state, subject: trigger.subject(), policy, now };
        match trigger {
            Trigger::Event(event) if event.event().is_none_or(|event| !event.advances_version()) => Decision::nothing(),
            // An alert event is a trigger too, so whether the incident is over is checked after it.
            Trigger::Event(event) => evaluation.report(event).map_or_else(|| evaluation.resolve(), Decision::event),
            Trigger::Timer(_) => evaluation.resolve(),
        }
    }
}

/// One evaluation of one container.
#[derive(Debug, Clone, Copy)]
struct Evaluation<'a> {
    state: &'a State,
    subject: &'a Subject,
    policy: &'a Policy,
    now: Timestamp,
}

impl Evaluation<'_> {
    /// The alert event that follows from `event`, if one does.
    fn report(&self, event: &Recorded) -> Option<NewEvent> {
        let notice = Notice::of(event)?;
        let (incident, case) = self.state.cases.get_key_value(event.incident.as_ref()?)?;
        let words = Words { subject: self.subject, case };
        let alert: Event = match (notice, &case.stage) {
            (Notice::Diagnosed(reached), Stage::Unreported) if self.policy.alerts.scope == AlertScope::Incidents => {
                Raised { severity: case.severity, title: words.title(), text: words.diagnosed(reached) }.into()
            }
            (Notice::Diagnosed(_), Stage::Unreported) | (_, Stage::Resolved) => return None,
            (Notice::NeedsPerson(why), Stage::Unreported) => {
                Raised { severity: case.severity, title: words.title(), text: words.needs_person(&why) }.into()
            }
            (Notice::NeedsPerson(why), Stage::Raised { alert, .. }) if !case.escalated => {
                Escalated { alert: *alert, title: words.needs_you(), text: words.needs_person(&why) }.into()
            }
            (Notice::Diagnosed(_) | Notice::NeedsPerson(_), Stage::Raised { .. }) => {
                return self.suppress(incident, case, Suppression::Duplicate);
            }
        };
        match self.policy.alerts.enabled {
            true => Some(self.event(incident, alert)),
            false => self.suppress(incident, case, Suppression::Disabled),
        }
    }

    fn suppress(&self, incident: &IncidentId, case: &Case, why: Suppression) -> Option<NewEvent> {
        if case.suppressed.contains(&why) {
            return None;
        }
        let title = Words { subject: self.subject, case }.title();
        Some(self.event(incident, Suppressed { why, title }))
    }

    /// Resolves the alerts of incidents that are over, and sets the timer for the next that will be.
    fn resolve(&self) -> Decision {
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
            let resolved = Resolved { alert, how, title: words.resolved(how), text: words.ending(how, took), took };
            decision.events.push(self.event(incident, resolved));
        }
        decision.set_timer(RESOLVE, next)
    }

    /// Since when nothing has been wrong, and how the incident ended; none while a symptom is active or a remedy is
    /// pending.
    fn ended(&self, incident: &IncidentId, case: &Case, raised_at: Timestamp) -> Option<(Timestamp, Resolution)> {
        let condition = &self.state.condition;
        let is_active = condition.symptoms.values().any(|symptom| symptom.incident.as_ref() == Some(incident));
        if is_active || case.pending.is_some() {
            return None;
        }
        let (since, why) = condition.cleared.unwrap_or((raised_at, Cleared::Well));
        // A remedy that failed half-way may have stopped it, not an operator: people are needed until it runs again.
        if why == Cleared::Stopped && case.failed && condition.facts.is_some() && !condition.is_running() {
            return None;
        }
        let how = match (case.healed, why) {
            (_, Cleared::Removed) => Resolution::Removed,
            (true, Cleared::Well | Cleared::Stopped) => Resolution::Healed,
            (false, Cleared::Stopped) => Resolution::Stopped,
            (false, Cleared::Well) => Resolution::Passed,
        };
        Some((since, how))
    }

    fn event(&self, incident: &IncidentId, event: impl Into<Event>) -> NewEvent {
        NewEvent::new(self.subject.clone(), self.now, event).in_incident(Some(incident.clone()))
    }
}
