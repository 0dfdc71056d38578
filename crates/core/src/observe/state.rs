//! The state of one container under observation; the monitor keeps it as a row.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use hemostat_schema::{
    Event, IncidentId, Measurement, Observation, Timestamp,
    container::{Exit, ExitBy, Facts, Health, State as Life},
    observation::{Cleared, HealthChanged, Severity, Symptom},
    sample::Sample,
};
use serde::{Deserialize, Serialize};

use super::{kills::Kills, lifecycle, signals::Signals};
use crate::policy::{ContainerPolicy, Policy, Sensitivity};

/// Maximum restarts by Docker remembered; `loop_restarts` cannot exceed it.
const MAX_RESTARTS: usize = 100;
/// Maximum flips of the health check remembered.
const MAX_FLIPS: usize = Sensitivity::MAX_FLAPS as usize;

/// The fold of one container's observations, and the volatile signals of its samples.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct State {
    pub(super) facts: Option<Facts>,
    pub(super) phase: Option<(Phase, Timestamp)>,
    #[serde(rename = "standing")]
    pub(super) symptoms: BTreeMap<Symptom, ActiveSymptom>,
    pub(super) incident: Option<IncidentId>,
    /// When the last symptom of the incident was cleared; none while one is active.
    pub(super) cleared_at: Option<Timestamp>,
    /// When Docker restarted the container by its restart policy.
    pub(super) restarts: Vec<Timestamp>,
    pub(super) last_exit: Option<Exit>,
    /// When the health check of this run flipped between healthy and unhealthy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) flips: Vec<Timestamp>,
    #[serde(skip)]
    pub(super) signals: Signals,
    #[serde(skip)]
    pub(super) policy: ParsedPolicy,
}

/// The policy of the container, parsed from its labels once for all that is observed until its facts or the policy change.
/// It follows from both, so it is no part of what two states are compared by.
#[derive(Debug, Clone, Default)]
pub(super) struct ParsedPolicy(OnceLock<(Arc<ContainerPolicy>, bool)>);

impl PartialEq for ParsedPolicy {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// A symptom that was raised and not cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveSymptom {
    /// Since when the container has had it.
    pub since: Timestamp,
    /// Its severity.
    pub severity: Severity,
}

impl ActiveSymptom {
    /// Whether it belongs to an incident; a symptom of low severity is only worth knowing.
    pub fn opens_incident(&self) -> bool {
        self.severity > Severity::Low
    }
}

/// State of a container by its life cycle and its health check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It runs, and its health check passes or it has none.
    Well,
    /// It runs, and its health check has no result yet.
    Starting,
    /// It runs, and its health check fails.
    Unhealthy,
    /// An operator paused it.
    #[serde(rename = "frozen")]
    Paused,
    /// It is between two runs, by Docker's restart policy.
    Restarting,
    /// It crashed or was killed for lack of memory, and Docker does not start it again.
    Crashed,
    /// It does not run and is not expected to: it finished, was stopped, was never started, or ended unseen.
    AtRest,
}

impl Phase {
    /// The phase of a container with these facts.
    pub fn of(facts: &Facts) -> Self {
        match (facts.state, facts.health) {
            (Life::Running, Health::None | Health::Healthy) => Self::Well,
            (Life::Running, Health::Starting) => Self::Starting,
            (Life::Running, Health::Unhealthy) => Self::Unhealthy,
            (Life::Paused, _) => Self::Paused,
            (Life::Restarting, _) => Self::Restarting,
            (Life::Exited | Life::Dead, _) if facts.exit.is_some_and(|exit| is_failure(exit.by)) => Self::Crashed,
            (Life::Created | Life::Removing | Life::Exited | Life::Dead, _) => Self::AtRest,
        }
    }

    /// Whether the container runs, so that it uses resources.
    pub fn is_running(self) -> bool {
        match self {
            Self::Well | Self::Starting | Self::Unhealthy => true,
            Self::Paused | Self::Restarting | Self::Crashed | Self::AtRest => false,
        }
    }
}

/// Whether the end of a run is a failure: it was neither intended nor is its cause unknown.
fn is_failure(by: ExitBy) -> bool {
    match by {
        ExitBy::Crash | ExitBy::Oom => true,
        ExitBy::Itself | ExitBy::Operator | ExitBy::Unknown => false,
    }
}

