//! Which symptoms will be raised, worsened or cleared if nothing else happens, and when.
//!
//! One list answers both questions that are asked of it: what is due by now, and when to look again.
//!
//! | symptom | raised | cleared |
//! |---|---|---|
//! | unhealthy | the health check has failed for its time | well for `clear_after` |
//! | exited, oom killed | the run ended so under our eyes, and Docker does not start it again | well for `clear_after` |
//! | restart loop | Docker restarted it `loop_restarts` times within `loop_within` | not for half of `loop_within` |
//! | cpu high, memory high | above its threshold for its time | five points below it for `clear_after` |
//!
//! All are cleared when an operator stops or freezes the container, and when it is gone.

use hemostat_schema::{
    Percent, Span, Timestamp,
    container::{Exit, ExitBy, Facts},
    observation::{Cleared, Evidence, Severity, Symptom, SymptomRaised, SymptomWorsened},
};

use super::{
    level::Level,
    state::{Phase, State},
};
use crate::{Policy, policy::Care};

/// A restart is a stop and a start; only a stop that lasts so long is one.
const LASTING_STOP: Span = Span::from_secs(10);

/// What will change.
pub(super) enum Change {
    Raise(SymptomRaised),
    Worsen(SymptomWorsened),
    Clear(Symptom, Cleared),
}

impl Change {
    /// Whether it rests on samples.
    pub(super) fn is_of_level(&self) -> bool {
        let symptom = match self {
            Self::Raise(raised) => raised.symptom,
            Self::Worsen(worsened) => worsened.symptom,
            Self::Clear(symptom, _) => *symptom,
        };
        matches!(symptom, Symptom::CpuHigh | Symptom::MemoryHigh)
    }
}

/// A change, and when it is due.
pub(super) struct Due {
    pub(super) at: Timestamp,
    pub(super) change: Change,
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
    let mut due = vec![];
    due.extend(watch.unhealthy());
    due.extend(watch.ended(ended));
    due.extend(watch.looping());
    due.extend(watch.out_of_the_loop());
    due.extend(watch.level(Symptom::CpuHigh, &state.levels.cpu, watch.care.cpu));
    due.extend(watch.level(Symptom::MemoryHigh, &state.levels.memory, watch.care.memory));
    if phase == Phase::Well {
        due.extend(watch.recovered());
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
    fn stands(&self, symptom: Symptom) -> bool {
        self.state.standing.contains_key(&symptom)
    }

    fn raise(&self, symptom: Symptom, severity: Severity, since: Timestamp, at: Timestamp, evidence: Evidence) -> Due {
        let target = self.facts.target();
        Due { at, change: Change::Raise(SymptomRaised { symptom, severity, since, target, evidence }) }
    }

    fn unhealthy(&self) -> Option<Due> {
        if self.phase != Phase::Unhealthy || self.stands(Symptom::Unhealthy) {
            return None;
        }
        let evidence = Evidence::Health { held: self.care.unhealthy };
        let due = self.care.unhealthy.after(self.since);
        Some(self.raise(Symptom::Unhealthy, Severity::High, self.since, due, evidence))
    }

    fn ended(&self, ended: Option<&Exit>) -> Option<Due> {
        let exit = *ended?;
        let (symptom, severity) = match exit.by {
            ExitBy::Crash if exit.code != 0 => (Symptom::Exited, Severity::High),
            ExitBy::Oom => (Symptom::OomKilled, Severity::Critical),
            ExitBy::Crash | ExitBy::Itself | ExitBy::Operator | ExitBy::Unknown => return None,
        };
        let crashed = self.phase == Phase::Crashed && !self.stands(symptom);
        crashed.then(|| self.raise(symptom, severity, self.since, self.since, Evidence::Exit { exit }))
    }

    fn looping(&self) -> Option<Due> {
        let (restarts, within) = (&self.state.restarts, self.policy.loop_within);
        let last = *restarts.last()?;
        let counted = restarts.iter().filter(|at| Span::between(**at, last) <= within).count();
        let count = u32::try_from(counted).unwrap_or(u32::MAX);
        if count < self.policy.loop_restarts.max(1) || self.stands(Symptom::RestartLoop) {
            return None;
        }
        let first = restarts.iter().copied().find(|at| Span::between(*at, last) <= within)?;
        let evidence = Evidence::Restarts { count, within, last: self.state.last_exit };
        Some(self.raise(Symptom::RestartLoop, Severity::High, first, last, evidence))
    }

    /// A loop is over when the run has lasted, however it feels: what else ails it is another symptom's to say.
    fn out_of_the_loop(&self) -> Option<Due> {
        if !self.phase.is_running() || !self.stands(Symptom::RestartLoop) {
            return None;
        }
        let last = self.state.restarts.last().copied().unwrap_or(self.since);
        let lasting = Span::from_millis(self.policy.loop_within.as_millis() / 2).max(self.policy.clear_after);
        Some(Due { at: lasting.after(last), change: Change::Clear(Symptom::RestartLoop, Cleared::Well) })
    }

    fn level(&self, symptom: Symptom, level: &Level, threshold: Percent) -> Option<Due> {
        if !self.phase.is_running() {
            return None;
        }
        let standing = self.state.standing.get(&symptom);
        if let Some(at) = level.low(self.policy.clear_after) {
            return standing.map(|_| Due { at, change: Change::Clear(symptom, Cleared::Well) });
        }
        let high = level.high(self.care.sustained)?;
        let evidence = Evidence::Level { value: high.value, threshold, held: high.held, trend: high.trend };
        match standing {
            None => Some(self.raise(symptom, high.severity, high.since, high.at, evidence)),
            Some(standing) if standing.severity < high.severity => {
                let (target, severity) = (self.facts.target(), high.severity);
                let worsened = SymptomWorsened { symptom, severity, target, evidence };
                Some(Due { at: high.at, change: Change::Worsen(worsened) })
            }
            Some(_) => None,
        }
    }

    /// What is over once the container has been well for long enough; levels and loops are over by their own measure.
    fn recovered(&self) -> impl Iterator<Item = Due> {
        let by_wellness = [Symptom::Unhealthy, Symptom::Exited, Symptom::OomKilled];
        let due = self.policy.clear_after.after(self.since);
        let standing = by_wellness.into_iter().filter(|symptom| self.stands(*symptom));
        standing.map(move |symptom| Due { at: due, change: Change::Clear(symptom, Cleared::Well) })
    }
}
