//! What the monitor sees of one container becomes observations and samples, and the faults in it become symptoms.
//!
//! ```text
//! inspect, Docker events, samples, time ──► observe ──► seen, started, exited, … samples
//!                                              │
//!                                              └──────► symptom raised ──► worsened ──► cleared
//! ```
//!
//! A symptom is raised once, worsened at most once and cleared once, however often the container is looked at. A fault
//! is debounced before the symptom is raised, and so is its absence before the symptom is cleared (hysteresis), so that
//! nothing flaps.
//!
//! The new state is the fold of the emitted events ([`State::evolve`]), so it can be rebuilt from the log. Only the
//! windows of samples are not on the log (it gets few of the samples: see [`sampling`]): after a restart of HemoStat a
//! high level must be debounced again, baselines are learnt again, and the first sample is written. The caller owns the clock: `at` says
//! when something was seen.
//!
//! A symptom of low severity is worth knowing and nothing more: it belongs to no incident, opens none and keeps none
//! open.

use hemostat_schema::{
    Cause, Event, IncidentId, NewEvent, Observation, Span, Subject, Timestamp,
    container::{Exit, ExitBy, Facts, Health, Run, State as Life, Vitals},
    observation::{
        Evidence, Exited, HealthChanged, Paused, Removed, Sampled, Seen, Severity, Started, Symptom, SymptomCleared,
        Unpaused,
    },
    sample,
};

use crate::policy::Policy;

mod baseline;
pub mod condition;
mod debounce;
mod exceeded;
mod growth;
mod kills;
mod level;
pub mod lifecycle;
pub(crate) mod pids;
pub(crate) mod pressure;
pub mod sampling;
mod signals;
mod state;
mod storage;
mod symptoms;
#[cfg(test)]
mod tests;
pub mod vitals;

use sampling::Slots;
pub use state::{ActiveSymptom, Phase, State};
use symptoms::Change;

/// What the monitor saw of a container.
#[derive(Debug, Clone, PartialEq)]
pub enum ObservationInput {
    /// The result of an inspection: the first input of a container, and again whenever something may have changed or
    /// been missed.
    Facts(Box<Facts>),
    /// A run began.
    Started(Run),
    /// A run ended.
    Exited(Run, Exit),
    /// An operator paused it.
    Paused,
    /// An operator unpaused it.
    Unpaused,
    /// The result of its health check.
    Health(Health),
    /// The kernel killed one of its processes for lack of memory. If the run ends at once, that was its end.
    OutOfMemory,
    /// Its resource use.
    Sample(Vitals),
    /// It runs, and its resource use cannot be measured.
    Unmeasured,
    /// Its disk usage.
    Stored {
        /// How much it keeps.
        stored: sample::Storage,
        /// The disk, if the monitor can see it.
        disk: Option<sample::Disk>,
        /// Whether no other container of the host keeps more.
        largest: bool,
    },
    /// Nothing but time has passed; see [`next_deadline`].
    Tick,
    /// It was removed.
    Removed,
}

/// Applies what was seen of `subject` at `at` to the state, and returns the events to append to the log.
///
/// Every input but an inspection is ignored until the container was inspected. What is already known (a replayed Docker
/// event, unchanged facts) gives no event, so a caller that is unsure simply inspects again. After a removal the state
/// is the default again.
pub fn observe(
    state: &mut State,
    subject: &Subject,
    input: ObservationInput,
    policy: &Policy,
    at: Timestamp,
) -> Vec<NewEvent> {
    let mut observer = Observer { state, subject, policy, at, events: vec![], last_fact: None };
    let before = observer.state.facts.as_ref().map(|facts| facts.state);
    observer.take(input);
    let ended = match (before, &observer.state.facts) {
        (Some(Life::Running | Life::Paused | Life::Restarting), Some(facts))
            if matches!(facts.state, Life::Exited | Life::Dead) =>
        {
            facts.exit
        }
        _ => None,
    };
    observer.settle(ended);
    observer.events
}

