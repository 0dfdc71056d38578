//! What is remembered of one container between two looks at it; the monitor keeps it as a row.

use std::collections::BTreeMap;

use hemostat_schema::{
    IncidentId, Observation, Timestamp,
    container::{Exit, ExitBy, Facts, Health, State as Life},
    observation::{Cleared, HealthChanged, Severity, Stored, Symptom},
};
use serde::{Deserialize, Serialize};

use super::{kills::Kills, signals::Signals};
use crate::{lifecycle, policy::Sensitivity};

/// So many of Docker's restarts are remembered, at most; a restart loop cannot be defined by more.
const REMEMBERED_RESTARTS: usize = 100;
/// So many changes of mind of the health check are remembered, at most.
const REMEMBERED_FLIPS: usize = Sensitivity::MOST_FLAPS as usize;

/// What is remembered of one container: the fold of its observations, and the windows of its samples, which are volatile.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct State {
    pub(super) facts: Option<Facts>,
    pub(super) phase: Option<(Phase, Timestamp)>,
    pub(super) standing: BTreeMap<Symptom, Standing>,
    pub(super) incident: Option<IncidentId>,
    /// When the last standing symptom was cleared; none while one stands.
    pub(super) cleared_at: Option<Timestamp>,
    /// When Docker restarted it by its policy.
    pub(super) restarts: Vec<Timestamp>,
    pub(super) last_exit: Option<Exit>,
    /// When a sample of this run last went on the log.
    pub(super) sampled_at: Option<Timestamp>,
    /// When the health check of this run changed its mind, from well to ill or back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) flips: Vec<Timestamp>,
    /// What it was last told to keep on disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stored: Option<Stored>,
    #[serde(skip)]
    pub(super) signals: Signals,
}

/// A symptom that was raised and not cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Since when the container has been ill in this way.
    pub since: Timestamp,
    /// How badly.
    pub severity: Severity,
}

impl Standing {
    /// Whether it is an illness, and not merely worth knowing.
    pub fn is_illness(&self) -> bool {
        self.severity > Severity::Low
    }
}

/// How a container is, as far as health check and life cycle say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It runs, and its health check, where it has one, is content.
    Well,
    /// It runs, and its health check does not know yet.
    Starting,
    /// It runs, and its health check fails.
    Unhealthy,
    /// An operator froze it.
    Frozen,
    /// It is between two runs, by Docker's restart policy.
    Restarting,
    /// It ended with an error or for want of memory, and Docker does not start it again.
    Crashed,
    /// It does not run, and nobody expects it to: it had finished, was stopped, was never started, or ended unseen.
    AtRest,
}

impl Phase {
    /// The phase that these facts describe.
    pub fn of(facts: &Facts) -> Self {
        match (facts.state, facts.health) {
            (Life::Running, Health::None | Health::Healthy) => Self::Well,
            (Life::Running, Health::Starting) => Self::Starting,
            (Life::Running, Health::Unhealthy) => Self::Unhealthy,
            (Life::Paused, _) => Self::Frozen,
            (Life::Restarting, _) => Self::Restarting,
            (Life::Exited | Life::Dead, _) if facts.exit.is_some_and(|exit| is_failure(exit.by)) => Self::Crashed,
            (Life::Created | Life::Removing | Life::Exited | Life::Dead, _) => Self::AtRest,
        }
    }

    /// Whether it runs, so that it uses something.
    pub fn is_running(self) -> bool {
        matches!(self, Self::Well | Self::Starting | Self::Unhealthy)
    }
}

/// Whether an end is an illness: not when somebody wanted it, and not when nobody knows.
fn is_failure(by: ExitBy) -> bool {
    match by {
        ExitBy::Crash | ExitBy::Oom => true,
        ExitBy::Itself | ExitBy::Operator | ExitBy::Unknown => false,
    }
}

impl State {
    /// What is known of the container; none before it was seen and after it is gone.
    pub fn facts(&self) -> Option<&Facts> {
        self.facts.as_ref()
    }

