//! What the ends of a container's runs tell: how they ended, how soon, and whether the next one would end the same way.

use hemostat_schema::{
    Span,
    action::{Outcome, Remedy},
    container::{Exit, ExitBy, RestartPolicy},
    examination::Changed,
    observation::{Evidence, Symptom},
};

use super::{
    Case, Clue, Tried,
    clues::{self, Trouble},
};

/// A run that ended so soon after it began ended at its start.
const AT_START: Span = Span::from_secs(60);
/// So often killed for want of memory at its start, and it does not fit.
const KILLED_AT_START: usize = 2;
/// A disk that is so full is full.
const DISK_FULL: f64 = 95.0;

impl<'a> Case<'a> {
    /// How its last run ended, where it keeps ending: it is down of it, or Docker restarts it again and again.
    pub(super) fn last_end(&self) -> Option<Exit> {
        let looping = match self.standing.get(&Symptom::RestartLoop).map(|standing| &standing.evidence) {
            Some(Evidence::Restarts { last, .. }) => self.facts.exit.or(*last),
            _ => None,
        };
        self.end(ExitBy::Crash).or_else(|| self.end(ExitBy::Oom)).or(looping)
    }

    /// Whether its last run ended when it had hardly begun.
    pub(super) fn ended_at_start(&self) -> bool {
        let lasted = |exit: Exit| self.facts.started_at.map(|began| Span::between(began, exit.at));
        match self.last_end().filter(|_| !self.runs()).and_then(lasted).or_else(|| self.last_run_lasted()) {
            Some(lasted) => lasted <= AT_START,
            // What Docker restarts again and again within minutes ends at its start.
            None => self.is_ill_of(Symptom::RestartLoop),
        }
    }

    /// How long the last run lasted that was seen from its beginning to its end.
    fn last_run_lasted(&self) -> Option<Span> {
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

    /// How often it was seen to be killed for want of memory when it had hardly begun.
    pub(super) fn killed_at_start(&self) -> usize {
        let last = self.last_end().is_some_and(|exit| exit.by == ExitBy::Oom) && self.ended_at_start();
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
        let again = self.is_ill_of(Symptom::RestartLoop) || self.in_vain(Remedy::Start) > 0 || self.facts.restarts > 1;
        killed.max(if last { 1 + usize::from(again) } else { 0 })
    }

    /// How often this remedy did not help in this illness.
    pub(super) fn in_vain(&self, remedy: Remedy) -> usize {
        let vain = |tried: &&Tried| tried.remedy == remedy && tried.outcome == Some(Outcome::Relapsed);
        self.tried.iter().filter(vain).count()
    }

    /// How often it was started and ended with this very code again.
    pub(super) fn same_ends(&self, code: i64) -> usize {
        let vain = self.tried.iter().filter(|tried| tried.outcome == Some(Outcome::Relapsed));
        vain.rev().take_while(|tried| tried.remedy == Remedy::Start && tried.code == Some(code)).count()
    }

    /// What its output says about why it ended, or why it does not work.
    pub(super) fn clue(&self) -> Option<Clue<'a>> {
        clues::in_output(self.examined?)
    }

    /// What its output or its health check says about a disk that is full, and no other clue.
    pub(super) fn clue_of(&self, trouble: Trouble) -> Option<Clue<'a>> {
        let checks = self.failing_checks().last().and_then(clues::in_check);
        self.clue().filter(|clue| clue.trouble == trouble).or_else(|| checks.filter(|clue| clue.trouble == trouble))
    }

    /// Whether its program cannot be run: the shell's and Docker's own exit codes, where it ended at its start.
    pub(super) fn has_bad_command(&self) -> bool {
        let code = self.last_end().is_some_and(|exit| matches!(exit.code, 126 | 127));
        let said = self.last_end().is_some() && self.clue().is_some_and(|clue| clue.trouble == Trouble::Unrunnable);
        self.ended_at_start() && (code || said)
    }

    /// Whether Docker has used up its attempts, and each run ended when it had hardly begun.
    pub(super) fn is_exhausted(&self) -> bool {
        let used_up = match self.facts.restart_policy {
            RestartPolicy::OnFailure { max } => max > 1 && self.facts.restarts >= max,
            RestartPolicy::No | RestartPolicy::Always | RestartPolicy::UnlessStopped => false,
        };
        // What it could not reach then it may reach now.
        let passes = self.clue().is_some_and(|clue| clue.trouble.passes()) || self.had_roots();
        used_up && self.is_down() && self.ended_at_start() && !passes
    }

    /// Whether it needs more memory to begin than it is given.
    pub(super) fn is_too_big_to_start(&self) -> bool {
        (!self.runs() || self.is_ill_of(Symptom::RestartLoop)) && self.killed_at_start() >= KILLED_AT_START
    }

    /// Whether a disk that it needs is full.
    ///
    /// That it printed so is believed only where nothing else has measured the disk.
    pub(super) fn is_disk_full(&self) -> bool {
        self.is_ill_of(Symptom::DiskFilling) || self.has_no_room()
    }

    /// Whether there is no room left at all.
    pub(super) fn has_no_room(&self) -> bool {
        let measured = self.examined_now().and_then(|examined| examined.disk);
        let told = match self.standing.get(&Symptom::DiskFilling).map(|standing| &standing.evidence) {
            Some(Evidence::Disk { value, .. }) => Some(*value),
            _ => None,
        };
        let full = measured.or(told).map(|disk| disk.get() >= DISK_FULL);
        full.unwrap_or_else(|| self.clue_of(Trouble::DiskFull).is_some())
    }
}