impl State {
    /// What is known of the container; none before it was seen and after it was removed.
    pub fn facts(&self) -> Option<&Facts> {
        self.facts.as_ref()
    }

    /// Sets the number of instants per slot over which the samples of unchanged containers are spread.
    pub fn spread_samples(&mut self, groups: u64) {
        self.signals.sampling.groups = groups;
    }

    /// Whether the log says that the last sample still holds.
    pub fn is_sampled(&self) -> bool {
        self.signals.sampling.unmeasured_since().is_some()
    }

    /// The policy of the container with this name, and whether its symptoms are watched; none while nothing is known of it.
    pub(super) fn policy(&self, name: &str, policy: &Policy) -> Option<(Arc<ContainerPolicy>, bool)> {
        let facts = self.facts.as_ref()?;
        let parse = || {
            let container = policy.for_container(facts);
            let is_watched = container.enabled && policy.protection(name, facts).is_none();
            (Arc::new(container), is_watched)
        };
        Some(self.policy.0.get_or_init(parse).clone())
    }

    /// The policy has changed: what was parsed under the one before is forgotten.
    pub fn forget_policy(&mut self) {
        self.policy = ParsedPolicy::default();
    }

    /// The active symptoms.
    pub fn active_symptoms(&self) -> &BTreeMap<Symptom, ActiveSymptom> {
        &self.symptoms
    }

    /// Whether a symptom is active that belongs to an incident.
    pub fn is_sick(&self) -> bool {
        self.symptoms.values().any(ActiveSymptom::opens_incident)
    }

    /// The incident of the active symptoms, or else the last incident.
    pub fn incident(&self) -> Option<&IncidentId> {
        self.incident.as_ref()
    }

    /// Applies an observation or a sample as it stands on the log, with its time and incident.
    pub fn evolve(&mut self, at: Timestamp, incident: Option<&IncidentId>, event: &Event) {
        match (event.measurement(), event) {
            (Some(Measurement::Container(vitals)), _) => self.signals.sampling.written(at, *vitals),
            (Some(Measurement::Storage(measured)), _) => self.signals.storage.written(at, measured),
            (Some(Measurement::Disk(_)), _) => {}
            (None, Event::Sample(Sample::Unmeasured(_))) => self.signals.sampling.end(),
            (None, Event::Observation(seen)) => self.observe(at, incident, seen),
            (None, Event::Diagnosis(_) | Event::Action(_) | Event::Alert(_) | Event::Sample(_)) => {}
        }
    }

    fn observe(&mut self, at: Timestamp, incident: Option<&IncidentId>, seen: &Observation) {
        self.count_restarts(at, seen);
        self.count_flips(at, seen);
        if matches!(seen, Observation::Seen(_)) {
            self.forget_policy();
        }
        lifecycle::apply(&mut self.facts, seen);
        match seen {
            Observation::Started(_) => {
                self.phase = None;
                self.flips.clear();
                self.signals.begin_run();
            }
            Observation::Exited(exited) => {
                self.last_exit = Some(exited.exit);
                self.signals.sampling.end();
            }
            Observation::Paused(_) => self.signals.sampling.end(),
            Observation::Removed(_) => {
                let incident = self.incident.take().filter(|_| self.is_sick());
                *self = Self { incident, symptoms: std::mem::take(&mut self.symptoms), ..Self::default() };
            }
            Observation::SymptomRaised(raised) => {
                let symptom = ActiveSymptom { since: raised.since, severity: raised.severity };
                self.symptoms.insert(raised.symptom, symptom);
                if symptom.opens_incident() {
                    self.incident = incident.cloned();
                    self.cleared_at = None;
                }
            }
            Observation::SymptomWorsened(worsened) => {
                if let Some(symptom) = self.symptoms.get_mut(&worsened.symptom) {
                    symptom.severity = worsened.severity;
                }
            }
            Observation::SymptomCleared(cleared) => self.clear(at, cleared.symptom, cleared.why),
            Observation::Seen(_)
            | Observation::Unpaused(_)
            | Observation::HealthChanged(_)
            | Observation::Sampled(_)
            | Observation::Stored(_)
            | Observation::Examined(_)
            | Observation::DiskMeasured(_)
            | Observation::EngineLost(_)
            | Observation::EngineFound(_) => {}
        }
        let phase = self.facts.as_ref().map(Phase::of);
        if phase != self.phase.map(|(phase, _)| phase) {
            self.phase = phase.map(|phase| (phase, at));
        }
    }

