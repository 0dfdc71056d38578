//! Whether a remedy helped: the verdict on every authority, by what is seen afterwards and not by what the engine said.
//!
//! ```text
//! authorised ──► succeeded ──► stabilisation window ──► recovered      nothing is wrong any more
//!     │              │                              ├─► look again     it may yet get well; at most three windows
//!     │              └─► relapsed at once: its      ├─► relapsed       a symptom stands
//!     │                  check fails, it ended      └─► inconclusive   there is nothing to judge by
//!     └─► no outcome within its time ──► inconclusive
//! ```
//!
//! A remedy that was not carried out needs no verdict: `failed`, or `refused` as its intent was not safe, is its end. Every other authority gets exactly one.

use hemostat_schema::{
    Action, Event, EventId, Family, IncidentId, NewEvent, Observation, Recorded, Span, Subject, Timestamp,
    action::{Outcome, Remedy, Verified},
    container::{ExitBy, Health, Target, Vitals},
    observation::Symptom,
};
use serde::{Deserialize, Serialize};

use crate::{
    Policy,
    condition::{Condition, Halted},
    decider::{Decider, Decision, Timer, Trigger},
    observe::{crowding, worst},
    once::Once,
};

#[cfg(test)]
mod tests;

/// The timer on which a verdict is due.
const VERDICT: &str = "verdict";
/// How long the outcome of an act may take, on top of the container's own time to stop.
const OUTCOME_WITHIN: Span = Span::from_secs(900);
/// For so many stabilisation windows it is looked again.
const WINDOWS: u64 = 3;

/// Judges remedies.
#[derive(Debug, Clone, Copy)]
pub struct Judge;

/// What is known of a container that is under treatment.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct State {
    once: Once,
    condition: Condition,
    act: Option<Act>,
}

/// What the containers of a host have in common.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Shared {
    engine_lost: bool,
}

/// An authority that has no verdict yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Act {
    action: EventId,
    incident: Option<IncidentId>,
    remedy: Remedy,
    target: Target,
    stop_timeout: Option<Span>,
    dry_run: bool,
    at: Timestamp,
    /// When it was carried out.
    done: Option<Timestamp>,
    /// Whether the container was observed since.
    observed: bool,
    /// What went wrong in the run that came of it.
    setback: Option<String>,
    /// What that run used last.
    vitals: Option<Vitals>,
}

/// What a look at the patient says.
#[derive(Debug, Clone, PartialEq)]
enum Look {
    Verdict(Outcome, String),
    /// It may yet get well; if not, this is the verdict in the end.
    Later(Outcome, String),
}

impl Decider for Judge {
    const GROUP: &'static str = "judge";
    const VERSION: u16 = 1;
    const READS: &'static [Family] = &[Family::Observation, Family::Action];
    type State = State;
    type Shared = Shared;
    type Policy = Policy;

    fn evolve(state: &mut State, shared: &mut Shared, event: &Recorded) {
        if !state.once.is_news(event) {
            return;
        }
        state.condition.evolve(event);
        match event.event() {
            Some(Event::Observation(seen)) => {
                match seen {
                    Observation::EngineLost(_) => shared.engine_lost = true,
                    Observation::EngineFound(_) => shared.engine_lost = false,
                    _ => {}
                }
                if let Some(act) = &mut state.act {
                    act.observe(seen);
                }
            }
            Some(Event::Action(action)) => state.act(event, action),
            Some(Event::Diagnosis(_) | Event::Alert(_)) | None => {}
        }
    }

    fn decide(state: &State, shared: &Shared, trigger: &Trigger<'_>, policy: &Policy, now: Timestamp) -> Decision {
        let Some(act) = &state.act else { return Decision::nothing() };
        let trial = Trial { state, shared, act, subject: trigger.subject(), policy, now };
        match (trigger, trigger.event(), act.done) {
            (Trigger::Timer(timer), ..) => trial.timer(timer),
            (_, Some(Event::Action(Action::Authorised(_))), None) => {
                Decision::nothing().wake(VERDICT, trial.deadline())
            }
            (_, Some(Event::Action(Action::Succeeded(_))), Some(done)) => match &act.setback {
                None => Decision::nothing().wake(VERDICT, policy.stabilisation.after(done)),
                Some(_) => trial.look(),
            },
            (_, Some(Event::Observation(seen)), Some(_)) if !matches!(seen, Observation::Sampled(_)) => trial.look(),
            _ => Decision::nothing(),
        }
    }
}

