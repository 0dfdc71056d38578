//! For tests and the example `week`: a generated history in which the real deciders treat containers that fail again and
//! again. Each event's id carries the time at which it was recorded.
#![allow(clippy::unwrap_used, reason = "a test ends where something it relies on fails")]

use std::sync::Arc;

use hemostat_core::{
    Policy,
    judge::Judge,
    remedy::Authorisation,
    testing::{Simulation, facts},
};
use hemostat_diagnosis::Triage;
use hemostat_schema::{
    Action, Body, ByteCount, Cause, Diagnosis, Event, EventId, Family, IncidentId, NewEvent, Partition, Percent,
    Recorded, Span, Subject, Timestamp,
    action::{Authorised, Proof, Succeeded},
    codec,
    container::{Exit, ExitBy, Facts, Health, Run, Vitals},
    diagnosis::{Method, OpinionSought, Part, Reached, Verdict},
    observation::{
        Cleared, Evidence, Exited, HealthChanged, Sampled, Seen, Severity, Started, Symptom, SymptomCleared,
        SymptomRaised,
    },
    sample::Container,
};
use serde_json::Value;

/// Parameters of the generated history.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Number of containers.
    pub containers: u32,
    /// Length of the history.
    pub length: Span,
    /// Interval between two samples of a container.
    pub sample_every: Span,
    /// Container n becomes unhealthy every n times this interval.
    pub ill_every: Span,
}

/// Generates the history of a plan under a policy.
pub fn history(plan: Plan, policy: &Policy) -> Vec<Recorded> {
    let began = Timestamp::from_second(1_767_225_600).unwrap();
    let policy = Arc::new(policy.clone());
    let simulation =
        Simulation::new(began).with::<Triage>(&policy).with::<Authorisation>(&policy).with::<Judge>(&policy);
    let mut deciders = Deciders {
        simulation,
        carried_out: 0,
        answered: 0,
        questions: 0,
        patients: (0..plan.containers).map(Patient::new).collect(),
    };
    for patient in &deciders.patients {
        deciders.simulation.append(NewEvent::new(
            patient.subject.clone(),
            began,
            Seen { facts: patient.facts.clone() },
        ));
    }
    let end = plan.length.after(began);
    while deciders.simulation.now() < end {
        deciders.tick(plan, began);
    }
    with_times(deciders.simulation.log())
}

struct Deciders {
    simulation: Simulation,
    carried_out: usize,
    answered: usize,
    questions: u32,
    patients: Vec<Patient>,
}

struct Patient {
    subject: Subject,
    facts: Facts,
    /// The incident, and the number of restarts until it recovers.
    ill: Option<(IncidentId, u32)>,
    illnesses: u64,
    sampled: Timestamp,
}

const TICK: Span = Span::from_secs(5);

impl Deciders {
    fn tick(&mut self, plan: Plan, began: Timestamp) {
        self.simulation.advance(TICK);
        self.carry_out();
        let now = self.simulation.now();
        for (n, patient) in (1..).zip(&mut self.patients) {
            if plan.sample_every.after(patient.sampled) <= now {
                patient.sampled = now;
                let sample = Container { vitals: vitals(), holds: Span::ZERO };
                self.simulation.append(NewEvent::new(patient.subject.clone(), now, sample));
                // As the monitor does: what decisions in an incident rest on is an observation.
                if let Some((incident, _)) = &patient.ill {
                    let sampled = NewEvent::new(patient.subject.clone(), now, Sampled { vitals: vitals() });
                    self.simulation.append(sampled.in_incident(Some(incident.clone())));
                }
            }
            let due = plan.ill_every.times((patient.illnesses + 1) * n).after(began);
            if due <= now && patient.ill.is_none() {
                patient.fall_ill(&mut self.simulation, now);
            }
        }
        self.simulation.settle();
        self.carry_out();
    }

    /// Carries out the authorised restarts; a container recovers after its number of restarts.
    fn carry_out(&mut self) {
        loop {
            self.answer();
            let new: Vec<(Recorded, Authorised)> = self.simulation.log()[self.carried_out..]
                .iter()
                .filter_map(|event| match event.event()? {
                    Event::Action(Action::Authorised(intent)) => Some((event.clone(), intent.clone())),
                    _ => None,
                })
                .collect();
            self.carried_out = self.simulation.log().len();
            if new.is_empty() {
                return;
            }
            for (event, intent) in new {
                let patient = self.patients.iter_mut().find(|patient| patient.subject == event.subject).unwrap();
                patient.restart(&mut self.simulation, event.id, intent);
            }
            self.simulation.advance(Span::from_millis(700));
        }
    }

