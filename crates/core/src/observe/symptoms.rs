//! Which symptoms will be raised, worsened or cleared if nothing else happens, and when.
//!
//! One list answers both questions that are asked of it: what is due by now, and when to look again.
//!
//! | symptom | raised | cleared |
//! |---|---|---|
//! | unhealthy | the health check has failed for its time | well for `clear_after` |
//! | exited, oom killed | the run ended so under our eyes, and Docker does not start it again | well for `clear_after` |
//! | restart loop | Docker restarted it `loop_restarts` times within `loop_within` | not for half of `loop_within` |
//! | flapping | the health check changed its mind `flaps` times within `flaps_within` | not for half of `flaps_within` |
//! | oom child | the kernel killed a process of it, and it went on or ended as if nothing had been | not for half of `loop_within` |
//! | cpu high, memory high | above its threshold for its time | five points below it for `clear_after` |
//! | cpu throttled, pressure, pids high | the same | the same |
//! | memory leak | memory grows along a line that meets the limit in time | no line any more, or well in another run |
//! | disk filling | a disk is full or will be, and it is this container | neither, with room to spare |
//! | … unusual | far above what is usual for it, for its time | half as far, for `clear_after` |
//!
//! All are cleared when an operator stops or freezes the container, and when it is gone. A container that was just made
//! (deployed, or made anew by an update) has a time of grace: what is wrong with it then and passes by itself is not told,
//! what is still wrong at its end is.

use hemostat_schema::{
    Span, Timestamp,
    container::{Exit, Facts},
    observation::{Cleared, Evidence, Severity, Symptom, SymptomRaised, SymptomWorsened},
};

use super::{
    signals::High,
    state::{Phase, Standing, State},
};
use crate::{Policy, policy::Care};

mod figures;
mod life;

/// A restart is a stop and a start; only a stop that lasts so long is one.
const LASTING_STOP: Span = Span::from_secs(10);

/// What will change.
pub(super) enum Change {
    Raise(SymptomRaised),
    Worsen(SymptomWorsened),
    Clear(Symptom, Cleared),
}

impl Change {
    /// Which symptom it is about.
    pub(super) fn symptom(&self) -> Symptom {
        match self {
            Self::Raise(raised) => raised.symptom,
            Self::Worsen(worsened) => worsened.symptom,
            Self::Clear(symptom, _) => *symptom,
        }
    }

    /// Whether it rests on samples.
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

/// A change, and when it is due.
pub(super) struct Due {
    pub(super) at: Timestamp,
    pub(super) change: Change,
}

impl Due {
    fn well(symptom: Symptom, at: Timestamp) -> Self {
        Self { at, change: Change::Clear(symptom, Cleared::Well) }
    }
}

/// What will change for the container of this name; `ended` is the end of a run that was seen just now.
pub(super) fn pending(state: &State, name: &str, policy: &Policy, ended: Option<&Exit>) -> Vec<Due> {
    let Some((facts, (phase, since))) = state.facts.as_ref().zip(state.phase) else {
        return all_cleared(state, Cleared::Removed, Timestamp::MIN);
    };
    if !policy.watches(name, facts) {
        return all_cleared(state, Cleared::Stopped, Timestamp::MIN);
    }
    match phase {
        Phase::Frozen => return all_cleared(state, Cleared::Stopped, since),
        Phase::AtRest => return all_cleared(state, Cleared::Stopped, LASTING_STOP.after(since)),
        Phase::Well | Phase::Starting | Phase::Unhealthy | Phase::Restarting | Phase::Crashed => {}
    }
    let watch = Watch { state, facts, phase, since, policy, care: policy.care_of(facts) };
    let mut due = watch.life(ended);
    if phase.is_running() {
        due.extend(watch.figures());
    }
    due
}

fn all_cleared(state: &State, why: Cleared, at: Timestamp) -> Vec<Due> {
    state.standing.keys().map(|symptom| Due { at, change: Change::Clear(*symptom, why) }).collect()
}

struct Watch<'a> {
    state: &'a State,
    facts: &'a Facts,
    phase: Phase,
    since: Timestamp,
    policy: &'a Policy,
    care: Care,
}

impl Watch<'_> {
    fn standing(&self, symptom: Symptom) -> Option<&Standing> {
        self.state.standing.get(&symptom)
    }

    fn stands(&self, symptom: Symptom) -> bool {
        self.standing(symptom).is_some()
    }

    /// Until when what is wrong may pass by itself.
    fn calm_until(&self) -> Timestamp {
        self.care.grace.after(self.facts.created_at)
    }

    /// For how long what comes in bursts must not come until it is over.
    fn quiet(&self, within: Span) -> Span {
        Span::from_millis(within.as_millis() / 2).max(self.policy.clear_after)
    }

    fn raise(&self, symptom: Symptom, severity: Severity, since: Timestamp, at: Timestamp, evidence: Evidence) -> Due {
        let target = self.facts.target();
        Due { at, change: Change::Raise(SymptomRaised { symptom, severity, since, target, evidence }) }
    }

    /// What becomes of a symptom whose signal has been too much for its time, or well below for long enough.
    fn held(&self, symptom: Symptom, high: Option<High>, low: Option<Timestamp>) -> Option<Due> {
        let standing = self.standing(symptom);
        if let Some(at) = low {
            return standing.map(|_| Due::well(symptom, at));
        }
        let High { at, since, severity, evidence } = high?;
        match standing {
            None => Some(self.raise(symptom, severity, since, at, evidence)),
            Some(standing) if standing.severity < severity => {
                let target = self.facts.target();
                Some(Due { at, change: Change::Worsen(SymptomWorsened { symptom, severity, target, evidence }) })
            }
            Some(_) => None,
        }
    }
}
