//! A case, put together for a table's row.

use hemostat_schema::{
    ByteCount, Percent, Span,
    action::{Outcome, Remedy},
    container::{Exit, ExitBy, Facts, Health, Limits, State, Vitals},
    diagnosis::Reached,
    examination::{Change, Changed, Check, Examined, Line, Process, Relation, Relative, Sample, Stream},
    observation::{Severity, Symptom, SymptomRaised},
};

use crate::{Case, Past, Tried, Ward, conclude};
use hemostat_core::Policy;
use hemostat_core::condition::Standing;
use hemostat_core::testing::{at, examined, facts, id, run, vitals};

/// The second at which every case of a table is looked at.
pub(crate) const NOW: i64 = 7200;

/// A container that has run since second 0 and is looked at two hours later.
#[derive(Debug, Clone)]
pub(crate) struct Patient {
    pub facts: Facts,
    pub standing: Vec<(Symptom, Standing)>,
    pub vitals: Option<Vitals>,
    pub examined: Option<Examined>,
    pub tried: Vec<Tried>,
    pub past: Vec<Past>,
    pub ward: Option<Ward>,
}

/// Ill of these symptoms.
pub(crate) fn ill(symptoms: impl IntoIterator<Item = SymptomRaised>) -> Patient {
    let standing = symptoms.into_iter().map(|raised| {
        let SymptomRaised { symptom, severity, since, target, evidence } = raised;
        (symptom, Standing { incident: None, since, severity, target, evidence })
    });
    let standing = standing.collect();
    Patient { facts: facts(), standing, vitals: None, examined: None, tried: vec![], past: vec![], ward: None }
}

/// Its health check fails since so many seconds.
pub(crate) fn unhealthy(seconds: i64) -> Patient {
    let evidence = hemostat_schema::observation::Evidence::Health { held: Span::ZERO };
    let since = at(NOW - seconds);
    let raised =
        SymptomRaised { symptom: Symptom::Unhealthy, severity: Severity::High, since, target: run(0), evidence };
    let patient = ill([raised]);
    Patient { facts: Facts { health: Health::Unhealthy, ..facts() }, ..patient }
}

/// It ended with this code, so many seconds after its run began, a second ago.
pub(crate) fn ended(lasted: i64, code: i64, by: ExitBy) -> Patient {
    let exit = Exit { at: at(NOW - 1), code, by };
    let target = run(NOW - 1 - lasted);
    let (symptom, severity) = match by {
        ExitBy::Oom => (Symptom::OomKilled, Severity::Critical),
        _ => (Symptom::Exited, Severity::High),
    };
    let evidence = hemostat_schema::observation::Evidence::Exit { exit };
    let raised = SymptomRaised { symptom, severity, since: at(NOW - 1), target: target.clone(), evidence };
    let patient = ill([raised]);
    let facts = Facts { state: State::Exited, exit: Some(exit), started_at: target.started_at, ..facts() };
    Patient { facts, ..patient }
}

impl Patient {
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
        self.standing.extend(ill([symptom]).standing);
        self
    }

    /// It printed this, the last line `ago` seconds ago and each a second apart.
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

    /// A run that began and was killed for want of memory.
    pub fn was_killed(self, from: i64, to: i64) -> Self {
        let exit = Exit { at: at(to), code: 137, by: ExitBy::Oom };
        self.changed(from, Changed::Started).changed(to, Changed::Ended { exit })
    }

    pub fn disk(self, percent: f64) -> Self {
        self.examine(|examined| examined.disk = Some(Percent::clamped(percent)))
    }

    pub fn runs(self, command: &str) -> Self {
        let process = Process { pid: 7, cpu: Span::ZERO, memory: ByteCount(0), command: command.to_owned() };
        self.examine(|examined| examined.processes.push(process))
    }

    /// A process that has used so many seconds of CPU time, and holds so many MiB.
    pub fn works(self, command: &str, secs: u64, mib: u64) -> Self {
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
        self.with(|patient| patient.facts.limits = Limits { cpus, memory: memory.map(ByteCount) })
    }

    pub fn tried(mut self, remedy: Remedy, code: Option<i64>, outcome: Outcome) -> Self {
        let n = self.tried.len() as u64 + 1;
        self.tried.push(Tried { action: id(n), at: at(NOW - 300), remedy, code, outcome: Some(outcome) });
        self
    }

    pub fn case<R>(&self, look: impl FnOnce(&Case<'_>) -> R) -> R {
        let standing = self.standing.iter().cloned().collect();
        look(&Case {
            vitals: self.vitals.as_ref(),
            examined: self.examined.as_ref(),
            examination: self.examined.as_ref().map(|_| id(9)),
            tried: &self.tried,
            past: &self.past,
            ward: self.ward.as_ref(),
            ..Case::new(&self.facts, &standing, at(NOW))
        })
    }

    #[track_caller]
    pub fn reached(&self) -> Reached {
        self.case(|case| conclude(case, &Policy::default(), "api")).expect("a rule has something to say")
    }
}
