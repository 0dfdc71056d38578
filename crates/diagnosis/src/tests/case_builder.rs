//! Builds cases for tests.

use hemostat_schema::{
    ByteCount, Percent, Span,
    action::{Outcome, Remedy},
    container::{Exit, ExitBy, Facts, Health, Limits, State, Vitals},
    diagnosis::Reached,
    examination::{Change, Changed, Check, Examined, Line, Process, Relation, Relative, Sample, Stream},
    observation::{Severity, Symptom, SymptomRaised},
};

use crate::{Attempt, Case, HostHealth, PastIncident, conclude};
use hemostat_core::Policy;
use hemostat_core::observe::condition::ActiveSymptom;
use hemostat_core::testing::{at, examined, facts, id, run, vitals};

/// The second at which every case is evaluated.
pub(crate) const NOW: i64 = 7200;

/// A container that has run since second 0 and is evaluated two hours later.
#[derive(Debug, Clone)]
pub(crate) struct CaseBuilder {
    pub facts: Facts,
    pub active_symptoms: Vec<(Symptom, ActiveSymptom)>,
    pub vitals: Option<Vitals>,
    pub examined: Option<Examined>,
    pub attempts: Vec<Attempt>,
    pub past_incidents: Vec<PastIncident>,
    pub host: Option<HostHealth>,
}

/// A case with these symptoms.
pub(crate) fn with_symptoms(symptoms: impl IntoIterator<Item = SymptomRaised>) -> CaseBuilder {
    let active = symptoms.into_iter().map(|raised| {
        let SymptomRaised { symptom, severity, since, target, evidence } = raised;
        (symptom, ActiveSymptom { incident: None, since, severity, target, evidence })
    });
    let active = active.collect();
    CaseBuilder {
        facts: facts(),
        active_symptoms: active,
        vitals: None,
        examined: None,
        attempts: vec![],
        past_incidents: vec![],
        host: None,
    }
}

/// Its health check has failed for this number of seconds.
pub(crate) fn unhealthy(seconds: i64) -> CaseBuilder {
    let evidence = hemostat_schema::observation::Evidence::Health { held: Span::ZERO };
    let since = at(NOW - seconds);
    let raised =
        SymptomRaised { symptom: Symptom::Unhealthy, severity: Severity::High, since, target: run(0), evidence };
    let builder = with_symptoms([raised]);
    CaseBuilder { facts: Facts { health: Health::Unhealthy, ..facts() }, ..builder }
}

/// Its run lasted this number of seconds and ended with this code a second ago.
pub(crate) fn ended(lasted: i64, code: i64, by: ExitBy) -> CaseBuilder {
    let exit = Exit { at: at(NOW - 1), code, by };
    let target = run(NOW - 1 - lasted);
    let (symptom, severity) = match by {
        ExitBy::Oom => (Symptom::OomKilled, Severity::Critical),
        _ => (Symptom::Exited, Severity::High),
    };
    let evidence = hemostat_schema::observation::Evidence::Exit { exit };
    let raised = SymptomRaised { symptom, severity, since: at(NOW - 1), target: target.clone(), evidence };
    let builder = with_symptoms([raised]);
    let facts = Facts { state: State::Exited, exit: Some(exit), started_at: target.started_at, ..facts() };
    CaseBuilder { facts, ..builder }
}

impl CaseBuilder {
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn examine(mut self, change: impl FnOnce(&mut Examined)) -> Self {
        let target = self.facts.target();
        change(self.examined.get_or_insert_with(|| examined(target)));
        self
    }

    pub fn also(mut self, symptom: SymptomRaised) -> Self {
        self.active_symptoms.extend(with_symptoms([symptom]).active_symptoms);
        self
    }

    /// It printed these lines, a second apart, the last one `ago` seconds ago.
    pub fn printed(self, ago: i64, lines: &[&str]) -> Self {
        let count = i64::try_from(lines.len()).unwrap();
        self.examine(|examined| {
            examined.output.extend(lines.iter().zip(1..).map(|(text, n)| Line {
                at: Some(at(NOW - ago - count + n)),
                stream: Stream::Stdout,
                text: (*text).to_owned(),
            }));
        })
    }

    pub fn checked(self, code: i64, output: &str) -> Self {
        self.examine(|examined| examined.checks.push(Check { at: at(NOW - 5), code, output: output.to_owned() }))
    }

    pub fn relative(self, name: &str, relation: Relation, state: State, health: Health, since: i64) -> Self {
        let name = name.parse().unwrap();
        self.examine(|examined| {
            examined.relatives.push(Relative { name, relation, state, health, since: Some(at(since)) });
        })
    }

    pub fn changed(self, second: i64, what: Changed) -> Self {
        self.examine(|examined| examined.changes.push(Change { at: at(second), what }))
    }

    /// A run that was killed by the OOM killer.
    pub fn oom_killed(self, from: i64, to: i64) -> Self {
        let exit = Exit { at: at(to), code: 137, by: ExitBy::Oom };
        self.changed(from, Changed::Started).changed(to, Changed::Ended { exit })
    }

    pub fn disk(self, percent: f64) -> Self {
        self.examine(|examined| examined.disk = Some(Percent::clamped(percent)))
    }

    pub fn process(self, command: &str) -> Self {
        let process = Process { pid: 7, cpu: Span::ZERO, memory: ByteCount(0), command: command.to_owned() };
        self.examine(|examined| examined.processes.push(process))
    }

    /// A process with this CPU time in seconds and this memory in MiB.
    pub fn working_process(self, command: &str, secs: u64, mib: u64) -> Self {
        let (cpu, memory) = (Span::from_secs(secs), ByteCount(mib << 20));
        self.examine(|examined| examined.processes.push(Process { pid: 8, cpu, memory, command: command.to_owned() }))
    }

    pub fn used(self, samples: &[(f64, f64, u64)]) -> Self {
        let mut all: Vec<Sample> = vec![];
        for ((cpu, memory, pids), n) in samples.iter().zip(0..) {
            all.push(Sample { at: at(NOW - 100 + n * 5), vitals: vitals(*cpu, *memory, *pids) });
        }
        self.examine(|examined| examined.samples = all)
    }

    pub fn limited(self, cpus: Option<f64>, memory: Option<u64>) -> Self {
        self.with(|builder| builder.facts.limits = Limits { cpus, memory: memory.map(ByteCount) })
    }

    pub fn attempted(mut self, remedy: Remedy, code: Option<i64>, outcome: Outcome) -> Self {
        let n = self.attempts.len() as u64 + 1;
        self.attempts.push(Attempt { action: id(n), at: at(NOW - 300), remedy, code, outcome: Some(outcome) });
        self
    }

    pub fn case<R>(&self, look: impl FnOnce(&Case<'_>) -> R) -> R {
        let active = self.active_symptoms.iter().cloned().collect();
        look(&Case {
            vitals: self.vitals.as_ref(),
            examined: self.examined.as_ref(),
            examination: self.examined.as_ref().map(|_| id(9)),
            attempts: &self.attempts,
            past_incidents: &self.past_incidents,
            host: self.host.as_ref(),
            ..Case::new(&self.facts, &active, at(NOW))
        })
    }

    #[track_caller]
    pub fn reached(&self) -> Reached {
        self.case(|case| conclude(case, &Policy::default(), "api")).expect("a rule applies")
    }
}
