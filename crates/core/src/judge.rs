//! Judges remedies: one verdict per authorisation, by what is observed afterwards and not by what Docker answered.
//!
//! ```text
//! authorised ──► succeeded ──► stabilisation window ──► recovered      nothing is wrong any more
//!     │              │                              ├─► look again     it may still recover; at most three windows
//!     │              └─► relapsed at once: its      ├─► relapsed       a symptom is still active
//!     │                  check fails, it ended      └─► inconclusive   there is nothing to judge by
//!     └─► no result within its time ──► inconclusive
//! ```
//!
//! A remedy that was not carried out gets no verdict: `failed`, or `refused` because its intent was not durable, ends
//! it.

use hemostat_schema::{
    Action, Event, EventId, Family, IncidentId, Measurement, NewEvent, Observation, PolicyHash, Recorded, Span,
    Subject, Timestamp,
    action::{OnRun, Outcome, Remedy, Verified},
    container::{ExitBy, Health, Run, Vitals},
    observation::Symptom,
};
use serde::{Deserialize, Serialize};

use crate::{
    decider::{Decider, Decision, Timer, Trigger},
    last_applied::LastApplied,
    observe::{
        condition::{Condition, OperatorHalt},
        lifecycle,
        pids::pids_share,
        pressure::worst_pressure,
    },
    policy::{ContainerPolicy, Policy},
};

#[cfg(test)]
mod tests;

/// The timer on which a verdict is due.
const VERDICT: &str = "verdict";
/// How long the result of an action may take, in addition to the container's own stop timeout.
const RESULT_WITHIN: Span = Span::from_secs(900);
/// Maximum stabilisation windows before the verdict is final.
const MAX_WINDOWS: u64 = 3;

/// Judges remedies.
#[derive(Debug, Clone, Copy)]
pub struct Judge;

/// What is known of one container.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct State {
    #[serde(rename = "once")]
    last_applied: LastApplied,
    condition: Condition,
    #[serde(rename = "act")]
    open: Option<OpenAction>,
}

/// What the containers of a host share.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Shared {
    engine_lost: bool,
}

/// An authorisation that has no verdict yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct OpenAction {
    action: EventId,
    incident: Option<IncidentId>,
    remedy: Remedy,
    /// The run that the action is for; none if it is for a service or the host.
    target: Option<Run>,
    stop_timeout: Option<Span>,
    dry_run: bool,
    at: Timestamp,
    /// When it was carried out.
    done: Option<Timestamp>,
    /// Whether the container was observed since the authorisation.
    observed: bool,
    /// What went wrong in the new run.
    setback: Option<String>,
    /// The last resource use of the new run.
    vitals: Option<Vitals>,
}

/// The assessment at the end of a window.
#[derive(Debug, Clone, PartialEq)]
enum Assessment {
    Final(Outcome, String),
    /// The container may still recover; if it does not, this is the verdict in the end.
    Provisional(Outcome, String),
}

impl Decider for Judge {
    const GROUP: &'static str = "judge";
    const VERSION: u16 = 1;
    const READS: &'static [Family] = &[Family::Observation, Family::Action];
    type State = State;
    type Shared = Shared;
    type Policy = Policy;

    fn policy_hash(policy: &Policy) -> Option<PolicyHash> {
        Some(policy.hash())
    }

    fn evolve(state: &mut State, shared: &mut Shared, event: &Recorded) {
        if !state.last_applied.advance(event) {
            return;
        }
        state.condition.evolve(event);
        if let (Some(open), Some(Measurement::Container(vitals))) = (&mut state.open, event.measurement()) {
            open.vitals = Some(*vitals);
        }
        match event.event() {
            Some(Event::Observation(seen)) => {
                if let Some(lost) = lifecycle::engine_lost(seen) {
                    shared.engine_lost = lost;
                }
                if let Some(open) = &mut state.open {
                    open.observed = true;
                    open.observe(seen);
                }
            }
            Some(Event::Action(action)) => state.act(event, action),
            Some(Event::Diagnosis(_) | Event::Alert(_) | Event::Sample(_)) | None => {}
        }
    }

