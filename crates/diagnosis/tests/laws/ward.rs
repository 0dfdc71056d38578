//! A ward: patients in a pretended engine, looked at by the real `observe`, treated by the real deciders.
//!
//! The engine and whoever carries out remedies are pretended here; everything that is decided is decided by core.

use std::sync::Arc;

use hemostat_core::{
    Policy,
    alerting::Alerting,
    judge::Judge,
    observe::{self, Sight},
    remedy::Remedy,
    testing::{Simulation, at, container, facts, host},
};
use hemostat_diagnosis::Triage;
use hemostat_schema::{
    Action, ByteCount, Event, NewEvent, Percent, Recorded, Span, Subject, Timestamp,
    action::{Approved, Authorised, BreakerReset, Denied, Failed, Paused, Proof, Resumed, Succeeded},
    container::{Exit, ExitBy, Facts, Health, State, Target, Vitals},
    observation::{EngineFound, EngineLost},
};
use proptest::prelude::*;

/// What may happen; the first number says to whom.
#[derive(Debug, Clone)]
pub enum Op {
    Sicken(usize),
    Mend(usize),
    Crash(usize),
    Fill(usize, u8),
    Stop(usize),
    Start(usize),
    Freeze(usize),
    Thaw(usize),
    Remove(usize),
    /// From now on its remedies help, do not help, or cannot be carried out.
    Nature(usize, Nature),
    Pause,
    Resume,
    LoseEngine,
    FindEngine,
    Reset(usize),
    Answer(usize, bool),
    /// Some workers get on by some decisions, in some order.
    Steps(Vec<u8>),
    /// Time passes, and everybody does his work.
    Pass(u16),
    /// Time passes, and HemoStat is down.
    Away(u16),
}

/// How a patient takes a remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nature {
    Curable,
    Stubborn,
    Crashing,
    Untouchable,
}

pub fn op() -> impl Strategy<Value = Op> {
    let who = 0..PATIENTS.len();
    let nature =
        prop_oneof![Just(Nature::Curable), Just(Nature::Stubborn), Just(Nature::Crashing), Just(Nature::Untouchable)];
    prop_oneof![
        6 => who.clone().prop_map(Op::Sicken),
        3 => who.clone().prop_map(Op::Mend),
        3 => who.clone().prop_map(Op::Crash),
        2 => (who.clone(), 0..100u8).prop_map(|(who, percent)| Op::Fill(who, percent)),
        1 => who.clone().prop_map(Op::Stop),
        2 => who.clone().prop_map(Op::Start),
        1 => who.clone().prop_map(Op::Freeze),
        2 => who.clone().prop_map(Op::Thaw),
        1 => who.clone().prop_map(Op::Remove),
        3 => (who.clone(), nature).prop_map(|(who, nature)| Op::Nature(who, nature)),
        1 => Just(Op::Pause),
        2 => Just(Op::Resume),
        1 => Just(Op::LoseEngine),
        2 => Just(Op::FindEngine),
        1 => who.clone().prop_map(Op::Reset),
        3 => (who, any::<bool>()).prop_map(|(who, yes)| Op::Answer(who, yes)),
        6 => prop::collection::vec(any::<u8>(), 1..12).prop_map(Op::Steps),
        10 => (1..400u16).prop_map(Op::Pass),
        3 => (1000..6000u16).prop_map(Op::Pass),
        1 => (1..5000u16).prop_map(Op::Away),
    ]
}

/// Names, and the labels that bend their care.
const PATIENTS: [(&str, &[(&str, &str)]); 3] =
    [("auto", &[]), ("brief", &[("hemostat.cooldown", "10m")]), ("asks", &[("hemostat.mode", "approve")])];
/// How finely time is played.
const TICK: Span = Span::from_secs(5);

/// Patients, and those who care for them.
#[derive(Debug)]
pub struct Ward {
    pub simulation: Simulation,
    pub policy: Arc<Policy>,
    patients: Vec<Patient>,
    /// So much of the log has been looked through for remedies to carry out.
    carried_out: usize,
    engine_lost: bool,
}

#[derive(Debug)]
struct Patient {
    subject: Subject,
    nature: Nature,
    memory: f64,
    /// The engine's truth.
    facts: Facts,
    /// What the monitor knows.
    seen: observe::State,
    /// When its health check next makes up its mind.
    checks_at: Option<Timestamp>,
}

