//! Symptoms of life and death: health, ends, restarts.

use hemostat_schema::{
    Span, Timestamp,
    container::{Exit, ExitBy},
    observation::{Evidence, Severity, Symptom},
};

use super::{Due, High, Phase, Watch};

impl Watch<'_> {
    pub(super) fn life(&self, ended: Option<&Exit>) -> Vec<Due> {
        let mut due = vec![];
        due.extend(self.unhealthy());
        due.extend(self.ended(ended));
        due.extend(self.looping());
        due.extend(self.out_of_the_loop());
        due.extend(self.flapping());
        due.extend(self.lost_a_child());
        due.extend(self.recovered());
        due
    }

    fn unhealthy(&self) -> Option<Due> {
        if self.phase != Phase::Unhealthy || self.stands(Symptom::Unhealthy) {
            return None;
        }
        let evidence = Evidence::Health { held: self.care.unhealthy };
        let due = self.care.unhealthy.after(self.since).max(self.calm_until());
        Some(self.raise(Symptom::Unhealthy, Severity::High, self.since, due, evidence))
    }

    /// An end is told at the moment at which it is seen, or else not at all: whoever looks later does not know why nobody
    /// started it. Only the end of a container that was just made waits until its grace is over.
    fn ended(&self, ended: Option<&Exit>) -> Option<Due> {
        let calm = self.calm_until();
        let exit = ended.copied().or_else(|| self.witnessed().filter(|exit| exit.at < calm))?;
        let (symptom, severity, due) = match exit.by {
            ExitBy::Crash if exit.code != 0 => (Symptom::Exited, Severity::High, self.since.max(calm)),
            ExitBy::Oom => (Symptom::OomKilled, Severity::Critical, self.since),
            ExitBy::Crash | ExitBy::Itself | ExitBy::Operator | ExitBy::Unknown => return None,
        };
        let crashed = self.phase == Phase::Crashed && !self.stands(symptom);
        crashed.then(|| self.raise(symptom, severity, self.since, due, Evidence::Exit { exit }))
    }

    /// How the last run ended, where that was seen happening.
    fn witnessed(&self) -> Option<Exit> {
        self.facts.exit.filter(|exit| self.state.last_exit == Some(*exit))
    }

    fn looping(&self) -> Option<Due> {
        let (restarts, within) = (&self.state.restarts, self.policy.loop_within);
        let last = *restarts.last()?;
        let counted = restarts.iter().filter(|at| Span::between(**at, last) <= within).count();
        let count = u32::try_from(counted).unwrap_or(u32::MAX);
        if count < self.policy.loop_restarts.max(1) || self.stands(Symptom::RestartLoop) {
            return None;
        }
        let first = restarts.iter().copied().find(|at| Span::between(*at, last) <= within)?;
        let evidence = Evidence::Restarts { count, within, last: self.state.last_exit };
        Some(self.raise(Symptom::RestartLoop, Severity::High, first, last, evidence))
    }

    /// A loop is over when the run has lasted, however it feels: what else ails it is another symptom's to say.
    fn out_of_the_loop(&self) -> Option<Due> {
        if !self.phase.is_running() || !self.stands(Symptom::RestartLoop) {
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
        if self.stands(Symptom::Flapping) {
            return self.phase.is_running().then(|| Due::well(Symptom::Flapping, over));
        }
        let mut counted = flips.iter().copied().filter(|at| Span::between(*at, last) <= within);
        let first = counted.next()?;
        let count = u32::try_from(counted.count() + 1).unwrap_or(u32::MAX);
        // While it was frozen nothing could be told; what was over by then is not told later.
        let due = last.max(self.calm_until()).max(self.since);
        let told = self.phase.is_running() && count >= sensitivity.flaps.max(1) && due < over;
        let evidence = Evidence::Flips { count, within };
        told.then(|| self.raise(Symptom::Flapping, Severity::High, first, due, evidence))
    }

    fn lost_a_child(&self) -> Option<Due> {
        let (symptom, within) = (Symptom::OomChild, self.policy.loop_within);
        let kills = &self.state.signals.kills;
        if let Some(standing) = self.standing(symptom) {
            // What was killed before HemoStat began to look is known by the symptom alone.
            let last = kills.last().map_or(standing.since, |last| last.max(standing.since));
            return self.phase.is_running().then(|| Due::well(symptom, self.quiet(within).after(last)));
        }
        if let (Phase::Restarting, Some(Exit { code: 0, by: ExitBy::Oom, .. })) = (self.phase, self.witnessed()) {
            let evidence = Evidence::Killed { count: 1, within };
            return Some(self.raise(symptom, Severity::High, self.since, self.since, evidence));
        }
        let high = kills.high(within).filter(|_| self.phase.is_running())?;
        let high = High { at: high.at.max(self.since), ..high };
        let over: Option<Timestamp> = kills.last().map(|last| self.quiet(within).after(last));
        over.filter(|over| high.at < *over).and_then(|_| self.held(symptom, Some(high), None))
    }

    /// What is over once the container has been well for long enough; all else is over by its own measure.
    fn recovered(&self) -> impl Iterator<Item = Due> {
        let by_wellness = [Symptom::Unhealthy, Symptom::Exited, Symptom::OomKilled];
        let due = self.policy.clear_after.after(self.since);
        let is_well = self.phase == Phase::Well;
        let standing = by_wellness.into_iter().filter(move |symptom| is_well && self.stands(*symptom));
        standing.map(move |symptom| Due::well(symptom, due))
    }
}
