//! The view `containers`: how each container is, and why it is, or is not, being healed.
//!
//! A row is born when a container is seen, never of what is said about it later, so that a late alert does not bring a
//! removed container back. It goes when the container is removed, unless a remedy is still in hand or a symptom stands:
//! then it stays, marked as removed, until that is settled.

use hemostat_schema::{
    Action, Diagnosis, Event, EventId, Family, IncidentId, Observation, Recorded, Timestamp,
    action::{Outcome, Refusal},
    container::{ExitBy, Facts, Health, State, Vitals},
    diagnosis::{Reached, Verdict},
    observation::{Evidence, Severity, Symptom},
};
use serde::{Deserialize, Serialize};

use super::{
    Attempt,
    attention::{Attention, Halt},
};
use crate::{Projection, lifecycle};

/// The view itself.
#[derive(Debug, Clone, Copy)]
pub struct Containers;

/// One container, by `host/name`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What is known of it, kept up to date by every observation.
    pub facts: Facts,
    /// When it was frozen, started or ended last; that is, since when `facts.state` holds.
    pub since: Timestamp,
    /// What it used last, and when.
    pub vitals: Option<(Timestamp, Vitals)>,
    /// The symptoms that stand.
    pub symptoms: Vec<Standing>,
    /// The illness that it is going through.
    pub incident: Option<IncidentId>,
    /// The last conclusion about it, also of an earlier illness.
    pub diagnosis: Option<Concluded>,
    /// The last remedy that was authorised, also in an earlier illness, and what came of it.
    pub action: Option<Attempt>,
    /// What stands in the way of healing at present, or the answer that is awaited.
    pub obstacle: Option<Attention>,
    /// What has been counted since the row was born.
    pub counters: Counters,
    /// When it was removed, where its row outlives it.
    pub removed: Option<Timestamp>,
    /// The last event that was taken in.
    pub last: EventId,
}

/// A symptom that stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// Which.
    pub symptom: Symptom,
    /// How bad.
    pub severity: Severity,
    /// Since when.
    pub since: Timestamp,
    /// What says so.
    pub evidence: Evidence,
}

/// A conclusion with its place on the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Concluded {
    /// The event.
    pub id: EventId,
    /// When.
    pub at: Timestamp,
    /// What was concluded.
    pub reached: Reached,
}

/// What has been counted of a container since its row was born.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Illnesses.
    pub incidents: u64,
    /// Remedies that were authorised.
    pub attempts: u64,
    /// Remedies that helped.
    pub recovered: u64,
    /// Remedies that were refused, once for each change of the reason.
    pub refused: u64,
    /// Runs that began.
    pub starts: u64,
}

impl Row {
    fn born(facts: &Facts, event: &Recorded) -> Self {
        Self {
            since: facts.exit.map_or(facts.started_at.unwrap_or(facts.created_at), |exit| exit.at),
            facts: facts.clone(),
            vitals: None,
            symptoms: vec![],
            incident: None,
            diagnosis: None,
            action: None,
            obstacle: None,
            counters: Counters::default(),
            removed: None,
            last: event.id,
        }
    }

    /// The remedy whose outcome is awaited.
    pub fn in_hand(&self) -> Option<&Attempt> {
        self.action.as_ref().filter(|attempt| attempt.in_hand())
    }

    /// Why it is, or is not, being healed.
    pub fn attention(&self) -> Attention {
        if let Some(Attempt { remedy, attempt, of, at, .. }) = self.in_hand() {
            return Attention::InHand { remedy: remedy.clone(), attempt: *attempt, of: *of, since: *at };
        }
        let symptoms = || self.symptoms.iter().map(|standing| standing.symptom).collect();
        if self.is_ill() {
            return self.obstacle.clone().unwrap_or_else(|| Attention::Sick { symptoms: symptoms() });
        }
        match (self.facts.state, self.facts.exit) {
            (State::Running, _) if self.facts.health == Health::Starting => Attention::Starting,
            (State::Running, _) if !self.symptoms.is_empty() => Attention::Unusual { symptoms: symptoms() },
            (State::Running, _) => Attention::Healthy,
            (State::Paused, _) => Attention::LeftAlone { how: Halt::Frozen, since: self.since },
            (_, Some(exit)) if exit.by == ExitBy::Operator => {
                Attention::LeftAlone { how: Halt::Stopped, since: exit.at }
            }
            (State::Created | State::Restarting | State::Removing | State::Exited | State::Dead, exit) => {
                Attention::Idle { exit, docker_restarts: self.facts.state == State::Restarting }
            }
        }
    }

    fn take(&mut self, event: &Event, at: &Recorded) {
        match event {
            Event::Observation(observation) => self.observe(observation, at),
            Event::Diagnosis(Diagnosis::Reached(reached)) => {
                self.diagnosis = Some(Concluded { id: at.id, at: at.at, reached: reached.clone() });
                match (&reached.remedy, &self.obstacle) {
                    (None, _) if reached.verdict == Verdict::Sick => {
                        self.obstacle = Some(Attention::NoRemedy { root_cause: reached.root_cause.clone() });
                    }
                    (Some(_), Some(Attention::NoRemedy { .. })) => self.obstacle = None,
                    _ => {}
                }
            }
            Event::Diagnosis(Diagnosis::OpinionSought(_) | Diagnosis::Opined(_) | Diagnosis::Failed(_))
            | Event::Alert(_) => {}
            Event::Action(action) => self.act(action, at),
        }
    }