impl Ward {
    pub fn open(policy: Policy) -> Self {
        let policy = Arc::new(policy);
        let simulation = Simulation::new(at(0))
            .with::<Triage>(&policy)
            .with::<Remedy>(&policy)
            .with::<Judge>(&policy)
            .with::<Alerting>(&policy);
        let patients = PATIENTS.iter().map(|(name, labels)| {
            let labels = labels.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect();
            Patient {
                subject: container(name),
                nature: Nature::Curable,
                memory: 20.0,
                facts: Facts { labels, ..facts() },
                seen: observe::State::default(),
                checks_at: None,
            }
        });
        let mut ward = Self { simulation, policy, patients: patients.collect(), carried_out: 0, engine_lost: false };
        ward.look();
        ward
    }

    pub fn play(&mut self, op: Op) {
        let now = self.simulation.now();
        match op {
            Op::Sicken(who) if self.runs(who) => self.patients[who].facts.health = Health::Unhealthy,
            Op::Mend(who) if self.runs(who) => {
                self.patients[who].facts.health = Health::Healthy;
                self.patients[who].memory = 20.0;
            }
            Op::Crash(who) if self.runs(who) => drop(self.patients[who].end(now, 1, ExitBy::Crash)),
            Op::Fill(who, percent) => self.patients[who].memory = f64::from(percent),
            Op::Stop(who) if self.runs(who) => drop(self.patients[who].end(now, 143, ExitBy::Operator)),
            Op::Start(who) if self.patients[who].facts.state == State::Exited => self.patients[who].begin(now),
            Op::Freeze(who) if self.runs(who) => self.patients[who].facts.state = State::Paused,
            Op::Thaw(who) if self.patients[who].facts.state == State::Paused => {
                self.patients[who].facts.state = State::Running;
            }
            Op::Remove(who) => self.recreate(who),
            Op::Nature(who, nature) => self.patients[who].nature = nature,
            Op::Pause => self.about_host(Paused { by: "me".into(), reason: "a test".into() }),
            Op::Resume => self.about_host(Resumed { by: "me".into() }),
            Op::LoseEngine if !self.engine_lost => {
                self.about_host(EngineLost { error: "gone".into() });
                self.engine_lost = true;
            }
            Op::FindEngine if self.engine_lost => {
                let memory = ByteCount(1 << 30);
                self.engine_lost = false;
                self.about_host(EngineFound { version: "27".into(), api_version: "1.47".into(), cpus: 2, memory });
            }
            Op::Reset(who) => self.about(who, BreakerReset { by: "me".into() }),
            Op::Answer(who, yes) => self.answer(who, yes),
            Op::Steps(choices) => {
                for choice in choices {
                    self.simulation.step(choice.into());
                }
            }
            Op::Pass(seconds) => self.pass(Span::from_secs(seconds.into())),
            Op::Away(seconds) => self.simulation.be_away(Span::from_secs(seconds.into())),
            Op::Sicken(_)
            | Op::Mend(_)
            | Op::Crash(_)
            | Op::Stop(_)
            | Op::Start(_)
            | Op::Freeze(_)
            | Op::Thaw(_)
            | Op::LoseEngine
            | Op::FindEngine => {}
        }
        self.look();
    }

    /// Lets everything come to its end: nobody interferes any more, and whatever ails them can be cured.
    pub fn close(&mut self) {
        for who in 0..self.patients.len() {
            self.play(Op::Nature(who, Nature::Curable));
            self.play(Op::Thaw(who));
            self.play(Op::Start(who));
            self.play(Op::Mend(who));
        }
        self.play(Op::FindEngine);
        self.play(Op::Resume);
        self.pass(Span::from_secs(3600));
    }

    fn pass(&mut self, span: Span) {
        let until = span.after(self.simulation.now());
        while self.simulation.now() < until {
            self.simulation.pass(TICK);
            self.carry_out();
            let now = self.simulation.now();
            for patient in &mut self.patients {
                patient.check(now);
            }
            self.look();
        }
        self.simulation.settle();
    }

    /// The monitor looks at everybody.
    fn look(&mut self) {
        if self.engine_lost {
            return;
        }
        let now = self.simulation.now();
        for patient in &mut self.patients {
            let mut sights = vec![Sight::Facts(Box::new(patient.facts.clone())), Sight::Tick];
            if patient.facts.state == State::Running {
                sights.insert(1, Sight::Sample(patient.vitals()));
            }
            for sight in sights {
                patient.observe(&mut self.simulation, &self.policy, sight, now);
            }
        }
    }

