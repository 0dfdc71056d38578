//! Which remedies must not be carried out in a case, whatever anybody says: rule, model, or what a log told a model.
//!
//! These are contraindications, not opinions. A remedy that is allowed here may still be useless; one that is refused
//! here would do harm, hide what is wrong, or do what somebody else already does. Whether a remedy is permitted for
//! the container, and whether it is due, is `remedy`'s to say.

use hemostat_schema::{
    action::Remedy,
    container::{ExitBy, RestartPolicy, State},
    observation::Symptom,
};

use super::{Case, clues::Trouble};

/// So often killed for want of memory at its start, and it does not fit.
const KILLED_AT_START: usize = 2;
/// A disk that is so full is full.
const DISK_FULL: f64 = 95.0;

/// Why a remedy must not be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contraindication {
    /// Nothing needs healing.
    NotIll,
    /// An operator stopped or froze it.
    OperatorStopped,
    /// Docker is removing it.
    Removing,
    /// It is down; what is down is started.
    Down,
    /// It is not down; only what is down is started.
    NotDown,
    /// Docker restarts it by its own policy.
    DockerRestarts,
    /// Its health check has not said yet how it is.
    Starting,
    /// It has not come to its work yet: it is loading, or repairing its data.
    StillBegins,
    /// Docker has tried as often as its restart policy says, and it ended at its start each time.
    Exhausted,
    /// Its program cannot be run.
    BadCommand,
    /// It was killed for want of memory at its start, again and again.
    OutOfMemoryAtStart,
    /// What it needs is not well.
    DependencyDown {
        /// Which.
        name: String,
    },
    /// All that is wrong is that its CPU limit holds it back.
    OnlyThrottled,
    /// All that is wrong is that it waits for what others use.
    OnlyPressure,
    /// All that is wrong is that its health check changes its mind.
    OnlyFlapping,
    /// All that is wrong is that a process of it was killed, and it has gone on.
    OnlyLostAChild,
    /// The disk is full, and it would be still.
    DiskFull,
    /// The health check itself cannot be run, so nothing says that it is ill.
    BrokenCheck,
    /// There is nothing on a disk that needs clearing.
    DiskNotFull,
    /// One more of it would not help: it is not for want of CPU that it is ill.
    NotBusy,
    /// It is no service that could have one more replica.
    NoService,
    /// Only people do that.
    ForPeople,
}

impl std::fmt::Display for Contraindication {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotIll => "nothing needs healing",
            Self::OperatorStopped => "an operator stopped or paused it",
            Self::Removing => "Docker is removing it",
            Self::Down => "it is down, so there is nothing to restart",
            Self::NotDown => "it is not down, so there is nothing to start",
            Self::DockerRestarts => "Docker restarts it already, by its restart policy",
            Self::Starting => "its health check has not said yet how it is",
            Self::StillBegins => "it is still beginning its run, and would have to begin anew",
            Self::Exhausted => "Docker has started it as often as its policy says, and it ended at once each time",
            Self::BadCommand => "its program cannot be run",
            Self::OutOfMemoryAtStart => "it was killed for want of memory at its start, again and again",
            Self::DependencyDown { name } => return write!(f, "it needs {name}, which is not well"),
            Self::OnlyThrottled => "its CPU limit holds it back, as it would after a restart",
            Self::OnlyPressure => "it waits for what others use, as it would after a restart",
            Self::OnlyFlapping => "it gets well each time by itself",
            Self::OnlyLostAChild => "it has gone on without the process that was killed",
            Self::DiskFull => "the disk would still be full",
            Self::BrokenCheck => "its health check cannot be run, so nothing says that it is ill",
            Self::DiskNotFull => "no disk is full",
            Self::NotBusy => "it is not for want of CPU that it is ill",
            Self::NoService => "it is no service that could have one more replica",
            Self::ForPeople => "only people do that",
        })
    }
}

/// Whether `remedy` may be carried out in this case at all.
///
/// # Errors
/// The first reason against it.
pub fn safe(case: &Case<'_>, remedy: &Remedy) -> Result<(), Contraindication> {
    use Contraindication::{ForPeople, NotIll, OperatorStopped, Removing};
    if case.ills().next().is_none() {
        return Err(NotIll);
    }
    let by_operator = case.is_down() && case.facts.exit.is_some_and(|exit| exit.by == ExitBy::Operator);
    if case.halted.is_some() || case.facts.state == State::Paused || by_operator {
        return Err(OperatorStopped);
    }
    if matches!(case.facts.state, State::Removing | State::Dead) {
        return Err(Removing);
    }
    match remedy {
        Remedy::Restart => restart(case).and_then(|()| anew(case)),
        Remedy::Start => start(case).and_then(|()| anew(case)),
        Remedy::Scale => scale(case),
        Remedy::Cleanup => cleanup(case),
        Remedy::Stop | Remedy::Exec { .. } => Err(ForPeople),
    }
}

