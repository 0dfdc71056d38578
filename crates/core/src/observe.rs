//! What is seen of one container becomes observations, and what of it is an illness becomes symptoms.
//!
//! ```text
//! inspect, Docker events, samples, time ──► observe ──► seen, started, exited, sampled …
//!                                              │
//!                                              └──────► symptom raised ──► worsened ──► cleared
//! ```
//!
//! A symptom is raised once, worsened at most once and cleared once, however often the container is looked at. It must
//! have held for its time before it is raised, and wellness must have held before it is cleared; between the two lies
//! no man's land, so nothing flaps.
//!
//! The state after is the fold of the events that come out ([`State::evolve`]), so it may be rebuilt from the log. Only
//! the windows of samples are not on the log (a sample in a few seconds is too much to keep): after a restart of
//! HemoStat a high level must hold for its time again. Whoever looks owns the clock: `at` says when a thing was seen.

use hemostat_schema::{
    Cause, IncidentId, NewEvent, Observation, Span, Subject, Timestamp,
    container::{Exit, ExitBy, Facts, Health, State as Life, Target, Vitals},
    observation::{Evidence, Exited, Frozen, HealthChanged, Removed, Sampled, Seen, Started, SymptomCleared, Thawed},
};

use crate::Policy;

mod level;
mod state;
mod symptoms;
#[cfg(test)]
mod tests;

pub use state::{Phase, Standing, State};
use symptoms::Change;

/// What the monitor saw of a container.
#[derive(Debug, Clone, PartialEq)]
pub enum Sight {
    /// Everything, by inspecting it: first of all, and again whenever something may have changed or been missed.
    Facts(Box<Facts>),
    /// A run began.
    Started(Target),
    /// A run ended.
    Exited(Target, Exit),
    /// An operator froze it.
    Frozen,
    /// An operator thawed it.
    Thawed,
    /// The health check says so.
    Health(Health),
    /// What it uses.
    Sample(Vitals),
    /// Nothing but that time has passed; see [`next_wake`].
    Tick,
    /// It is gone.
    Removed,
}

/// Takes in what was seen of `subject` at `at`, and tells what is to go on the log.
///
/// A container must be inspected before anything else counts. What is known already (a replayed Docker event, the same
/// facts again) gives no event, so a caller that is not sure looks again. A container that is gone for good leaves the
/// default state behind.
pub fn observe(state: &mut State, subject: &Subject, sight: Sight, policy: &Policy, at: Timestamp) -> Vec<NewEvent> {
    let mut story = Story { state, subject, policy, at, events: vec![], facts_told: None };
    let before = story.state.facts.as_ref().map(|facts| facts.state);
    story.tell(sight);
    let ended = match (before, &story.state.facts) {
        (Some(Life::Running | Life::Paused | Life::Restarting), Some(facts))
            if matches!(facts.state, Life::Exited | Life::Dead) =>
        {
            facts.exit
        }
        _ => None,
    };
    story.settle(ended);
    story.events
}

/// When something will have held for its time, if nothing else happens: the instant of the next [`Sight::Tick`].
pub fn next_wake(state: &State, subject: &Subject, policy: &Policy) -> Option<Timestamp> {
    symptoms::pending(state, subject.short(), policy, None).into_iter().map(|due| due.at).min()
}

/// Events as they are told, each folded into the state before the next is thought of.
struct Story<'a> {
    state: &'a mut State,
    subject: &'a Subject,
    policy: &'a Policy,
    at: Timestamp,
    events: Vec<NewEvent>,
    /// The index of the last event that is a fact and not a symptom: the cause of symptoms that change with it.
    facts_told: Option<usize>,
}