    /// Carries out what has been authorised, to the run that it was authorised for and to no other.
    fn carry_out(&mut self) {
        let new = &self.simulation.log()[self.carried_out..];
        let intents: Vec<(Recorded, Authorised)> = new
            .iter()
            .filter_map(|event| match event.event()? {
                Event::Action(Action::Authorised(intent)) => Some((event.clone(), intent.clone())),
                _ => None,
            })
            .collect();
        self.carried_out += new.len();
        for (Recorded { id: action, subject, incident, .. }, Authorised { remedy, target, .. }) in intents {
            let now = self.simulation.now();
            let Some(patient) = self.patients.iter_mut().find(|patient| patient.subject == subject) else { continue };
            let can = patient.facts.target() == target && patient.nature != Nature::Untouchable && !self.engine_lost;
            let event: Event = if can {
                if patient.facts.state == State::Running {
                    let exit = patient.end(now, 143, ExitBy::Operator);
                    patient.observe(&mut self.simulation, &self.policy, Sight::Exited(target.clone(), exit), now);
                }
                patient.begin(now);
                let target = patient.facts.target();
                patient.observe(&mut self.simulation, &self.policy, Sight::Started(target.clone()), now);
                let (proof, took) = (Proof::Answered, Span::from_secs(1));
                Succeeded { action, remedy, target: Some(target), called_at: Some(now), took, proof }.into()
            } else {
                Failed { action, remedy, error: "it cannot be touched".into(), took: Span::ZERO }.into()
            };
            self.simulation.tell(NewEvent::new(subject, now, event).in_incident(incident));
        }
    }

    fn recreate(&mut self, who: usize) {
        let now = self.simulation.now();
        let patient = &mut self.patients[who];
        let id = format!("{:016x}", now.as_millisecond()).parse().expect("hexadecimal");
        patient.observe(&mut self.simulation, &self.policy, Sight::Removed, now);
        patient.facts = Facts { id, created_at: now, labels: patient.facts.labels.clone(), ..facts() };
        patient.begin(now);
    }

    fn answer(&mut self, who: usize, yes: bool) {
        let subject = &self.patients[who].subject;
        let asked = self.simulation.log().iter().rev().find(|event| {
            event.subject == *subject && matches!(event.event(), Some(Event::Action(Action::Proposed(_))))
        });
        let Some(proposal) = asked.map(|event| event.id) else { return };
        match yes {
            true => self.about(who, Approved { proposal, by: "me".into() }),
            false => self.about(who, Denied { proposal, by: "me".into() }),
        }
    }

    fn runs(&self, who: usize) -> bool {
        self.patients[who].facts.state == State::Running
    }

    fn about(&mut self, who: usize, event: impl Into<Event>) {
        let event = NewEvent::new(self.patients[who].subject.clone(), self.simulation.now(), event);
        self.simulation.tell(event);
    }

    fn about_host(&mut self, event: impl Into<Event>) {
        self.simulation.tell(NewEvent::new(host(), self.simulation.now(), event));
    }
}

impl Patient {
    fn observe(&mut self, simulation: &mut Simulation, policy: &Policy, sight: Sight, now: Timestamp) {
        for event in observe::observe(&mut self.seen, &self.subject, sight, policy, now) {
            simulation.tell(event);
        }
    }

    fn end(&mut self, at: Timestamp, code: i64, by: ExitBy) -> Exit {
        let exit = Exit { at, code, by };
        self.facts.state = State::Exited;
        self.facts.exit = Some(exit);
        self.checks_at = None;
        exit
    }

    fn begin(&mut self, now: Timestamp) {
        let Target { id, .. } = self.facts.target();
        self.facts = Facts {
            id,
            state: State::Running,
            exit: None,
            health: Health::Starting,
            started_at: Some(now),
            ..self.facts.clone()
        };
        self.checks_at = Some(Span::from_secs(10).after(now));
        if self.nature == Nature::Curable {
            self.memory = 20.0;
        }
    }

    /// What its health check finds out some seconds after it started.
    fn check(&mut self, now: Timestamp) {
        if self.checks_at.is_none_or(|at| now < at) {
            return;
        }
        self.checks_at = None;
        match self.nature {
            Nature::Curable => self.facts.health = Health::Healthy,
            Nature::Stubborn | Nature::Untouchable => self.facts.health = Health::Unhealthy,
            Nature::Crashing => drop(self.end(now, 1, ExitBy::Crash)),
        }
    }

    fn vitals(&self) -> Vitals {
        let zero = ByteCount(0);
        Vitals {
            cpu: Percent::clamped(5.0),
            memory: Percent::clamped(self.memory),
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
}
