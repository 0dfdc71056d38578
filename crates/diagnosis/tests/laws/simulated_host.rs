//! A simulated host: its containers are observed by the real `observe` and treated by the real deciders. Only the engine
//! and the execution of remedies are simulated.

use std::sync::Arc;

use hemostat_core::{
    Policy,
    alerting::Alerting,
    judge::Judge,
    observe::{self, ObservationInput},
    remedy::Authorisation,
    testing::{Simulation, at, container, facts, host},
};
use hemostat_diagnosis::Triage;
use hemostat_schema::{
    Action, ByteCount, Event, NewEvent, Percent, Recorded, Span, Subject, Timestamp,
    action::{Approved, Authorised, BreakerReset, Denied, Failed, Paused, Proof, Resumed, Succeeded},
    container::{Exit, ExitBy, Facts, Health, Run, State, Vitals},
    observation::{EngineFound, EngineLost},
};
use proptest::prelude::*;

/// A step of a history; the first number is the container.
#[derive(Debug, Clone)]
pub enum Op {
    TurnUnhealthy(usize),
    TurnHealthy(usize),
    Crash(usize),
    Fill(usize, u8),
    Stop(usize),
    Start(usize),
    PauseContainer(usize),
    UnpauseContainer(usize),
    Remove(usize),
    /// How it responds to remedies from now on.
    RespondsBy(usize, Response),
    Pause,
    Resume,
    LoseEngine,
    FindEngine,
    Reset(usize),
    Answer(usize, bool),
    /// Some workers make some decisions, in some order.
    Steps(Vec<u8>),
    /// Time passes, and all workers run.
    Pass(u16),
    /// Time passes while HemoStat is down.
    Away(u16),
}

/// How a container responds to a remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Response {
    Recovers,
    StaysUnhealthy,
    Crashes,
    CannotBeTouched,
}