    fn decide(state: &State, shared: &Shared, trigger: &Trigger<'_>, policy: &Policy, now: Timestamp) -> Decision {
        let Some(open) = &state.open else { return Decision::nothing() };
        let evaluation = Evaluation { state, shared, open, subject: trigger.subject(), policy, now };
        match (trigger, trigger.event()) {
            (Trigger::Timer(timer), _) => evaluation.timer(timer),
            (Trigger::Event(_), Some(Event::Action(action))) => evaluation.action(action),
            (Trigger::Event(_), Some(Event::Observation(Observation::Sampled(_)))) => Decision::nothing(),
            (Trigger::Event(_), Some(Event::Observation(_))) => evaluation.evaluate(),
            (Trigger::Event(_), Some(Event::Diagnosis(_) | Event::Alert(_) | Event::Sample(_)) | None) => {
                Decision::nothing()
            }
        }
    }
}

impl State {
    fn act(&mut self, event: &Recorded, action: &Action) {
        let is_of = |action: EventId| move |open: &mut OpenAction| open.action == action;
        match action {
            Action::Authorised(intent) => {
                self.open = Some(OpenAction {
                    action: event.id,
                    incident: event.incident.clone(),
                    remedy: intent.remedy.clone(),
                    target: intent.target.run().cloned(),
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
                if let Some(open) = self.open.as_mut().filter(|open| open.action == done.action) {
                    open.done = Some(event.at);
                }
            }
            Action::Failed(failed) => drop(self.open.take_if(is_of(failed.action))),
            Action::Verified(verdict) => drop(self.open.take_if(is_of(verdict.action))),
            Action::Refused(refused) => {
                if let Some(action) = refused.refusal.unexecuted_intent() {
                    self.open.take_if(is_of(action));
                }
            }
            Action::Proposed(_)
            | Action::Approved(_)
            | Action::Denied(_)
            | Action::Expired(_)
            | Action::GaveUp(_)
            | Action::BreakerReset(_)
            | Action::Paused(_)
            | Action::Resumed(_)
            | Action::DeadLetterRedriven(_)
            | Action::DeadLetterDiscarded(_)
            | Action::PolicyChanged(_)
            | Action::PolicyRefused(_)
            | Action::PoliciesCompared(_) => {}
        }
    }
}

impl OpenAction {
    fn observe(&mut self, seen: &Observation) {
        match seen {
            Observation::HealthChanged(changed) if changed.to == Health::Unhealthy && self.led_to(&changed.target) => {
                self.setback = Some("its health check fails again".into());
            }
            Observation::Exited(exited) if self.led_to(&exited.target) => match (exited.exit.by, self.on_run()) {
                (ExitBy::Operator, _) | (_, OnRun::Ends) => {}
                // A container that was started to do its work, and did it, is well.
                (ExitBy::Itself, OnRun::Begins) => {}
                (ExitBy::Itself, OnRun::Replaces | OnRun::Keeps)
                | (ExitBy::Crash | ExitBy::Oom | ExitBy::Unknown, _) => {
                    self.setback = Some(format!("it ended again (exit code {})", exited.exit.code));
                }
            },
            Observation::Started(_) => self.vitals = None,
            Observation::HealthChanged(_)
            | Observation::Exited(_)
            | Observation::Seen(_)
            | Observation::Removed(_)
            | Observation::Paused(_)
            | Observation::Unpaused(_)
            | Observation::Sampled(_)
            | Observation::Stored(_)
            | Observation::Examined(_)
            | Observation::DiskMeasured(_)
            | Observation::SymptomRaised(_)
            | Observation::SymptomWorsened(_)
            | Observation::SymptomCleared(_)
            | Observation::EngineLost(_)
            | Observation::EngineFound(_) => {}
        }
    }

    /// Whether this run followed the action, and is not the sick one before it. A dry run leaves the run as it is, and
    /// so do some remedies.
    fn led_to(&self, run: &Run) -> bool {
        self.dry_run || self.on_run() == OnRun::Keeps || self.target.as_ref() != Some(run)
    }

    fn on_run(&self) -> OnRun {
        self.remedy.info().on_run
    }
}

/// The evaluation of one open action at one instant.
#[derive(Debug, Clone, Copy)]
struct Evaluation<'a> {
    state: &'a State,
    shared: &'a Shared,
    open: &'a OpenAction,
    subject: &'a Subject,
    policy: &'a Policy,
    now: Timestamp,
}

impl Evaluation<'_> {
    fn timer(&self, timer: &Timer) -> Decision {
        if let Some(done) = self.open.done {
            let due = self.policy.stabilisation.after(done);
            let is_early = self.now < due && self.open.setback.is_none();
            return if is_early { Decision::nothing().set_timer(VERDICT, due) } else { self.evaluate() };
        }
        if self.now < self.deadline() {
            return Decision::nothing().set_timer(VERDICT, self.deadline());
        }
        // A late timer means that HemoStat was down; the responder may only just be back too.
        if Span::between(timer.due, self.now) > self.policy.stabilisation {
            return Decision::nothing().set_timer(VERDICT, RESULT_WITHIN.after(self.now));
        }
        self.verdict(Outcome::Inconclusive, "no result of the remedy was recorded".into())
    }