/// When a symptom will change if nothing else happens: the time of the next [`ObservationInput::Tick`].
pub fn next_deadline(state: &State, subject: &Subject, policy: &Policy) -> Option<Timestamp> {
    symptoms::pending(state, subject.short(), policy, None).into_iter().map(|due| due.at).min()
}

/// One call of [`observe`]: each event is applied to the state before the next is decided.
struct Observer<'a> {
    state: &'a mut State,
    subject: &'a Subject,
    policy: &'a Policy,
    at: Timestamp,
    events: Vec<NewEvent>,
    /// The index of the last event that is not a symptom: the cause of symptoms that change with it.
    last_fact: Option<usize>,
}

impl Observer<'_> {
    fn take(&mut self, input: ObservationInput) {
        if let ObservationInput::Facts(facts) = input {
            return self.inspected(*facts);
        }
        let Some(known) = &self.state.facts else { return };
        let target = known.target();
        match input {
            ObservationInput::Facts(_) | ObservationInput::Tick => {}
            ObservationInput::Started(next) if next.id == target.id && next.started_at > target.started_at => {
                self.fact(Started { target: next });
            }
            ObservationInput::Started(_) => {}
            ObservationInput::Exited(ended, exit) if ended == target && is_up(known) => {
                self.fact(Exited { target: ended, exit });
            }
            ObservationInput::Exited(..) => {}
            ObservationInput::Paused if known.state == Life::Running => {
                self.fact(Paused { target });
            }
            ObservationInput::Paused => {}
            ObservationInput::Unpaused if known.state == Life::Paused => {
                self.fact(Unpaused { target });
            }
            ObservationInput::Unpaused => {}
            ObservationInput::Health(to) => self.health(to),
            ObservationInput::OutOfMemory if is_up(known) => {
                self.state.signals.kills.add(self.at, self.policy.loop_within);
            }
            ObservationInput::OutOfMemory => {}
            ObservationInput::Sample(vitals) if known.state == Life::Running => self.sampled(vitals),
            ObservationInput::Sample(_) => {}
            ObservationInput::Unmeasured => {
                if let Some(since) = self.state.signals.sampling.unmeasured_since() {
                    self.sample(sample::Unmeasured { since });
                }
            }
            ObservationInput::Stored { stored, disk, largest } if stored.target.id == target.id => {
                self.stored(stored, disk, largest);
            }
            ObservationInput::Stored { .. } => {}
            ObservationInput::Removed => self.removed(target),
        }
    }

    /// Infers what must have happened since, and emits that; emits the facts themselves only where they still differ.
    fn inspected(&mut self, mut facts: Facts) {
        let Some(known) = self.state.facts.clone() else {
            return self.fact(Seen { facts });
        };
        if known.id != facts.id {
            self.removed(known.target());
            return self.fact(Seen { facts });
        }
        let target = facts.target();
        if facts.started_at > known.started_at {
            self.fact(Started { target: target.clone() });
        }
        if let (Some(exit), Some(true), Life::Exited | Life::Dead | Life::Restarting) =
            (facts.exit, self.state.facts.as_ref().map(is_up), facts.state)
        {
            self.fact(Exited { target: target.clone(), exit });
        }
        match (self.state.facts.as_ref().map(|known| known.state), facts.state) {
            (Some(Life::Running), Life::Paused) => self.fact(Paused { target }),
            (Some(Life::Paused), Life::Running) => self.fact(Unpaused { target }),
            _ => {}
        }
        self.health(facts.health);
        let Some(known) = &self.state.facts else { return };
        if known.started_at == facts.started_at
            && known.exit.is_some()
            && facts.exit.is_some_and(|exit| exit.by != ExitBy::Operator)
        {
            // The exit event says who ended the run; a later inspection cannot. Only that an operator stopped the
            // container between two runs becomes known after the exit.
            facts.exit = known.exit;
        }
        if *known != facts {
            self.fact(Seen { facts });
        }
    }

    fn health(&mut self, to: Health) {
        let Some(known) = &self.state.facts else { return };
        let from = known.health;
        if from != to && from != Health::None && to != Health::None && is_up(known) {
            let target = known.target();
            self.fact(HealthChanged { target, from, to });
        }
    }

    fn sampled(&mut self, vitals: Vitals) {
        let parsed = self.state.policy(self.subject.short(), self.policy);
        let Some((facts, (container, _))) = self.state.facts.as_ref().zip(parsed) else { return };
        let (started, spread) = (facts.started_at, facts.id.spread());
        self.state.signals.add(self.at, &vitals, started, &container, &self.policy.sensitivity);
        let every = self.policy.sample_every;
        let groups = self.state.signals.sampling.groups;
        let slots = Slots { spread, every, groups, in_incident: self.incident().is_some() };
        let due = self.state.signals.sampling.is_due(self.at, &vitals, slots);
        if due || self.changes(Change::rests_on_samples) {
            self.sample(sample::Container { vitals, holds: sampling::holds(every) });
            // What decisions about an incident rest on is an observation, which is kept for as long as they are.
            if slots.in_incident {
                self.sample(Sampled { vitals });
            }
        }
    }

    fn stored(&mut self, stored: sample::Storage, disk: Option<sample::Disk>, largest: bool) {
        self.state.signals.storage.add(self.at, &stored, disk, largest);
        let due = self.state.signals.storage.is_due(self.at, &stored);
        if due || self.changes(|change| change.symptom() == Symptom::DiskFilling) {
            self.sample(stored);
        }
    }

    /// Whether a symptom for which `matches` holds changes now.
    fn changes(&self, matches: fn(&Change) -> bool) -> bool {
        let pending = symptoms::pending(self.state, self.subject.short(), self.policy, None);
        pending.iter().any(|due| due.at <= self.at && matches(&due.change))
    }

    fn removed(&mut self, target: Run) {
        self.fact(Removed { target });
        self.settle(None);
    }

    /// Raises, worsens and clears the symptoms that are due by now.
    fn settle(&mut self, ended: Option<Exit>) {
        for due in symptoms::pending(self.state, self.subject.short(), self.policy, ended.as_ref()) {
            if due.at > self.at {
                continue;
            }
            let cause = self.last_fact.map(Cause::Sibling);
            let opens_incident = self.opens_incident(&due.change);
            let change = match due.change {
                Change::Raise(mut raised) => {
                    if let Evidence::Health { held } = &mut raised.evidence {
                        *held = Span::between(raised.since, self.at);
                    }
                    Observation::SymptomRaised(raised)
                }
                Change::Worsen(worsened) => Observation::SymptomWorsened(worsened),
                Change::Clear(symptom, why) => {
                    let active = self.state.symptoms.get(&symptom);
                    let stood = active.map_or(Span::ZERO, |active| Span::between(active.since, self.at));
                    Observation::SymptomCleared(SymptomCleared { symptom, why, stood })
                }
            };
            let begun = || Some(IncidentId::begun(self.subject, self.at));
            let incident = if opens_incident { self.incident().or_else(begun) } else { None };
            self.push(Event::Observation(change), incident, cause);
        }
    }

    /// Whether the changed symptom belongs to an incident.
    fn opens_incident(&self, change: &Change) -> bool {
        match change {
            Change::Raise(raised) => raised.severity > Severity::Low,
            Change::Worsen(worsened) => worsened.severity > Severity::Low,
            Change::Clear(symptom, _) => self.state.symptoms.get(symptom).is_some_and(ActiveSymptom::opens_incident),
        }
    }

    fn fact(&mut self, seen: impl Into<Event>) {
        self.last_fact = Some(self.events.len());
        self.push(seen.into(), self.incident(), None);
    }

    /// A sample is no fact that causes a symptom: a symptom rests on many, its evidence says what was measured, and no
    /// sample is kept for as long.
    fn sample(&mut self, sample: impl Into<Event>) {
        self.push(sample.into(), self.incident(), None);
    }

    fn push(&mut self, event: Event, incident: Option<IncidentId>, cause: Option<Cause>) {
        self.state.evolve(self.at, incident.as_ref(), &event);
        self.events.push(NewEvent { subject: self.subject.clone(), at: self.at, incident, cause, trace: None, event });
    }

    /// The incident that an event belongs to now: the open one, or one that ended within the stabilisation time.
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