/// What stands against stopping it.
fn restart(case: &Case<'_>) -> Result<(), Contraindication> {
    use Contraindication::{
        BrokenCheck, DockerRestarts, Down, OnlyFlapping, OnlyLostAChild, OnlyPressure, OnlyThrottled, Starting,
        StillBegins,
    };
    match case.facts.state {
        State::Restarting => return Err(DockerRestarts),
        State::Created | State::Exited => return Err(Down),
        State::Running | State::Paused | State::Removing | State::Dead => {}
    }
    if case.is_ill_of(Symptom::RestartLoop) {
        return Err(DockerRestarts);
    }
    if case.is_starting() {
        return Err(Starting);
    }
    if case.still_begins().is_some() {
        return Err(StillBegins);
    }
    // Among others these explain: a container that is held back by its limit uses all the CPU that it is given.
    let held_back = case.is_ill_of(Symptom::CpuThrottled);
    let explained = [Symptom::CpuThrottled, Symptom::CpuHigh, Symptom::Pressure, Symptom::Flapping];
    if held_back && case.is_only_ill_of(&explained) {
        return Err(OnlyThrottled);
    }
    if case.is_only_ill_of(&[Symptom::Pressure]) {
        return Err(OnlyPressure);
    }
    if case.is_only_ill_of(&[Symptom::Flapping]) {
        return Err(OnlyFlapping);
    }
    if case.is_only_ill_of(&[Symptom::OomChild]) {
        return Err(OnlyLostAChild);
    }
    if case.has_broken_check() && case.is_only_ill_of(&[Symptom::Unhealthy, Symptom::Flapping]) {
        return Err(BrokenCheck);
    }
    Ok(())
}

/// What stands against starting it.
fn start(case: &Case<'_>) -> Result<(), Contraindication> {
    match case.facts.state {
        State::Restarting => Err(Contraindication::DockerRestarts),
        State::Running | State::Paused => Err(Contraindication::NotDown),
        State::Created | State::Exited | State::Dead | State::Removing => match case.is_exhausted() {
            true => Err(Contraindication::Exhausted),
            false => Ok(()),
        },
    }
}

/// What stands against a run that begins anew.
fn anew(case: &Case<'_>) -> Result<(), Contraindication> {
    use Contraindication::{BadCommand, DependencyDown, DiskFull, OutOfMemoryAtStart};
    if case.has_bad_command() {
        return Err(BadCommand);
    }
    if case.is_too_big_to_start() {
        return Err(OutOfMemoryAtStart);
    }
    if case.is_disk_full() {
        return Err(DiskFull);
    }
    match case.roots().next() {
        Some(root) => Err(DependencyDown { name: root.relative.name.to_string() }),
        None => Ok(()),
    }
}

fn scale(case: &Case<'_>) -> Result<(), Contraindication> {
    let busy = [Symptom::CpuThrottled, Symptom::CpuHigh].into_iter().any(|symptom| case.is_ill_of(symptom));
    if !busy || !case.runs() {
        return Err(Contraindication::NotBusy);
    }
    if case.facts.compose.as_ref().is_none_or(|compose| compose.number.is_none()) {
        return Err(Contraindication::NoService);
    }
    Ok(())
}

fn cleanup(case: &Case<'_>) -> Result<(), Contraindication> {
    if case.is_disk_full() { Ok(()) } else { Err(Contraindication::DiskNotFull) }
}

impl Case<'_> {
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
        used_up && self.is_down() && self.ended_at_start()
    }

    /// Whether it needs more memory to begin than it is given.
    pub(super) fn is_too_big_to_start(&self) -> bool {
        (!self.runs() || self.is_ill_of(Symptom::RestartLoop)) && self.killed_at_start() >= KILLED_AT_START
    }

    /// Whether a disk that it needs is full.
    ///
    /// That it printed so is believed only where nothing else has measured the disk.
    pub(super) fn is_disk_full(&self) -> bool {
        let measured = self.examined_now().and_then(|examined| examined.disk);
        let full = measured.map(|disk| disk.get() >= DISK_FULL);
        self.is_ill_of(Symptom::DiskFilling) || full.unwrap_or_else(|| self.clue_of(Trouble::DiskFull).is_some())
    }

    /// Whether its health check fails because it cannot be run at all.
    pub(super) fn has_broken_check(&self) -> bool {
        let checks = self.failing_checks();
        !checks.is_empty()
            && checks.iter().all(|check| {
                let said = check.output.to_lowercase();
                let absent =
                    ["executable file not found", "not found", "no such file or directory", "exec format error"];
                matches!(check.code, 126 | 127) || (check.code == -1 && absent.iter().any(|words| said.contains(words)))
            })
    }
}
