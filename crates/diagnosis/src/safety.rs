//! Which remedies must not be carried out in a case, whatever anybody says: rule, model, or what a log told a model.
//!
//! These are contraindications, not opinions. A remedy that is allowed here may still be useless; one that is refused
//! here would do harm, hide what is wrong, or do what somebody else already does. Whether a remedy is permitted for
//! the container, and whether it is due, is `remedy`'s to say.

use hemostat_schema::{
    action::Remedy,
    container::{ExitBy, Health, State},
    observation::{Symptom, Trend},
};

use super::{Case, Clue, clues::Trouble};

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
    /// It was told to end, and finishes what it has begun.
    Leaving,
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
    /// All that is wrong is a high level that passes, or is work.
    OnlyAtWork,
    /// All that is wrong is that it is not as usual.
    OnlyUnusual,
    /// All that is wrong is that it holds much memory, has for long, and is well.
    OnlyFull,
    /// All that is wrong is that it has many processes, and has not ever more.
    OnlyMany,
    /// All that is wrong is that its memory grows, and its limit is far.
    FarFromLimit,
    /// All that is wrong is that a process of it was killed, and it has gone on.
    OnlyLostAChild,
    /// The disk is full, and it would be still.
    DiskFull,
    /// The health check itself cannot be run, so nothing says that it is ill.
    BrokenCheck,
    /// The health check asks for what is not there, elsewhere, or for what is past, so nothing says that it is ill.
    MisdirectedCheck,
    /// Somebody has broken into it: what is done by itself opens no eyes, shuts no door and may destroy the traces.
    Intruded,
    /// Somebody's work on data goes on in it, which would be left half done.
    Errand,
    /// Somebody is at a shell in it.
    Attended,
    /// What is wrong has passed by itself before, and is not worse now.
    PassesByItself,
    /// All that is wrong is memory that the kernel takes back, or that its program allows itself.
    NotItsMemory,
    /// All that was wrong is that it ended, and it runs again.
    RunsAgain,
    /// What its health check finds wrong is ever less.
    CatchesUp,
    /// It serves others, whom a restart would cut off.
    Serves,
    /// It has been restarted in this illness, and has not been well since.
    InVain,
    /// It is a job that is done once, and it would end as it did.
    Spent,
    /// What is wrong is not in this container, and would be so after a restart.
    Elsewhere {
        /// What.
        what: &'static str,
    },
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
            Self::Leaving => "it was told to end, and finishes what it has begun",
            Self::Exhausted => "Docker has started it as often as its policy says, and it ended at once each time",
            Self::BadCommand => "its program cannot be run",
            Self::OutOfMemoryAtStart => "it was killed for want of memory at its start, again and again",
            Self::DependencyDown { name } => return write!(f, "it needs {name}, which is not well"),
            Self::OnlyThrottled => "its CPU limit holds it back, as it would after a restart",
            Self::OnlyPressure => "it waits for what others use, as it would after a restart",
            Self::OnlyFlapping => "it gets well each time by itself",
            Self::OnlyAtWork => "what is high passes by itself, or is work that would be lost",
            Self::OnlyUnusual => "to be unlike itself is no illness",
            Self::OnlyFull => "it is well, and would take as much memory again",
            Self::OnlyMany => "it would have as many processes again",
            Self::FarFromLimit => "its memory limit is far, and there is time to find out what it keeps",
            Self::OnlyLostAChild => "it has gone on without the process that was killed",
            Self::DiskFull => "the disk would still be full",
            Self::BrokenCheck => "its health check cannot be run, so nothing says that it is ill",
            Self::MisdirectedCheck => "its health check asks for the wrong thing",
            Self::Intruded => "somebody has broken into it, and what shows how would be lost",
            Self::Errand => "somebody's work on data goes on in it, and would be left half done",
            Self::Attended => "somebody is at a shell in it",
            Self::PassesByItself => "it has passed by itself before",
            Self::NotItsMemory => "that memory is the kernel's to take back, or within what its program allows itself",
            Self::RunsAgain => "it runs again",
            Self::CatchesUp => "what its health check finds wrong is ever less",
            Self::Serves => "it serves others, whom that would cut off",
            Self::InVain => "it has been restarted already, and has not been well since",
            Self::Spent => "it is a job that is done once, and would end as it did",
            Self::Elsewhere { what } => return write!(f, "a restart would not change that {what}"),
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
    if case.intruder().is_some() {
        return Err(Contraindication::Intruded);
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
    use Contraindication::{Attended, DockerRestarts, Down, Errand, InVain, Leaving, RunsAgain, Starting, StillBegins};
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
        let leaves = case.says_not_ready().is_some_and(|clue| clue.trouble == Trouble::Leaving);
        return Err(if leaves { Leaving } else { StillBegins });
    }
    if case.data_errand().is_some() {
        return Err(Errand);
    }
    if case.is_attended() {
        return Err(Attended);
    }
    if case.restarts_in_vain() {
        return Err(InVain);
    }
    if case.is_only_ill_of(&[Symptom::Exited, Symptom::OomKilled]) {
        return Err(RunsAgain);
    }
    level(case).and_then(|()| check(case))
}