    /// The symptoms that stand.
    pub fn standing(&self) -> &BTreeMap<Symptom, Standing> {
        &self.standing
    }

    /// Whether a symptom stands that is an illness.
    pub fn is_ill(&self) -> bool {
        self.standing.values().any(Standing::is_illness)
    }

    /// The incident of the symptoms that stand, or of those that stood last.
    pub fn incident(&self) -> Option<&IncidentId> {
        self.incident.as_ref()
    }

    /// Takes an observation in, as it stands on the log with its time and incident.
    pub fn evolve(&mut self, at: Timestamp, incident: Option<&IncidentId>, seen: &Observation) {
        self.count_restarts(at, seen);
        self.count_flips(at, seen);
        lifecycle::follow(&mut self.facts, seen);
        match seen {
            Observation::Started(_) => {
                self.phase = None;
                self.sampled_at = None;
                self.flips.clear();
                self.signals.begin();
            }
            Observation::Exited(exited) => self.last_exit = Some(exited.exit),
            Observation::Removed(_) => {
                let incident = self.incident.take().filter(|_| self.is_ill());
                *self = Self { incident, standing: std::mem::take(&mut self.standing), ..Self::default() };
            }
            Observation::Sampled(_) => self.sampled_at = Some(at),
            Observation::Stored(stored) => self.stored = Some(stored.clone()),
            Observation::SymptomRaised(raised) => {
                let standing = Standing { since: raised.since, severity: raised.severity };
                self.standing.insert(raised.symptom, standing);
                if standing.is_illness() {
                    self.incident = incident.cloned();
                    self.cleared_at = None;
                }
            }
            Observation::SymptomWorsened(worsened) => {
                if let Some(standing) = self.standing.get_mut(&worsened.symptom) {
                    standing.severity = worsened.severity;
                }
            }
            Observation::SymptomCleared(cleared) => self.clear(at, cleared.symptom, cleared.why),
            Observation::Seen(_)
            | Observation::Frozen(_)
            | Observation::Thawed(_)
            | Observation::HealthChanged(_)
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
        let was_ill = self.standing.remove(&symptom).is_some_and(|standing| standing.is_illness());
        match symptom {
            Symptom::RestartLoop => self.restarts.clear(),
            Symptom::Flapping => self.flips.clear(),
            Symptom::OomChild => self.signals.kills = Kills::default(),
            _ => {}
        }
        if was_ill && !self.is_ill() {
            self.cleared_at = Some(at);
            if why == Cleared::Removed {
                (self.incident, self.cleared_at) = (None, None);
            }
        }
    }

    /// What one run after another thinks of itself is no change of mind.
    fn count_flips(&mut self, at: Timestamp, seen: &Observation) {
        let Observation::HealthChanged(HealthChanged { from, to, .. }) = seen else { return };
        let runs = self.facts.as_ref().is_some_and(|facts| facts.state == Life::Running);
        if runs && matches!((from, to), (Health::Healthy, Health::Unhealthy) | (Health::Unhealthy, Health::Healthy)) {
            self.flips.push(at);
            let too_many = self.flips.len().saturating_sub(REMEMBERED_FLIPS);
            self.flips.drain(..too_many);
        }
    }

    /// A start out of `restarting` is Docker's doing; one that was missed shows in Docker's own count.
    fn count_restarts(&mut self, at: Timestamp, seen: &Observation) {
        let Some(known) = &self.facts else { return };
        let more = match seen {
            Observation::Started(_) if known.state == Life::Restarting => 1,
            Observation::Seen(seen) if seen.facts.id == known.id => seen.facts.restarts.saturating_sub(known.restarts),
            _ => 0,
        };
        let more = usize::try_from(more).unwrap_or(REMEMBERED_RESTARTS).min(REMEMBERED_RESTARTS);
        self.restarts.extend(std::iter::repeat_n(at, more));
        let too_many = self.restarts.len().saturating_sub(REMEMBERED_RESTARTS);
        self.restarts.drain(..too_many);
    }
}