impl State {
    fn act(&mut self, event: &Recorded, action: &Action) {
        let is_of = |action: EventId| move |act: &mut Act| act.action == action;
        match action {
            Action::Authorised(intent) => {
                self.act = Some(Act {
                    action: event.id,
                    incident: event.incident.clone(),
                    remedy: intent.remedy.clone(),
                    target: intent.target.clone(),
                    stop_timeout: intent.stop_timeout,
                    dry_run: intent.dry_run,
                    at: event.at,
                    done: None,
                    observed: false,
                    setback: None,
                    vitals: None,
                });
            }
            Action::Succeeded(done) => {
                if let Some(act) = self.act.as_mut().filter(|act| act.action == done.action) {
                    act.done = Some(event.at);
                }
            }
            Action::Failed(failed) => drop(self.act.take_if(is_of(failed.action))),
            Action::Verified(verdict) => drop(self.act.take_if(is_of(verdict.action))),
            Action::Refused(refused) => {
                if let Some(action) = refused.refusal.withholds() {
                    self.act.take_if(is_of(action));
                }
            }
            Action::Proposed(_)
            | Action::Approved(_)
            | Action::Denied(_)
            | Action::Expired(_)
            | Action::GaveUp(_)
            | Action::BreakerReset(_)
            | Action::Paused(_)
            | Action::Resumed(_) => {}
        }
    }
}

impl Act {
    fn observe(&mut self, seen: &Observation) {
        self.observed = true;
        match seen {
            Observation::HealthChanged(changed) if changed.to == Health::Unhealthy && self.led_to(&changed.target) => {
                self.setback = Some("its health check fails again".into());
            }
            Observation::Exited(exited) if self.led_to(&exited.target) => match exited.exit.by {
                ExitBy::Operator => {}
                // What was started to do its work, and did it, is well.
                ExitBy::Itself if self.remedy == Remedy::Start => {}
                ExitBy::Itself | ExitBy::Crash | ExitBy::Oom | ExitBy::Unknown => {
                    self.setback = Some(format!("it ended again (exit code {})", exited.exit.code));
                }
            },
            Observation::Started(_) => self.vitals = None,
            Observation::Sampled(sampled) => self.vitals = Some(sampled.vitals),
            _ => {}
        }
    }

    /// Whether this run is the one that came of the act, and not the one that was ill before it.
    fn led_to(&self, run: &Target) -> bool {
        self.dry_run || *run != self.target
    }
}

/// The judgement of one act at one instant.
#[derive(Debug, Clone, Copy)]
struct Trial<'a> {
    state: &'a State,
    shared: &'a Shared,
    act: &'a Act,
    subject: &'a Subject,
    policy: &'a Policy,
    now: Timestamp,
}