impl Story<'_> {
    fn tell(&mut self, sight: Sight) {
        if let Sight::Facts(facts) = sight {
            return self.inspected(*facts);
        }
        let Some(known) = &self.state.facts else { return };
        let target = known.target();
        match sight {
            Sight::Facts(_) | Sight::Tick => {}
            Sight::Started(next) if next.id == target.id && next.started_at > target.started_at => {
                self.fact(Observation::Started(Started { target: next }));
            }
            Sight::Started(_) => {}
            Sight::Exited(ended, exit) if ended == target && is_up(known) => {
                self.fact(Observation::Exited(Exited { target: ended, exit }));
            }
            Sight::Exited(..) => {}
            Sight::Frozen if known.state == Life::Running => self.fact(Observation::Frozen(Frozen { target })),
            Sight::Frozen => {}
            Sight::Thawed if known.state == Life::Paused => self.fact(Observation::Thawed(Thawed { target })),
            Sight::Thawed => {}
            Sight::Health(to) => self.health(to),
            Sight::Sample(vitals) if known.state == Life::Running => self.sampled(vitals),
            Sight::Sample(_) => {}
            Sight::Removed => self.removed(target),
        }
    }

    /// Finds out what must have happened since, and tells that; the facts themselves only where they still differ.
    fn inspected(&mut self, mut facts: Facts) {
        let Some(known) = self.state.facts.clone() else {
            return self.fact(Observation::Seen(Seen { facts }));
        };
        if known.id != facts.id {
            self.removed(known.target());
            return self.fact(Observation::Seen(Seen { facts }));
        }
        let target = facts.target();
        if facts.started_at > known.started_at {
            self.fact(Observation::Started(Started { target: target.clone() }));
        }
        if let (Some(exit), Some(true), Life::Exited | Life::Dead | Life::Restarting) =
            (facts.exit, self.state.facts.as_ref().map(is_up), facts.state)
        {
            self.fact(Observation::Exited(Exited { target: target.clone(), exit }));
        }
        match (self.state.facts.as_ref().map(|known| known.state), facts.state) {
            (Some(Life::Running), Life::Paused) => self.fact(Observation::Frozen(Frozen { target })),
            (Some(Life::Paused), Life::Running) => self.fact(Observation::Thawed(Thawed { target })),
            _ => {}
        }
        self.health(facts.health);
        let Some(known) = &self.state.facts else { return };
        if known.started_at == facts.started_at
            && known.exit.is_some()
            && facts.exit.is_some_and(|exit| exit.by != ExitBy::Operator)
        {
            // The end as it was seen says who ended it; inspecting afterwards cannot. Only that an operator stopped it
            // between two runs is known later than the end itself.
            facts.exit = known.exit;
        }
        if *known != facts {
            self.fact(Observation::Seen(Seen { facts }));
        }
    }

    fn health(&mut self, to: Health) {
        let Some(known) = &self.state.facts else { return };
        let from = known.health;
        if from != to && from != Health::None && to != Health::None && is_up(known) {
            let target = known.target();
            self.fact(Observation::HealthChanged(HealthChanged { target, from, to }));
        }
    }

    fn sampled(&mut self, vitals: Vitals) {
        let Some(facts) = &self.state.facts else { return };
        self.state.levels.take(self.at, &vitals, &self.policy.care_of(facts));
        let due = self.state.sampled_at.is_none_or(|last| Span::between(last, self.at) >= self.policy.sample_every);
        let tells = symptoms::pending(self.state, self.subject.short(), self.policy, None)
            .iter()
            .any(|due| due.at <= self.at && due.change.is_of_level());
        if due || tells {
            self.fact(Observation::Sampled(Sampled { vitals }));
        }
    }

    fn removed(&mut self, target: Target) {
        self.fact(Observation::Removed(Removed { target }));
        self.settle(None);
    }

    /// Raises, worsens and clears what is due by now.
    fn settle(&mut self, ended: Option<Exit>) {
        for due in symptoms::pending(self.state, self.subject.short(), self.policy, ended.as_ref()) {
            if due.at > self.at {
                continue;
            }
            let cause = self.facts_told.map(Cause::Sibling);
            let change = match due.change {
                Change::Raise(mut raised) => {
                    if let Evidence::Health { held } = &mut raised.evidence {
                        *held = Span::between(raised.since, self.at);
                    }
                    Observation::SymptomRaised(raised)
                }
                Change::Worsen(worsened) => Observation::SymptomWorsened(worsened),
                Change::Clear(symptom, why) => {
                    let stood = self
                        .state
                        .standing
                        .get(&symptom)
                        .map_or(Span::ZERO, |standing| Span::between(standing.since, self.at));
                    Observation::SymptomCleared(SymptomCleared { symptom, why, stood })
                }
            };
            let incident = self.incident().or_else(|| Some(IncidentId::begun(self.subject, self.at)));
            self.push(change, incident, cause);
        }
    }

    fn fact(&mut self, seen: Observation) {
        self.facts_told = Some(self.events.len());
        self.push(seen, self.incident(), None);
    }

    fn push(&mut self, seen: Observation, incident: Option<IncidentId>, cause: Option<Cause>) {
        self.state.evolve(self.at, incident.as_ref(), &seen);
        self.events.push(NewEvent {
            subject: self.subject.clone(),
            at: self.at,
            incident,
            cause,
            trace: None,
            event: hemostat_schema::Event::Observation(seen),
        });
    }

    /// The incident that what happens now is part of: the one that stands, or that ended so lately that this is its sequel.
    fn incident(&self) -> Option<IncidentId> {
        let open = match self.state.cleared_at {
            Some(cleared) => Span::between(cleared, self.at) <= self.policy.stabilisation,
            None => true,
        };
        self.state.incident.clone().filter(|_| open)
    }
}

/// Whether a run is under way.
fn is_up(facts: &Facts) -> bool {
    matches!(facts.state, Life::Running | Life::Paused)
}
