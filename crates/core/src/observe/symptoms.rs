//! Which symptoms will be raised, worsened or cleared if nothing else happens, and when.
//!
//! One list answers two questions: what is due by now, and when to look again.
//!
//! | symptom | raised | cleared |
//! |---|---|---|
//! | unhealthy | the health check has failed for the required time | well for `clear_after` |
//! | exited, oom killed | the monitor saw the run end so, and Docker does not start it again | well for `clear_after` |
//! | restart loop | Docker restarted it `loop_restarts` times within `loop_within` | no restart for half of `loop_within` |
//! | flapping | the health check flipped `flaps` times within `flaps_within` | no flip for half of `flaps_within` |
//! | oom child | the kernel killed one of its processes, and it went on or ended with code 0 | no kill for half of `loop_within` |
//! | cpu high, memory high | above its threshold for the required time | below its clear threshold for `clear_after` |
//! | cpu throttled, pressure, pids high | the same | the same |
//! | memory leak | memory grows along a line that reaches the limit in time | no such line, or another run is well |
//! | disk filling | the disk is full or will be, and this container fills it | neither, with a margin |
//! | … unusual | far above its baseline for the required time | half as far, for `clear_after` |
//!
//! Every symptom is cleared when an operator stops or pauses the container, and when it is removed. A container that
//! was just created (deployed, or recreated by an update) has a grace period: a fault that begins in it is raised only
//! if it is still there at its end.

use std::sync::Arc;

use hemostat_schema::{
    Span, Timestamp,
    container::{Exit, Facts},
    observation::{Cleared, Evidence, Severity, Symptom, SymptomRaised, SymptomWorsened},
};

use super::{
    exceeded::Exceeded,
    state::{ActiveSymptom, Phase, State},
};
use crate::policy::{ContainerPolicy, Policy};

mod figures;
mod life;

/// A stop that lasts this long clears the symptoms; a shorter one may be half of a restart.
const LASTING_STOP: Span = Span::from_secs(10);

/// A change of a symptom.
pub(super) enum Change {
    Raise(SymptomRaised),
    Worsen(SymptomWorsened),
    Clear(Symptom, Cleared),
}

impl Change {
    pub(super) fn symptom(&self) -> Symptom {
        match self {
            Self::Raise(raised) => raised.symptom,
            Self::Worsen(worsened) => worsened.symptom,
            Self::Clear(symptom, _) => *symptom,
        }
    }

    /// Whether the symptom is computed from samples.
    pub(super) fn rests_on_samples(&self) -> bool {
        match self.symptom() {
            Symptom::CpuHigh
            | Symptom::MemoryHigh
            | Symptom::CpuThrottled
            | Symptom::Pressure
            | Symptom::PidsHigh
            | Symptom::MemoryLeak
            | Symptom::CpuUnusual
            | Symptom::MemoryUnusual
            | Symptom::NetworkUnusual
            | Symptom::BlockUnusual => true,
            Symptom::Unhealthy
            | Symptom::Exited
            | Symptom::OomKilled
            | Symptom::RestartLoop
            | Symptom::OomChild
            | Symptom::Flapping
            | Symptom::DiskFilling => false,
        }
    }
}

/// A change and the time at which it is due.
pub(super) struct Due {
    pub(super) at: Timestamp,
    pub(super) change: Change,
}

impl Due {
    fn well(symptom: Symptom, at: Timestamp) -> Self {
        Self { at, change: Change::Clear(symptom, Cleared::Well) }
    }
}

/// The pending changes of the container with this name; `ended` is the end of a run that was observed just now.
pub(super) fn pending(state: &State, name: &str, policy: &Policy, ended: Option<&Exit>) -> Vec<Due> {
    let Some((facts, (phase, since))) = state.facts.as_ref().zip(state.phase) else {
        return all_cleared(state, Cleared::Removed, Timestamp::MIN);
    };
    let Some((container, true)) = state.policy(name, policy) else {
        return all_cleared(state, Cleared::Stopped, Timestamp::MIN);
    };
    match phase {
        Phase::Paused => return all_cleared(state, Cleared::Stopped, since),
        Phase::AtRest => return all_cleared(state, Cleared::Stopped, LASTING_STOP.after(since)),
        Phase::Well | Phase::Starting | Phase::Unhealthy | Phase::Restarting | Phase::Crashed => {}
    }
    let assessment = Assessment { state, facts, phase, since, policy, container };
    let mut due = assessment.life(ended);
    if phase.is_running() {
        due.extend(assessment.figures());
    }
    due
}

fn all_cleared(state: &State, why: Cleared, at: Timestamp) -> Vec<Due> {
    state.symptoms.keys().map(|symptom| Due { at, change: Change::Clear(*symptom, why) }).collect()
}

/// One watched container and the policy that it is assessed by.
struct Assessment<'a> {
    state: &'a State,
    facts: &'a Facts,
    phase: Phase,
    /// Since when it has been in this phase.
    since: Timestamp,
    policy: &'a Policy,
    container: Arc<ContainerPolicy>,
}

impl Assessment<'_> {
    fn active(&self, symptom: Symptom) -> Option<&ActiveSymptom> {
        self.state.symptoms.get(&symptom)
    }

    fn is_active(&self, symptom: Symptom) -> bool {
        self.active(symptom).is_some()
    }

    /// The end of the grace period.
    fn grace_until(&self) -> Timestamp {
        self.container.grace.after(self.facts.created_at)
    }

    /// How long a burst that is counted within `within` must be over before its symptom is cleared.
    fn quiet(&self, within: Span) -> Span {
        Span::from_millis(within.as_millis() / 2).max(self.policy.clear_after)
    }

    fn raise(&self, symptom: Symptom, severity: Severity, since: Timestamp, at: Timestamp, evidence: Evidence) -> Due {
        let target = self.facts.target();
        Due { at, change: Change::Raise(SymptomRaised { symptom, severity, since, target, evidence }) }
    }

    /// The change of a symptom that follows from its signal.
    fn follow(&self, symptom: Symptom, exceeded: Option<Exceeded>, cleared: Option<Timestamp>) -> Option<Due> {
        let active = self.active(symptom);
        if let Some(at) = cleared {
            return active.map(|_| Due::well(symptom, at));
        }
        let Exceeded { at, since, severity, evidence } = exceeded?;
        match active {
            None => Some(self.raise(symptom, severity, since, at, evidence)),
            Some(active) if active.severity < severity => {
                let target = self.facts.target();
                Some(Due { at, change: Change::Worsen(SymptomWorsened { symptom, severity, target, evidence }) })
            }
            Some(_) => None,
        }
    }
}