impl Trial<'_> {
    fn timer(&self, timer: &Timer) -> Decision {
        if self.act.done.is_some() {
            return self.look();
        }
        if self.now < self.deadline() {
            return Decision::nothing().wake(VERDICT, self.deadline());
        }
        // A bell that rings late says that nobody was there; whoever carries out the act may be only just back, too.
        if Span::between(timer.due, self.now) > self.policy.stabilisation {
            return Decision::nothing().wake(VERDICT, OUTCOME_WITHIN.after(self.now));
        }
        self.verdict(Outcome::Inconclusive, "nobody told whether it was carried out".into())
    }

    /// When the outcome of the act must be known.
    fn deadline(&self) -> Timestamp {
        OUTCOME_WITHIN.after(self.act.stop_timeout.unwrap_or_default().after(self.act.at))
    }

    fn look(&self) -> Decision {
        let Some(done) = self.act.done else { return Decision::nothing() };
        if let Some(setback) = &self.act.setback {
            return self.verdict(Outcome::Relapsed, setback.clone());
        }
        let window = self.policy.stabilisation;
        if self.now < window.after(done) {
            return Decision::nothing();
        }
        let last = window.times(WINDOWS).after(done);
        match self.patient() {
            Look::Verdict(outcome, why) => self.verdict(outcome, why),
            Look::Later(outcome, why) if last <= self.now => self.verdict(outcome, why),
            Look::Later(..) => Decision::nothing().wake(VERDICT, window.after(self.now).min(last)),
        }
    }

    /// How the patient is, now that the window is over.
    fn patient(&self) -> Look {
        let condition = &self.state.condition;
        let Some(facts) = &condition.facts else {
            return Look::Verdict(Outcome::Inconclusive, "the container is gone".into());
        };
        match condition.halted {
            Some(Halted::Stopped) => return Look::Verdict(Outcome::Inconclusive, "an operator stopped it".into()),
            Some(Halted::Frozen) => return Look::Verdict(Outcome::Inconclusive, "an operator paused it".into()),
            None => {}
        }
        if self.shared.engine_lost {
            return Look::Later(Outcome::Inconclusive, "its Docker engine does not answer".into());
        }
        if !self.act.observed {
            return Look::Verdict(Outcome::Inconclusive, "it was not observed since".into());
        }
        let ill = || condition.standing.keys().copied().filter(|symptom| self.bears_on(*symptom));
        if let Some(symptom) = ill().find(|symptom| self.shows(*symptom)) {
            return Look::Verdict(Outcome::Relapsed, format!("it is still ill: {symptom}"));
        }
        if let Some(symptom) = ill().next() {
            return Look::Later(Outcome::Relapsed, format!("it did not get over being {symptom}"));
        }
        let finished = self.act.remedy == Remedy::Start && facts.exit.is_some_and(|exit| exit.by == ExitBy::Itself);
        match (condition.runs(), facts.health) {
            (false, _) if finished => Look::Verdict(Outcome::Recovered, "it did its work and ended well".into()),
            (false, _) => Look::Later(Outcome::Inconclusive, "it does not run".into()),
            (true, Health::Healthy) => Look::Verdict(Outcome::Recovered, "its health check passes".into()),
            (true, Health::None) => Look::Verdict(Outcome::Recovered, "it runs, and no symptom stands".into()),
            (true, Health::Starting) => Look::Later(Outcome::Inconclusive, "its health check does not know yet".into()),
            (true, Health::Unhealthy) => Look::Verdict(Outcome::Relapsed, "its health check fails".into()),
        }
    }

    /// Whether a symptom says anything about the remedy.
    ///
    /// A restart loop counts as over only after a long time; that this run has not ended is what there is to see. The same
    /// goes for flapping and killed children. Another run has the same CPU limit, neighbours and disk as the one before;
    /// what is short of those can be told only of a remedy for it.
    fn bears_on(&self, symptom: Symptom) -> bool {
        let remedy = &self.act.remedy;
        self.state.condition.ails(symptom)
            && match symptom {
                Symptom::RestartLoop | Symptom::Flapping | Symptom::OomChild => false,
                Symptom::CpuThrottled | Symptom::Pressure => *remedy == Remedy::Scale,
                Symptom::DiskFilling => *remedy == Remedy::Cleanup,
                Symptom::Unhealthy
                | Symptom::Exited
                | Symptom::OomKilled
                | Symptom::CpuHigh
                | Symptom::MemoryHigh
                | Symptom::PidsHigh
                | Symptom::MemoryLeak
                | Symptom::CpuUnusual
                | Symptom::MemoryUnusual
                | Symptom::NetworkUnusual
                | Symptom::BlockUnusual => true,
            }
    }

    /// Whether a symptom that stands shows, or is only not over yet.
    fn shows(&self, symptom: Symptom) -> bool {
        let sensitivity = &self.policy.sensitivity;
        let care = self.state.condition.facts.as_ref().map(|facts| self.policy.care_of(facts));
        let above = |level: fn(&Vitals, &crate::policy::Care) -> bool| {
            self.act.vitals.as_ref().zip(care.as_ref()).is_some_and(|(vitals, care)| level(vitals, care))
        };
        let strained =
            |level: &dyn Fn(&Vitals) -> Option<bool>| self.act.vitals.as_ref().and_then(level).unwrap_or(false);
        match symptom {
            Symptom::CpuHigh => above(|vitals, care| vitals.cpu >= care.cpu),
            Symptom::MemoryHigh => above(|vitals, care| vitals.memory >= care.memory),
            Symptom::CpuThrottled => strained(&|vitals| Some(vitals.strain.throttled? >= sensitivity.throttled)),
            Symptom::Pressure => {
                strained(&|vitals| Some(worst(&vitals.strain, sensitivity)?.1 >= sensitivity.pressure))
            }
            Symptom::PidsHigh => strained(&|vitals| Some(crowding(vitals)? >= sensitivity.pids)),
            _ => self.state.condition.shows(symptom, &self.act.target),
        }
    }

    fn verdict(&self, outcome: Outcome, why: String) -> Decision {
        let Act { action, remedy, incident, at, .. } = self.act;
        let took = Span::between(*at, self.now);
        let verified = Verified { action: *action, remedy: remedy.clone(), outcome, why, took };
        let event = NewEvent::new(self.subject.clone(), self.now, verified).in_incident(incident.clone());
        Decision::event(event).hush(VERDICT)
    }
}