    fn observe(&mut self, observation: &Observation, at: &Recorded) {
        match observation {
            Observation::Seen(_)
            | Observation::Started(_)
            | Observation::Exited(_)
            | Observation::Frozen(_)
            | Observation::Thawed(_)
            | Observation::HealthChanged(_) => self.follow(observation, at),
            Observation::Removed(removed) if removed.target.id == self.facts.id => self.removed = Some(at.at),
            // Its name has been given to another container meanwhile.
            Observation::Removed(_) => {}
            Observation::Sampled(sampled) => self.vitals = Some((at.at, sampled.vitals)),
            Observation::SymptomRaised(raised) => {
                let is_illness = raised.severity > Severity::Low;
                if is_illness && self.incident != at.incident {
                    self.counters.incidents += 1;
                    self.obstacle = None;
                    self.incident.clone_from(&at.incident);
                }
                self.symptoms.retain(|standing| standing.symptom != raised.symptom);
                self.symptoms.push(Standing {
                    symptom: raised.symptom,
                    severity: raised.severity,
                    since: raised.since,
                    evidence: raised.evidence.clone(),
                });
            }
            Observation::SymptomWorsened(worsened) => {
                for standing in self.symptoms.iter_mut().filter(|standing| standing.symptom == worsened.symptom) {
                    standing.severity = worsened.severity;
                    standing.evidence = worsened.evidence.clone();
                }
            }
            Observation::SymptomCleared(cleared) => {
                self.symptoms.retain(|standing| standing.symptom != cleared.symptom);
                self.settle();
            }
            Observation::Stored(_)
            | Observation::Examined(_)
            | Observation::DiskMeasured(_)
            | Observation::EngineLost(_)
            | Observation::EngineFound(_) => {}
        }
    }

    fn act(&mut self, action: &Action, at: &Recorded) {
        match action {
            Action::Authorised(authorised) => {
                self.counters.attempts += 1;
                self.action = Some(Attempt::new(at.id, at.at, authorised));
                self.obstacle = None;
            }
            Action::Succeeded(_) | Action::Failed(_) => self.attempted(action),
            Action::Verified(verified) => {
                self.counters.recovered += u64::from(verified.outcome == Outcome::Recovered);
                self.attempted(action);
            }
            Action::Proposed(proposed) => {
                self.obstacle =
                    Some(Attention::WaitingForApproval { remedy: proposed.remedy.clone(), expires: proposed.expires });
            }
            Action::Approved(_) => self.obstacle = None,
            Action::Denied(_) | Action::Expired(_) => self.obstacle = Some(Attention::NotApproved),
            Action::Refused(refused) => {
                self.counters.refused += 1;
                match refused.refusal {
                    // Neither says anything that the row does not know better from the events themselves.
                    Refusal::InHand | Refusal::Moot => {}
                    _ => {
                        self.obstacle =
                            Some(Attention::refused(refused.remedy.clone(), refused.refusal.clone(), at.at));
                    }
                }
                if refused.refusal.withholds().is_some() {
                    self.attempted(action);
                }
            }
            Action::GaveUp(gave_up) => self.obstacle = Some(Attention::GivenUp { until: gave_up.until }),
            Action::BreakerReset(_) => self.obstacle = None,
            Action::Paused(_) | Action::Resumed(_) => {}
        }
    }

    fn attempted(&mut self, action: &Action) {
        if let Some(attempt) = &mut self.action {
            attempt.take(action);
        }
        self.settle();
    }

    /// Whether a symptom stands that is more than worth knowing.
    fn is_ill(&self) -> bool {
        self.symptoms.iter().any(|standing| standing.severity > Severity::Low)
    }

    /// The illness is over when it is ill no more and no outcome is awaited.
    fn settle(&mut self) {
        if !self.is_ill() && self.in_hand().is_none() {
            self.incident = None;
            self.obstacle = None;
        }
    }

    fn follow(&mut self, observation: &Observation, at: &Recorded) {
        let mut known = Some(self.facts.clone());
        lifecycle::follow(&mut known, observation);
        if let Some(facts) = known {
            let run = |facts: &Facts| (facts.state, facts.target());
            if run(&facts) != run(&self.facts) {
                self.since = at.at;
            }
            self.facts = facts;
        }
        match observation {
            Observation::Seen(_) => self.removed = None,
            Observation::Started(_) => self.counters.starts += 1,
            _ => {}
        }
    }

    /// Whether it is gone and nothing about it is awaited any more.
    fn is_over(&self) -> bool {
        self.removed.is_some() && self.symptoms.is_empty() && self.in_hand().is_none()
    }
}

impl Projection for Containers {
    const NAME: &'static str = "containers";
    const VERSION: u16 = 1;
    const READS: &'static [Family] = &Family::ALL;
    type Row = Row;

    fn keys(event: &Recorded) -> Vec<String> {
        match (&event.subject.container, event.event()) {
            (None, _) | (_, None | Some(Event::Alert(_))) => vec![],
            (Some(_), Some(_)) => vec![event.subject.to_string()],
        }
    }

    fn evolve(row: Option<Row>, _: &str, event: &Recorded) -> Option<Row> {
        let Some(known) = event.event() else { return row };
        let mut row = match (row, known) {
            (Some(row), _) if event.id <= row.last => return Some(row),
            (Some(row), _) => row,
            (None, Event::Observation(Observation::Seen(seen))) => Row::born(&seen.facts, event),
            (None, _) => return None,
        };
        row.take(known, event);
        row.last = event.id;
        (!row.is_over()).then_some(row)
    }
}