    fn clear(&mut self, at: Timestamp, symptom: Symptom, why: Cleared) {
        let was_sick = self.symptoms.remove(&symptom).is_some_and(|symptom| symptom.opens_incident());
        match symptom {
            Symptom::RestartLoop => self.restarts.clear(),
            Symptom::Flapping => self.flips.clear(),
            Symptom::OomChild => self.signals.kills = Kills::default(),
            Symptom::Unhealthy
            | Symptom::Exited
            | Symptom::OomKilled
            | Symptom::CpuHigh
            | Symptom::MemoryHigh
            | Symptom::CpuThrottled
            | Symptom::Pressure
            | Symptom::PidsHigh
            | Symptom::MemoryLeak
            | Symptom::DiskFilling
            | Symptom::CpuUnusual
            | Symptom::MemoryUnusual
            | Symptom::NetworkUnusual
            | Symptom::BlockUnusual => {}
        }
        if was_sick && !self.is_sick() {
            self.cleared_at = Some(at);
            if why == Cleared::Removed {
                (self.incident, self.cleared_at) = (None, None);
            }
        }
    }

    /// A change from one run to the next is not a flip.
    fn count_flips(&mut self, at: Timestamp, seen: &Observation) {
        let Observation::HealthChanged(HealthChanged { from, to, .. }) = seen else { return };
        let runs = self.facts.as_ref().is_some_and(|facts| facts.state == Life::Running);
        if runs && matches!((from, to), (Health::Healthy, Health::Unhealthy) | (Health::Unhealthy, Health::Healthy)) {
            self.flips.push(at);
            let excess = self.flips.len().saturating_sub(MAX_FLIPS);
            self.flips.drain(..excess);
        }
    }

    /// Docker's restart policy made a start out of `restarting`. Docker's own counter shows the restarts that the
    /// monitor missed.
    fn count_restarts(&mut self, at: Timestamp, seen: &Observation) {
        let Some(known) = &self.facts else { return };
        let more = match seen {
            Observation::Started(_) if known.state == Life::Restarting => 1,
            Observation::Seen(seen) if seen.facts.id == known.id => seen.facts.restarts.saturating_sub(known.restarts),
            _ => return,
        };
        let more = usize::try_from(more).unwrap_or(MAX_RESTARTS).min(MAX_RESTARTS);
        self.restarts.extend(std::iter::repeat_n(at, more));
        let excess = self.restarts.len().saturating_sub(MAX_RESTARTS);
        self.restarts.drain(..excess);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        observe::ObservationInput::{Facts, Sample},
        testing::{at, labelled, vitals},
    };

    /// The policy as it is parsed now.
    fn parsed(state: &State) -> Arc<ContainerPolicy> {
        state.policy("api", &Policy::default()).unwrap().0
    }

    #[test]
    fn labels_are_parsed_once_until_the_facts_or_the_policy_change() {
        let (mut state, subject) = (State::default(), crate::testing::subject());
        let observe = |state: &mut State, input, second| {
            drop(crate::observe::observe(state, &subject, input, &Policy::default(), at(second)));
        };
        let facts = labelled("hemostat.cooldown", "1m");
        observe(&mut state, Facts(Box::new(facts.clone())), 0);
        let first = parsed(&state);
        for second in 1..20 {
            observe(&mut state, Sample(vitals(10.0, 10.0, 1)), second * 5);
        }
        observe(&mut state, Facts(Box::new(facts)), 100);
        assert!(Arc::ptr_eq(&first, &parsed(&state)), "it is the one that was parsed first");

        observe(&mut state, Facts(Box::new(labelled("hemostat.cooldown", "2m"))), 105);
        let second = parsed(&state);
        assert_ne!((first.cooldown, first), (second.cooldown, Arc::clone(&second)));
        state.forget_policy();
        assert!(!Arc::ptr_eq(&second, &parsed(&state)));
    }
}