    fn action(&self, action: &Action) -> Decision {
        match (action, self.open.done) {
            (Action::Authorised(_), None) => Decision::nothing().set_timer(VERDICT, self.deadline()),
            (Action::Succeeded(_), Some(done)) => match &self.open.setback {
                None => Decision::nothing().set_timer(VERDICT, self.policy.stabilisation.after(done)),
                Some(_) => self.evaluate(),
            },
            (Action::Authorised(_), Some(_))
            | (Action::Succeeded(_), None)
            | (
                Action::Proposed(_)
                | Action::Approved(_)
                | Action::Denied(_)
                | Action::Expired(_)
                | Action::Refused(_)
                | Action::Failed(_)
                | Action::Verified(_)
                | Action::GaveUp(_)
                | Action::BreakerReset(_)
                | Action::Paused(_)
                | Action::Resumed(_)
                | Action::DeadLetterRedriven(_)
                | Action::DeadLetterDiscarded(_)
                | Action::PolicyChanged(_)
                | Action::PolicyRefused(_)
                | Action::PoliciesCompared(_),
                _,
            ) => Decision::nothing(),
        }
    }

    /// When the result of the action must be known.
    fn deadline(&self) -> Timestamp {
        RESULT_WITHIN.after(self.open.stop_timeout.unwrap_or_default().after(self.open.at))
    }

    fn evaluate(&self) -> Decision {
        let Some(done) = self.open.done else { return Decision::nothing() };
        if let Some(setback) = &self.open.setback {
            return self.verdict(Outcome::Relapsed, setback.clone());
        }
        let window = self.policy.stabilisation;
        if self.now < window.after(done) {
            return Decision::nothing();
        }
        let last = window.times(MAX_WINDOWS).after(done);
        match self.assess() {
            Assessment::Final(outcome, why) => self.verdict(outcome, why),
            Assessment::Provisional(outcome, why) if last <= self.now => self.verdict(outcome, why),
            Assessment::Provisional(..) => Decision::nothing().set_timer(VERDICT, window.after(self.now).min(last)),
        }
    }

