//! What earlier attempts and incidents say about this one: a remedy did not help, a remedy helped before, or the symptoms
//! passed by themselves.

use hemostat_schema::{
    Span,
    action::{Outcome, Remedy},
    container::{ExitBy, Health, RestartPolicy},
    observation::{Severity, Symptom},
};

use crate::{
    case::{Case, PastIncident},
    known_failure::KnownFailure,
    vocabulary::VOCABULARY,
};

/// A container that never ran for longer may be a job rather than a service.
const JOB_RUN: Span = Span::from_secs(3600);
/// The first exit code that means "ended by a signal" (128 + signal).
const FIRST_SIGNAL_CODE: i64 = 129;

impl<'a> Case<'a> {
    /// The last remedy attempted in this incident, if it did not help.
    pub(super) fn last_failed_remedy(&self) -> Option<&'a Remedy> {
        let last = self.attempts.last().filter(|attempt| attempt.outcome == Some(Outcome::Relapsed));
        last.map(|attempt| &attempt.remedy)
    }

    /// Whether it is a one-off job whose next start would end like the last one.
    ///
    /// It has no restart policy and no health check, and is named like a job; or it was created within the last hour and
    /// an attempt to start it failed the same way. Its failure is its own: no dependency was unavailable.
    pub(super) fn is_failed_one_off_job(&self) -> bool {
        let Some(exit) = self.exit_by(ExitBy::Crash).or_else(|| self.exit_by(ExitBy::Oom)) else { return false };
        let once = self.facts.restart_policy == RestartPolicy::No && self.facts.health == Health::None;
        let may_pass = self
            .output_match()
            .is_some_and(|found| found.failure.may_pass() && found.failure != KnownFailure::NotReady);
        let same_code = |code: Option<i64>| code.is_none_or(|code| code == exit.code);
        let start_failed = self.attempts.last().is_some_and(|attempt| {
            attempt.remedy == Remedy::Start && attempt.outcome == Some(Outcome::Relapsed) && same_code(attempt.code)
        });
        let failed = exit.by == ExitBy::Crash && exit.code < FIRST_SIGNAL_CODE;
        let short = Span::between(self.facts.created_at, exit.at) <= JOB_RUN;
        once && !may_pass
            && !self.had_unhealthy_dependencies()
            && (self.is_named_like_a_job() && (failed || start_failed) || short && start_failed)
    }

    /// Whether its service or its image is named like a one-off job.
    fn is_named_like_a_job(&self) -> bool {
        let service = self.facts.compose.as_ref().map(|compose| compose.service.to_string()).unwrap_or_default();
        let image = self.facts.image.rsplit('/').next().unwrap_or_default();
        let image = image.split([':', '@']).next().unwrap_or_default();
        let words =
            |name: &str| name.to_lowercase().split(['-', '_', '.']).any(|word| VOCABULARY.one_off_jobs.contain(word));
        words(&service) || words(image) || VOCABULARY.data_programs.contain(&image.to_lowercase())
    }

    /// Whether the last restart did not help and another would not either: the usage is high again, or the run was never
    /// healthy and its check gets an answer, so the program runs and reports a problem.
    ///
    /// A container that does not answer at all may have hit a race or a lock, which the next run may not hit: it gets all
    /// its attempts.
    pub(super) fn restart_did_not_help(&self) -> bool {
        use Symptom::{CpuHigh, MemoryHigh, PidsHigh};
        let last = self
            .attempts
            .last()
            .is_some_and(|attempt| attempt.remedy == Remedy::Restart && attempt.outcome == Some(Outcome::Relapsed));
        let answers = !self.failed_checks().is_empty() && !self.checks_time_out() && !self.refuses_connections();
        let fails =
            self.fails_health_check() && self.was_healthy() == Some(false) && self.recovered_dependency().is_none();
        let again = self.has_only(&[CpuHigh, MemoryHigh, PidsHigh]);
        last && (again || fails && answers)
    }

    /// Whether the same symptoms passed without a remedy the last time, so they probably will again.
    ///
    /// A critical symptom and a filling disk must have passed twice.
    pub(super) fn passed_by_itself_before(&self) -> bool {
        use Symptom::{CpuHigh, DiskFilling, MemoryHigh, MemoryLeak, PidsHigh, Pressure};
        let passing = [CpuHigh, DiskFilling, MemoryHigh, MemoryLeak, PidsHigh, Pressure];
        let critical = |symptom: Symptom| {
            self.active_symptoms.get(&symptom).is_some_and(|active| active.severity == Severity::Critical)
        };
        let grave = self.serious_symptoms().any(|symptom| critical(symptom) || symptom == DiskFilling);
        let required = if grave { 2 } else { 1 };
        let passed = self.similar_incidents().rev().take_while(|past| past.attempt.is_none()).count();
        let near = self.leak().is_some_and(|leak| leak.is_near());
        self.is_running()
            && self.facts.health != Health::Unhealthy
            && self.has_only(&passing)
            && !near
            && passed >= required
    }

    /// Whether a restart resolved the last incident with the same symptoms.
    pub(super) fn restart_helped_before(&self) -> bool {
        self.similar_incidents()
            .next_back()
            .and_then(|past| past.attempt.as_ref())
            .is_some_and(|attempt| attempt.remedy == Remedy::Restart && attempt.outcome == Some(Outcome::Recovered))
    }

    /// Earlier incidents with all current symptoms.
    fn similar_incidents(&self) -> impl DoubleEndedIterator<Item = &PastIncident> {
        self.past_incidents
            .iter()
            .filter(|past| self.serious_symptoms().all(|symptom| past.symptoms.contains(&symptom)))
    }
}
