//! How a container's runs ended: with which exit code, how soon, and whether the next run would end the same way.

use hemostat_schema::{
    Span,
    action::{Outcome, Remedy},
    container::{Exit, ExitBy, RestartPolicy},
    examination::Changed,
    observation::{Evidence, Symptom},
};

use crate::{
    case::{Attempt, Case},
    known_failure::KnownFailure,
    log_patterns::{self, LogMatch},
};

/// A run that ended within this time ended "at its start".
const AT_START: Span = Span::from_secs(60);
/// How many OOM kills at the start mean that the memory limit is too low to start.
const OOM_KILLS_AT_START: usize = 2;
/// Percent from which a disk counts as full.
const DISK_FULL: f64 = 95.0;

impl<'a> Case<'a> {
    /// The exit of its last run, if the container is down because of it or in a restart loop.
    pub(super) fn last_exit(&self) -> Option<Exit> {
        let looping = match self.active_symptoms.get(&Symptom::RestartLoop).map(|active| &active.evidence) {
            Some(Evidence::Restarts { last, .. }) => self.facts.exit.or(*last),
            _ => None,
        };
        self.exit_by(ExitBy::Crash).or_else(|| self.exit_by(ExitBy::Oom)).or(looping)
    }

    /// Whether its last run ended at its start.
    pub(super) fn exited_at_start(&self) -> bool {
        let lasted = |exit: Exit| self.facts.started_at.map(|began| Span::between(began, exit.at));
        match self.last_exit().filter(|_| !self.is_running()).and_then(lasted).or_else(|| self.last_run_duration()) {
            Some(lasted) => lasted <= AT_START,
            // In a restart loop each run lasts minutes at most.
            None => self.has_symptom(Symptom::RestartLoop),
        }
    }

    /// How long the last run lasted of which both start and end were observed.
    fn last_run_duration(&self) -> Option<Span> {
        let (mut began, mut lasted) = (None, None);
        for change in self.examined.iter().flat_map(|examined| &examined.changes) {
            match &change.what {
                Changed::Started => began = Some(change.at),
                Changed::Ended { exit } => lasted = began.take().map(|began| Span::between(began, exit.at)).or(lasted),
                Changed::Image { .. } | Changed::Recreated | Changed::Limits | Changed::Health { .. } => {}
            }
        }
        lasted
    }

    /// How many OOM kills at the start of a run were observed.
    pub(super) fn oom_kills_at_start(&self) -> usize {
        let last = self.last_exit().is_some_and(|exit| exit.by == ExitBy::Oom) && self.exited_at_start();
        let (mut began, mut killed) = (None, 0);
        for change in self.examined.iter().flat_map(|examined| &examined.changes) {
            match &change.what {
                Changed::Started => began = Some(change.at),
                Changed::Ended { exit } => {
                    let short = began.take().is_some_and(|began| Span::between(began, exit.at) <= AT_START);
                    killed += usize::from(short && exit.by == ExitBy::Oom);
                }
                Changed::Image { .. } | Changed::Recreated | Changed::Limits | Changed::Health { .. } => {}
            }
        }
        let again = self.has_symptom(Symptom::RestartLoop)
            || self.failed_attempts(Remedy::Start) > 0
            || self.facts.restarts > 1;
        killed.max(if last { 1 + usize::from(again) } else { 0 })
    }

    /// How often this remedy did not help in this incident.
    pub(super) fn failed_attempts(&self, remedy: Remedy) -> usize {
        let failed = |attempt: &&Attempt| attempt.remedy == remedy && attempt.outcome == Some(Outcome::Relapsed);
        self.attempts.iter().filter(failed).count()
    }

    /// How many of the last starts in a row ended with this exit code again.
    pub(super) fn repeated_exits(&self, code: i64) -> usize {
        let failed = self.attempts.iter().filter(|attempt| attempt.outcome == Some(Outcome::Relapsed));
        failed.rev().take_while(|attempt| attempt.remedy == Remedy::Start && attempt.code == Some(code)).count()
    }

    /// The log line that explains why it ended or does not work.
    pub(super) fn output_match(&self) -> Option<LogMatch<'a>> {
        log_patterns::in_output(self.examined?)
    }

    /// The match in its log or its health check, if it is this failure.
    pub(super) fn match_of(&self, failure: KnownFailure) -> Option<LogMatch<'a>> {
        let checks = self.failed_checks().last().and_then(log_patterns::in_check);
        self.output_match()
            .filter(|found| found.failure == failure)
            .or_else(|| checks.filter(|found| found.failure == failure))
    }

    /// Whether its program cannot be executed: exit code 126 or 127 (the shell's and Docker's own), or a log line that
    /// says so, at the start of the run.
    pub(super) fn has_bad_command(&self) -> bool {
        let code = self.last_exit().is_some_and(|exit| matches!(exit.code, 126 | 127));
        let logged = self.last_exit().is_some()
            && self.output_match().is_some_and(|found| found.failure == KnownFailure::CannotExecute);
        self.exited_at_start() && (code || logged)
    }

    /// Whether Docker has used up the restarts of its restart policy, and each run ended at its start.
    pub(super) fn has_used_up_restarts(&self) -> bool {
        let used_up = match self.facts.restart_policy {
            RestartPolicy::OnFailure { max } => max > 1 && self.facts.restarts >= max,
            RestartPolicy::No | RestartPolicy::Always | RestartPolicy::UnlessStopped => false,
        };
        // A service that was unreachable then may be reachable now.
        let may_pass =
            self.output_match().is_some_and(|found| found.failure.may_pass()) || self.had_unhealthy_dependencies();
        used_up && self.is_down() && self.exited_at_start() && !may_pass
    }

    /// Whether its memory limit is too low to start.
    pub(super) fn needs_more_memory_to_start(&self) -> bool {
        (!self.is_running() || self.has_symptom(Symptom::RestartLoop))
            && self.oom_kills_at_start() >= OOM_KILLS_AT_START
    }

    /// Whether a disk that it needs is full or fills.
    ///
    /// A log line that says so counts only if the disk was not measured.
    pub(super) fn is_disk_full(&self) -> bool {
        self.has_symptom(Symptom::DiskFilling) || self.has_no_disk_space()
    }

    /// Whether no disk space is left.
    pub(super) fn has_no_disk_space(&self) -> bool {
        let measured = self.current_examination().and_then(|examined| examined.disk);
        let reported = match self.active_symptoms.get(&Symptom::DiskFilling).map(|active| &active.evidence) {
            Some(Evidence::Disk { value, .. }) => Some(*value),
            _ => None,
        };
        let full = measured.or(reported).map(|disk| disk.get() >= DISK_FULL);
        full.unwrap_or_else(|| self.match_of(KnownFailure::DiskFull).is_some())
    }
}