    /// Assesses the container after the window.
    fn assess(&self) -> Assessment {
        let condition = &self.state.condition;
        let Some(facts) = &condition.facts else {
            return Assessment::Final(Outcome::Inconclusive, "the container was removed".into());
        };
        match condition.operator_halt {
            Some(OperatorHalt::Stopped) => {
                return Assessment::Final(Outcome::Inconclusive, "an operator stopped it".into());
            }
            Some(OperatorHalt::Paused) => {
                return Assessment::Final(Outcome::Inconclusive, "an operator paused it".into());
            }
            None => {}
        }
        if self.shared.engine_lost {
            return Assessment::Provisional(Outcome::Inconclusive, "its Docker engine does not answer".into());
        }
        if !self.open.observed {
            return Assessment::Final(Outcome::Inconclusive, "it was not observed after the remedy".into());
        }
        if self.open.on_run() == OnRun::Ends && !self.open.dry_run {
            return match condition.is_running() {
                true => Assessment::Final(Outcome::Relapsed, "it runs again".into()),
                false => Assessment::Final(Outcome::Recovered, "it stays stopped".into()),
            };
        }
        let relevant = || condition.symptoms.keys().copied().filter(|symptom| self.bears_on(*symptom));
        if let Some(symptom) = relevant().find(|symptom| self.shows(*symptom)) {
            return Assessment::Final(Outcome::Relapsed, format!("symptom {symptom} is still active"));
        }
        if let Some(symptom) = relevant().next() {
            let why = format!("symptom {symptom} was not cleared in time");
            return Assessment::Provisional(Outcome::Relapsed, why);
        }
        let finished = self.open.on_run() == OnRun::Begins && facts.exit.is_some_and(|exit| exit.by == ExitBy::Itself);
        match (condition.is_running(), facts.health) {
            (false, _) if finished => Assessment::Final(Outcome::Recovered, "it did its work and ended well".into()),
            (false, _) => Assessment::Provisional(Outcome::Inconclusive, "it does not run".into()),
            (true, Health::Healthy) => Assessment::Final(Outcome::Recovered, "its health check passes".into()),
            (true, Health::None) => Assessment::Final(Outcome::Recovered, "it runs without symptoms".into()),
            (true, Health::Starting) => {
                Assessment::Provisional(Outcome::Inconclusive, "its health check has no result yet".into())
            }
            (true, Health::Unhealthy) => Assessment::Final(Outcome::Relapsed, "its health check fails".into()),
        }
    }

    /// Whether a symptom says anything about the remedy.
    ///
    /// A restart loop is cleared only after a long time; the judgement rests on this run not having ended. The same
    /// holds for flapping and killed children. A new run has the same CPU limit, neighbours and disk as the one before;
    /// a shortage of those counts only against a remedy for it.
    fn bears_on(&self, symptom: Symptom) -> bool {
        self.state.condition.is_sick_with(symptom)
            && match symptom {
                Symptom::RestartLoop | Symptom::Flapping | Symptom::OomChild => false,
                Symptom::CpuThrottled | Symptom::Pressure | Symptom::DiskFilling => {
                    self.open.remedy.info().relieves.contains(&symptom)
                }
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

    /// Whether an active symptom is visible now, or is only not cleared yet.
    fn shows(&self, symptom: Symptom) -> bool {
        let sensitivity = &self.policy.sensitivity;
        let container = self.state.condition.facts.as_ref().map(|facts| self.policy.for_container(facts));
        let above = |level: fn(&Vitals, &ContainerPolicy) -> bool| {
            self.open.vitals.as_ref().zip(container.as_ref()).is_some_and(|(vitals, policy)| level(vitals, policy))
        };
        let strained =
            |level: &dyn Fn(&Vitals) -> Option<bool>| self.open.vitals.as_ref().and_then(level).unwrap_or(false);
        match symptom {
            Symptom::CpuHigh => above(|vitals, policy| vitals.cpu >= policy.cpu),
            Symptom::MemoryHigh => above(|vitals, policy| vitals.memory >= policy.memory),
            Symptom::CpuThrottled => strained(&|vitals| Some(vitals.strain.throttled? >= sensitivity.throttled)),
            Symptom::Pressure => {
                strained(&|vitals| Some(worst_pressure(&vitals.strain, sensitivity)?.1 >= sensitivity.pressure))
            }
            Symptom::PidsHigh => strained(&|vitals| Some(pids_share(vitals)? >= sensitivity.pids)),
            Symptom::Unhealthy
            | Symptom::Exited
            | Symptom::OomKilled
            | Symptom::RestartLoop
            | Symptom::OomChild
            | Symptom::Flapping
            | Symptom::MemoryLeak
            | Symptom::DiskFilling
            | Symptom::CpuUnusual
            | Symptom::MemoryUnusual
            | Symptom::NetworkUnusual
            | Symptom::BlockUnusual => self.state.condition.shows(symptom, self.open.target.as_ref()),
        }
    }

    fn verdict(&self, outcome: Outcome, why: String) -> Decision {
        let OpenAction { action, remedy, incident, at, .. } = self.open;
        let took = Span::between(*at, self.now);
        let verified =
            Verified { action: *action, remedy: remedy.clone(), outcome, why, took, policy: None, trigger: None };
        let event = NewEvent::new(self.subject.clone(), self.now, verified).in_incident(incident.clone());
        Decision::event(event).cancel_timer(VERDICT)
    }
}
