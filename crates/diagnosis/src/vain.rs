//! What past runs, remedies and illnesses tell of the next: whether a remedy was in vain, has helped before, or is not
//! needed, as it passes by itself.

use hemostat_schema::{
    Span,
    action::{Outcome, Remedy},
    container::{ExitBy, Health, RestartPolicy},
    observation::{Severity, Symptom},
};

use super::{Case, Past, clues::Trouble, work::OF_DATA};

/// Who has never run for longer is a job as likely as a service.
const A_JOB: Span = Span::from_secs(3600);
/// An exit code from here on is that of a signal.
const BY_SIGNAL: i64 = 129;
/// What a container is called that does its work once, and on data: a second time it may meet its own half.
const JOBS: [&str; 14] = [
    "bootstrap",
    "import",
    "importer",
    "init",
    "initdb",
    "migrate",
    "migrations",
    "migration",
    "migrator",
    "restore",
    "seed",
    "seeder",
    "setup",
    "upgrade",
];

impl Case<'_> {
    /// Whether it is a job that one more start would end as this one ended.
    ///
    /// Nobody has Docker start it again, and it is called a job, or was made so lately and ran for so short that nothing
    /// says that it is a service. It has failed of itself, and not as something else was away for a moment.
    pub(super) fn is_spent(&self) -> bool {
        let Some(exit) = self.end(ExitBy::Crash).or_else(|| self.end(ExitBy::Oom)) else { return false };
        let once = self.facts.restart_policy == RestartPolicy::No && self.facts.health == Health::None;
        let passes = self.clue().is_some_and(|clue| clue.trouble.passes() && clue.trouble != Trouble::NotReady);
        let ended_so = |code: Option<i64>| code.is_none_or(|code| code == exit.code);
        let vain = self.tried.last().is_some_and(|tried| {
            tried.remedy == Remedy::Start && tried.outcome == Some(Outcome::Relapsed) && ended_so(tried.code)
        });
        let failed = exit.by == ExitBy::Crash && exit.code < BY_SIGNAL;
        let short = Span::between(self.facts.created_at, exit.at) <= A_JOB;
        once && !passes && !self.had_roots() && (self.is_called_a_job() && (failed || vain) || short && vain)
    }

    /// Whether its service or its image is called what is done once.
    fn is_called_a_job(&self) -> bool {
        let service = self.facts.compose.as_ref().map(|compose| compose.service.to_string()).unwrap_or_default();
        let image = self.facts.image.rsplit('/').next().unwrap_or_default();
        let image = image.split([':', '@']).next().unwrap_or_default();
        let words = |name: &str| name.to_lowercase().split(['-', '_', '.']).any(|word| JOBS.contains(&word));
        words(&service) || words(image) || OF_DATA.contains(&image.to_lowercase().as_str())
    }

    /// Whether restarts were in vain, and one more would be: it uses too much again, or the run has not been well for a
    /// moment and answers its check as a program does that runs and finds something wrong.
    ///
    /// What does not answer at all may have met a race or a lock, which it need not meet again: it has the tries that there are.
    pub(super) fn restarts_in_vain(&self) -> bool {
        use Symptom::{CpuHigh, MemoryHigh, PidsHigh};
        let last = self
            .tried
            .last()
            .is_some_and(|tried| tried.remedy == Remedy::Restart && tried.outcome == Some(Outcome::Relapsed));
        let answers = !self.failing_checks().is_empty() && !self.is_late() && !self.is_refused();
        let fails = self.is_failing() && self.was_well() == Some(false) && self.left_behind_by().is_none();
        let again = self.is_only_ill_of(&[CpuHigh, MemoryHigh, PidsHigh]);
        last && (again || fails && answers)
    }

    /// Whether what it is ill of has been over by itself the last time, and likely will be again.
    ///
    /// What is critical, and what a disk has no room for, must have passed twice.
    pub(super) fn passes_as_before(&self) -> bool {
        use Symptom::{CpuHigh, DiskFilling, MemoryHigh, MemoryLeak, PidsHigh, Pressure};
        let passing = [CpuHigh, DiskFilling, MemoryHigh, MemoryLeak, PidsHigh, Pressure];
        let critical = |ill: Symptom| self.standing.get(&ill).is_some_and(|told| told.severity == Severity::Critical);
        let grave = self.ills().any(|ill| critical(ill) || ill == DiskFilling);
        let needs = if grave { 2 } else { 1 };
        let passed = self.alike().rev().take_while(|past| past.tried.is_none()).count();
        let near = self.leak().is_some_and(|leak| leak.is_near());
        self.runs()
            && self.facts.health != Health::Unhealthy
            && self.is_only_ill_of(&passing)
            && !near
            && passed >= needs
    }

    /// Whether a restart has made well what it is ill of now, the last time.
    pub(super) fn was_healed_by_a_restart(&self) -> bool {
        self.alike()
            .next_back()
            .and_then(|past| past.tried.as_ref())
            .is_some_and(|tried| tried.remedy == Remedy::Restart && tried.outcome == Some(Outcome::Recovered))
    }

    /// Earlier illnesses with all that it is ill of now.
    fn alike(&self) -> impl DoubleEndedIterator<Item = &Past> {
        self.past.iter().filter(|past| self.ills().all(|ill| past.symptoms.contains(&ill)))
    }
}