/// What stands against a restart because of what it uses, or must wait for.
fn level(case: &Case<'_>) -> Result<(), Contraindication> {
    use Contraindication::{
        FarFromLimit, NotItsMemory, OnlyAtWork, OnlyFull, OnlyLostAChild, OnlyMany, OnlyPressure, OnlyThrottled,
        OnlyUnusual, PassesByItself,
    };
    use Symptom::{
        BlockUnusual, CpuHigh, CpuThrottled, CpuUnusual, Flapping, MemoryHigh, MemoryLeak, MemoryUnusual,
        NetworkUnusual, OomChild, PidsHigh, Pressure, Unhealthy,
    };
    let fails = case.facts.health == Health::Unhealthy;
    // A container that its limit holds back uses all the CPU that it is given, and answers its check late.
    let explained = [CpuThrottled, CpuHigh, Pressure, Flapping, Unhealthy];
    let held_back = case.is_ill_of(CpuThrottled) && case.is_only_ill_of(&explained);
    if held_back && (!case.is_ill_of(Unhealthy) || case.patience().is_some() || case.serves()) {
        return Err(OnlyThrottled);
    }
    let many = case.dead_processes() == 0 && matches!(case.pids_trend(), Trend::Steady | Trend::Falling);
    let far = case.leak().is_some_and(|leak| !leak.is_near());
    let only = |symptoms: &[Symptom]| !fails && case.is_only_ill_of(symptoms);
    match () {
        () if case.is_only_ill_of(&[Pressure]) => Err(OnlyPressure),
        () if case.is_only_ill_of(&[OomChild]) => Err(OnlyLostAChild),
        () if only(&[CpuUnusual, MemoryUnusual, NetworkUnusual, BlockUnusual]) => Err(OnlyUnusual),
        () if only(&[MemoryHigh]) && case.holds_its_memory() => Err(OnlyFull),
        () if only(&[PidsHigh]) && many => Err(OnlyMany),
        () if only(&[MemoryLeak]) && far => Err(FarFromLimit),
        () if only(&[MemoryHigh, MemoryLeak]) && case.is_not_its_own() => Err(NotItsMemory),
        () if case.passes_as_before() => Err(PassesByItself),
        () if case.only_eases() || case.is_errand() => Err(OnlyAtWork),
        () => Ok(()),
    }
}

/// What stands against a restart because of what its health check says, and says of others.
fn check(case: &Case<'_>) -> Result<(), Contraindication> {
    use Contraindication::{BrokenCheck, CatchesUp, Elsewhere, MisdirectedCheck, OnlyFlapping, Serves};
    if !case.is_only_ill_of(&[Symptom::Unhealthy, Symptom::Flapping]) {
        return Ok(());
    }
    if case.is_ill_of(Symptom::Flapping) && !case.hangs_again() {
        return Err(OnlyFlapping);
    }
    if case.has_broken_check() {
        return Err(BrokenCheck);
    }
    if case.has_misdirected_check() {
        return Err(MisdirectedCheck);
    }
    if case.catches_up() {
        return Err(CatchesUp);
    }
    if case.serves_others() && case.left_behind_by().is_none() {
        return Err(Serves);
    }
    // What it cannot reach may be well again, and what it held of it stale, unless its check says of each part how it is, or
    // it says so now; the others only people mend.
    let others = case.reports_others() || case.is_cut_off_now();
    let stays = |clue: &Clue<'_>| clue.trouble.stays() || clue.trouble == Trouble::Locked || others;
    match case.trouble_elsewhere().filter(stays) {
        Some(clue) if clue.trouble.stays() || case.left_behind_by().is_none() => {
            Err(Elsewhere { what: clue.trouble.told() })
        }
        Some(_) | None => Ok(()),
    }
}

/// What stands against starting it.
fn start(case: &Case<'_>) -> Result<(), Contraindication> {
    match case.facts.state {
        State::Restarting => Err(Contraindication::DockerRestarts),
        State::Running | State::Paused => Err(Contraindication::NotDown),
        State::Created | State::Exited | State::Dead | State::Removing => match () {
            () if case.is_exhausted() => Err(Contraindication::Exhausted),
            () if case.is_spent() => Err(Contraindication::Spent),
            () if case.in_vain(Remedy::Start) > 0 => match case.clue().filter(|clue| clue.trouble.stays()) {
                Some(clue) => Err(Contraindication::Elsewhere { what: clue.trouble.told() }),
                None => Ok(()),
            },
            () => Ok(()),
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
    // What it uses too much of it gives back whatever the others do.
    match case.roots().next().filter(|_| !case.is_ill_of_a_level()) {
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
    match () {
        () if !case.is_disk_full() => Err(Contraindication::DiskNotFull),
        () if case.has_no_room() => Ok(()),
        // What only fills may be what somebody is at work with.
        () if case.passes_as_before() => Err(Contraindication::PassesByItself),
        () if case.is_errand() => Err(Contraindication::OnlyAtWork),
        () => Ok(()),
    }
}