    /// Answers opinions sought from a model: it agrees with the rules, reports a false alarm, or fails.
    fn answer(&mut self) {
        let sought: Vec<(Recorded, OpinionSought)> = self.simulation.log()[self.answered..]
            .iter()
            .filter_map(|event| match event.event()? {
                Event::Diagnosis(Diagnosis::OpinionSought(sought)) => Some((event.clone(), sought.clone())),
                _ => None,
            })
            .collect();
        self.answered = self.simulation.log().len();
        for (event, sought) in sought.iter().filter(|(_, sought)| sought.part == Part::Decides) {
            self.questions += 1;
            let method = Method::Model { provider: sought.provider.clone(), model: sought.model.clone() };
            let reached = match self.questions % 24 {
                0..16 => Reached { method, ..sought.fallback.clone() },
                16 => Reached { method, verdict: Verdict::FalseAlarm, remedy: None, ..sought.fallback.clone() },
                _ => sought.fallback.clone(),
            };
            let answer = NewEvent::new(event.subject.clone(), self.simulation.now(), reached);
            self.simulation.append(answer.in_incident(event.incident.clone()).caused_by(Cause::Event(event.id)));
        }
        self.simulation.settle();
    }
}

impl Patient {
    fn new(n: u32) -> Self {
        let subject = format!("host/c{n}").parse().unwrap();
        Self { subject, facts: facts(), ill: None, illnesses: 0, sampled: Timestamp::UNIX_EPOCH }
    }

    fn tell(&self, simulation: &mut Simulation, event: impl Into<Event>) {
        let incident = self.ill.as_ref().map(|(incident, _)| incident.clone());
        simulation.append(NewEvent::new(self.subject.clone(), simulation.now(), event).in_incident(incident));
    }

    fn target(&self) -> Run {
        self.facts.target()
    }

    fn fall_ill(&mut self, simulation: &mut Simulation, now: Timestamp) {
        self.illnesses += 1;
        let restarts = u32::try_from(self.illnesses % 5).unwrap();
        self.ill = Some((IncidentId::begun(&self.subject, now), restarts.max(1)));
        let target = self.target();
        self.tell(simulation, HealthChanged { target: target.clone(), from: Health::Healthy, to: Health::Unhealthy });
        let (symptom, severity) = (Symptom::Unhealthy, Severity::High);
        let evidence = Evidence::Health { held: Span::ZERO };
        self.tell(simulation, SymptomRaised { symptom, severity, since: now, target, evidence });
    }

    fn restart(&mut self, simulation: &mut Simulation, action: EventId, intent: Authorised) {
        let now = simulation.now();
        let exit = Exit { at: now, code: 143, by: ExitBy::Operator };
        self.tell(simulation, Exited { target: self.target(), exit });
        self.facts.started_at = Some(now);
        self.tell(simulation, Started { target: self.target() });
        let (remedy, took, proof) = (intent.remedy, Span::from_millis(300), Proof::Answered);
        let target = Some(self.target());
        self.tell(simulation, Succeeded { action, remedy, target, called_at: Some(now), took, proof });
        simulation.advance(Span::from_secs(3));
        let Some((_, left)) = &mut self.ill else { return };
        *left -= 1;
        let well = *left == 0;
        let (target, from) = (self.target(), Health::Starting);
        let to = if well { Health::Healthy } else { Health::Unhealthy };
        self.tell(simulation, HealthChanged { target, from, to });
        if well {
            simulation.advance(Span::from_secs(10));
            let cleared =
                SymptomCleared { symptom: Symptom::Unhealthy, why: Cleared::Well, stood: Span::from_secs(13) };
            self.tell(simulation, cleared);
            self.ill = None;
        }
    }
}

fn vitals() -> Vitals {
    let zero = ByteCount(0);
    Vitals {
        cpu: Percent::clamped(5.0),
        memory: Percent::clamped(20.0),
        memory_used: zero,
        memory_limit: zero,
        network_rx: zero,
        network_tx: zero,
        block_read: zero,
        block_write: zero,
        pids: 1,
        pids_limit: None,
        strain: hemostat_schema::container::Strain::default(),
    }
}

/// Replaces the simulation's counted ids, and all references to them, by ids with the time of the event.
fn with_times(log: &[Recorded]) -> Vec<Recorded> {
    let mut ids: Vec<EventId> = vec![];
    for (n, event) in (0..).zip(log) {
        let at = u64::try_from(event.at.as_millisecond()).unwrap();
        let ms = ids.last().map_or(at, |last: &EventId| last.ms.max(at));
        ids.push(EventId { partition: Partition(0), ms, seq: n });
    }
    let new = |old: EventId| ids[usize::try_from(old.ms).unwrap() - 1];
    let event = |event: &Recorded| {
        let known = event.event().unwrap();
        // Observations contain no ids of other events.
        let body = if event.family() == Family::Observation {
            event.body.clone()
        } else {
            let mut data = event.data();
            rename(&mut data, &new);
            Body::Known(codec::event_of(event.family(), known.name(), data).unwrap())
        };
        Recorded { id: new(event.id), cause: event.cause.map(new), body, ..event.clone() }
    };
    log.iter().map(event).collect()
}

fn rename(data: &mut Value, new: &impl Fn(EventId) -> EventId) {
    match data {
        Value::Object(fields) => fields.values_mut().for_each(|value| rename(value, new)),
        Value::Array(items) => items.iter_mut().for_each(|value| rename(value, new)),
        Value::String(text) => {
            if let Ok(id) = text.parse::<EventId>() {
                *text = new(id).to_string();
            }
        }
        _ => {}
    }
}