pub fn op() -> impl Strategy<Value = Op> {
    let who = 0..CONTAINERS.len();
    let response = prop_oneof![
        Just(Response::Recovers),
        Just(Response::StaysUnhealthy),
        Just(Response::Crashes),
        Just(Response::CannotBeTouched)
    ];
    prop_oneof![
        6 => who.clone().prop_map(Op::TurnUnhealthy),
        3 => who.clone().prop_map(Op::TurnHealthy),
        3 => who.clone().prop_map(Op::Crash),
        2 => (who.clone(), 0..100u8).prop_map(|(who, percent)| Op::Fill(who, percent)),
        1 => who.clone().prop_map(Op::Stop),
        2 => who.clone().prop_map(Op::Start),
        1 => who.clone().prop_map(Op::PauseContainer),
        2 => who.clone().prop_map(Op::UnpauseContainer),
        1 => who.clone().prop_map(Op::Remove),
        3 => (who.clone(), response).prop_map(|(who, response)| Op::RespondsBy(who, response)),
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

/// Names, and labels that override the policy.
const CONTAINERS: [(&str, &[(&str, &str)]); 3] =
    [("auto", &[]), ("brief", &[("hemostat.cooldown", "10m")]), ("asks", &[("hemostat.mode", "approve")])];
/// The step of simulated time.
const TICK: Span = Span::from_secs(5);

/// Simulated containers, with HemoStat's deciders.
#[derive(Debug)]
pub struct SimulatedHost {
    pub simulation: Simulation,
    pub policy: Arc<Policy>,
    containers: Vec<SimulatedContainer>,
    /// How many events of the log were searched for remedies to execute.
    carried_out: usize,
    engine_lost: bool,
}

#[derive(Debug)]
struct SimulatedContainer {
    subject: Subject,
    response: Response,
    memory: f64,
    /// The facts according to Docker.
    facts: Facts,
    /// The facts according to the monitor.
    seen: observe::State,
    /// When its health check next has a result.
    checks_at: Option<Timestamp>,
}

impl SimulatedHost {
    pub fn open(policy: Policy) -> Self {
        let policy = Arc::new(policy);
        let simulation = Simulation::new(at(0))
            .with::<Triage>(&policy)
            .with::<Authorisation>(&policy)
            .with::<Judge>(&policy)
            .with::<Alerting>(&policy);
        let containers = CONTAINERS.iter().map(|(name, labels)| {
            let labels = labels.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect();
            SimulatedContainer {
                subject: container(name),
                response: Response::Recovers,
                memory: 20.0,
                facts: Facts { labels, ..facts() },
                seen: observe::State::default(),
                checks_at: None,
            }
        });
        let mut host =
            Self { simulation, policy, containers: containers.collect(), carried_out: 0, engine_lost: false };
        host.observe_all();
        host
    }

    pub fn play(&mut self, op: Op) {
        let now = self.simulation.now();
        match op {
            Op::TurnUnhealthy(who) if self.runs(who) => self.containers[who].facts.health = Health::Unhealthy,
            Op::TurnHealthy(who) if self.runs(who) => {
                self.containers[who].facts.health = Health::Healthy;
                self.containers[who].memory = 20.0;
            }
            Op::Crash(who) if self.runs(who) => drop(self.containers[who].end(now, 1, ExitBy::Crash)),
            Op::Fill(who, percent) => self.containers[who].memory = f64::from(percent),
            Op::Stop(who) if self.runs(who) => drop(self.containers[who].end(now, 143, ExitBy::Operator)),
            Op::Start(who) if self.containers[who].facts.state == State::Exited => self.containers[who].begin(now),
            Op::PauseContainer(who) if self.runs(who) => self.containers[who].facts.state = State::Paused,
            Op::UnpauseContainer(who) if self.containers[who].facts.state == State::Paused => {
                self.containers[who].facts.state = State::Running;
            }
            Op::Remove(who) => self.recreate(who),
            Op::RespondsBy(who, response) => self.containers[who].response = response,
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
            Op::Away(seconds) => self.simulation.skip(Span::from_secs(seconds.into())),
            Op::TurnUnhealthy(_)
            | Op::TurnHealthy(_)
            | Op::Crash(_)
            | Op::Stop(_)
            | Op::Start(_)
            | Op::PauseContainer(_)
            | Op::UnpauseContainer(_)
            | Op::LoseEngine
            | Op::FindEngine => {}
        }
        self.observe_all();
    }

    /// Ends the history: no operator interferes any more, and every remedy helps.
    pub fn close(&mut self) {
        for who in 0..self.containers.len() {
            self.play(Op::RespondsBy(who, Response::Recovers));
            self.play(Op::UnpauseContainer(who));
            self.play(Op::Start(who));
            self.play(Op::TurnHealthy(who));
        }
        self.play(Op::FindEngine);
        self.play(Op::Resume);
        self.pass(Span::from_secs(3600));
    }

    fn pass(&mut self, span: Span) {
        let until = span.after(self.simulation.now());
        while self.simulation.now() < until {
            self.simulation.advance(TICK);
            self.carry_out();
            let now = self.simulation.now();
            for container in &mut self.containers {
                container.check(now);
            }
            self.observe_all();
        }
        self.simulation.settle();
    }

    /// The monitor observes all containers.
    fn observe_all(&mut self) {
        if self.engine_lost {
            return;
        }
        let now = self.simulation.now();
        for container in &mut self.containers {
            let mut inputs = vec![ObservationInput::Facts(Box::new(container.facts.clone())), ObservationInput::Tick];
            if container.facts.state == State::Running {
                inputs.insert(1, ObservationInput::Sample(container.vitals()));
            }
            for input in inputs {
                container.observe(&mut self.simulation, &self.policy, input, now);
            }
        }
    }

    /// Executes authorised remedies, each on the run that it was authorised for only.
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
            let Some(container) = self.containers.iter_mut().find(|container| container.subject == subject) else {
                continue;
            };
            let run = container.facts.target();
            let can =
                target.run() == Some(&run) && container.response != Response::CannotBeTouched && !self.engine_lost;
            let event: Event = if can {
                if container.facts.state == State::Running {
                    let exit = container.end(now, 143, ExitBy::Operator);
                    container.observe(&mut self.simulation, &self.policy, ObservationInput::Exited(run, exit), now);
                }
                container.begin(now);
                let target = container.facts.target();
                container.observe(&mut self.simulation, &self.policy, ObservationInput::Started(target.clone()), now);
                let (proof, took) = (Proof::Answered, Span::from_secs(1));
                Succeeded { action, remedy, target: Some(target), called_at: Some(now), took, proof }.into()
            } else {
                Failed { action, remedy, error: "it cannot be touched".into(), took: Span::ZERO }.into()
            };
            self.simulation.append(NewEvent::new(subject, now, event).in_incident(incident));
        }
    }

    fn recreate(&mut self, who: usize) {
        let now = self.simulation.now();
        let container = &mut self.containers[who];
        let id = format!("{:016x}", now.as_millisecond()).parse().expect("hexadecimal");
        container.observe(&mut self.simulation, &self.policy, ObservationInput::Removed, now);
        container.facts = Facts { id, created_at: now, labels: container.facts.labels.clone(), ..facts() };
        container.begin(now);
    }

    fn answer(&mut self, who: usize, yes: bool) {
        let subject = &self.containers[who].subject;
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
        self.containers[who].facts.state == State::Running
    }

    fn about(&mut self, who: usize, event: impl Into<Event>) {
        let event = NewEvent::new(self.containers[who].subject.clone(), self.simulation.now(), event);
        self.simulation.append(event);
    }

    fn about_host(&mut self, event: impl Into<Event>) {
        self.simulation.append(NewEvent::new(host(), self.simulation.now(), event));
    }
}

impl SimulatedContainer {
    fn observe(&mut self, simulation: &mut Simulation, policy: &Policy, input: ObservationInput, now: Timestamp) {
        for event in observe::observe(&mut self.seen, &self.subject, input, policy, now) {
            simulation.append(event);
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
        let Run { id, .. } = self.facts.target();
        self.facts = Facts {
            id,
            state: State::Running,
            exit: None,
            health: Health::Starting,
            started_at: Some(now),
            ..self.facts.clone()
        };
        self.checks_at = Some(Span::from_secs(10).after(now));
        if self.response == Response::Recovers {
            self.memory = 20.0;
        }
    }

    /// The result of its health check some seconds after the start.
    fn check(&mut self, now: Timestamp) {
        if self.checks_at.is_none_or(|at| now < at) {
            return;
        }
        self.checks_at = None;
        match self.response {
            Response::Recovers => self.facts.health = Health::Healthy,
            Response::StaysUnhealthy | Response::CannotBeTouched => self.facts.health = Health::Unhealthy,
            Response::Crashes => drop(self.end(now, 1, ExitBy::Crash)),
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
