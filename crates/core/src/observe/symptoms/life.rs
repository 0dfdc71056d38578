//! Symptoms of the life cycle: health, ends of runs, restarts.

use hemostat_schema::{
    Span, Timestamp,
    container::{Exit, ExitBy},
    observation::{Evidence, Severity, Symptom},
};

use super::{Assessment, Due, Exceeded, Phase};

impl Assessment<'_> {
    pub(super) fn life(&self, ended: Option<&Exit>) -> Vec<Due> {
        let mut due = vec![];
        due.extend(self.unhealthy());
        due.extend(self.ended(ended));
        due.extend(self.restart_loop());
        due.extend(self.restart_loop_over());
        due.extend(self.flapping());
        due.extend(self.oom_child());
        due.extend(self.recovered());
        due
    }

    fn unhealthy(&self) -> Option<Due> {
        if self.phase != Phase::Unhealthy || self.is_active(Symptom::Unhealthy) {
            return None;
        }
        let evidence = Evidence::Health { held: self.container.unhealthy };
        let due = self.container.unhealthy.after(self.since).max(self.grace_until());
        Some(self.raise(Symptom::Unhealthy, Severity::High, self.since, due, evidence))
    }

    /// The end of a run is raised when it is observed or not at all: later it is unknown why the container was not
    /// started again. Only an end within the grace period waits for the end of that period.
    fn ended(&self, ended: Option<&Exit>) -> Option<Due> {
        let grace = self.grace_until();
        let exit = ended.copied().or_else(|| self.observed_exit().filter(|exit| exit.at < grace))?;
        let (symptom, severity, due) = match exit.by {
            ExitBy::Crash if exit.code != 0 => (Symptom::Exited, Severity::High, self.since.max(grace)),
            ExitBy::Oom => (Symptom::OomKilled, Severity::Critical, self.since),
            ExitBy::Crash | ExitBy::Itself | ExitBy::Operator | ExitBy::Unknown => return None,
        };
        let crashed = self.phase == Phase::Crashed && !self.is_active(symptom);
        crashed.then(|| self.raise(symptom, severity, self.since, due, Evidence::Exit { exit }))
    }

    /// How the last run ended, if that was observed as it happened.
    fn observed_exit(&self) -> Option<Exit> {
        self.facts.exit.filter(|exit| self.state.last_exit == Some(*exit))
    }

    fn restart_loop(&self) -> Option<Due> {
        let (restarts, within) = (&self.state.restarts, self.policy.loop_within);
        let last = *restarts.last()?;
        let counted = restarts.iter().filter(|at| Span::between(**at, last) <= within).count();
        let count = u32::try_from(counted).unwrap_or(u32::MAX);
        if count < self.policy.loop_restarts.max(1) || self.is_active(Symptom::RestartLoop) {
            return None;
        }
        let first = restarts.iter().copied().find(|at| Span::between(*at, last) <= within)?;
        let evidence = Evidence::Restarts { count, within, last: self.state.last_exit };
        Some(self.raise(Symptom::RestartLoop, Severity::High, first, last, evidence))
    }

    /// A loop is over when the run has lasted, healthy or not: other faults are other symptoms.
    fn restart_loop_over(&self) -> Option<Due> {
        if !self.phase.is_running() || !self.is_active(Symptom::RestartLoop) {
            return None;
        }
        let last = self.state.restarts.last().copied().unwrap_or(self.since);
        Some(Due::well(Symptom::RestartLoop, self.quiet(self.policy.loop_within).after(last)))
    }

    fn flapping(&self) -> Option<Due> {
        let (flips, sensitivity) = (&self.state.flips, &self.policy.sensitivity);
        let within = sensitivity.flaps_within;
        let last = flips.last().copied().unwrap_or(self.since);
        let over = self.quiet(within).after(last);
        if self.is_active(Symptom::Flapping) {
            return self.phase.is_running().then(|| Due::well(Symptom::Flapping, over));
        }
        let mut counted = flips.iter().copied().filter(|at| Span::between(*at, last) <= within);
        let first = counted.next()?;
        let count = u32::try_from(counted.count() + 1).unwrap_or(u32::MAX);
        // Nothing is raised while the container is paused, and nothing that was over by the time it is unpaused.
        let due = last.max(self.grace_until()).max(self.since);
        let flaps = self.phase.is_running() && count >= sensitivity.flaps.max(1) && due < over;
        let evidence = Evidence::Flips { count, within };
        flaps.then(|| self.raise(Symptom::Flapping, Severity::High, first, due, evidence))
    }

    fn oom_child(&self) -> Option<Due> {
        let (symptom, within) = (Symptom::OomChild, self.policy.loop_within);
        let kills = &self.state.signals.kills;
        if let Some(active) = self.active(symptom) {
            // Kills before HemoStat was started are known by the symptom alone.
            let last = kills.last().map_or(active.since, |last| last.max(active.since));
            return self.phase.is_running().then(|| Due::well(symptom, self.quiet(within).after(last)));
        }
        if let (Phase::Restarting, Some(Exit { code: 0, by: ExitBy::Oom, .. })) = (self.phase, self.observed_exit()) {
            let evidence = Evidence::Killed { count: 1, within };
            return Some(self.raise(symptom, Severity::High, self.since, self.since, evidence));
        }
        let exceeded = kills.exceeded(within).filter(|_| self.phase.is_running())?;
        let exceeded = Exceeded { at: exceeded.at.max(self.since), ..exceeded };
        let over: Option<Timestamp> = kills.last().map(|last| self.quiet(within).after(last));
        over.filter(|over| exceeded.at < *over).and_then(|_| self.follow(symptom, Some(exceeded), None))
    }

    /// The symptoms that are cleared once the container has been well for `clear_after`.
    fn recovered(&self) -> impl Iterator<Item = Due> {
        let by_wellness = [Symptom::Unhealthy, Symptom::Exited, Symptom::OomKilled];
        let due = self.policy.clear_after.after(self.since);
        let is_well = self.phase == Phase::Well;
        let active = by_wellness.into_iter().filter(move |symptom| is_well && self.is_active(*symptom));
        active.map(move |symptom| Due::well(symptom, due))
    }
}
