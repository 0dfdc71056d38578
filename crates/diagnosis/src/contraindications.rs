//! Contraindications: remedies that would do harm in a case, whoever proposes them, a rule or a model.
//!
//! A remedy that is allowed here may still be useless. One that is ruled out here would do harm, hide the problem, or
//! repeat what Docker already does. Whether the policy permits a remedy, and whether it is due, is decided by the remedy
//! decider in `hemostat_core`.

use hemostat_schema::{
    action::Remedy,
    container::{ExitBy, Health, State},
    observation::{Symptom, Trend},
};

use crate::{case::Case, known_failure::KnownFailure, log_patterns::LogMatch};

/// Why a remedy would do harm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contraindication {
    /// No symptom needs a remedy.
    NoSymptom,
    /// An operator stopped or paused it: HemoStat respects that.
    OperatorStopped,
    /// Docker is removing it.
    Removing,
    /// A restart of a container that is down: start is the remedy for that.
    Down,
    /// A start of a container that is not down.
    NotDown,
    /// Docker is restarting it by its restart policy; a second restart would interfere.
    DockerRestarts,
    /// Its health check has no result yet: whether a restart is needed is unknown.
    Starting,
    /// It is loading or recovering its data: a restart would begin that again.
    StillStarting,
    /// It was asked to stop and finishes its work: a restart would interrupt that.
    ShuttingDown,
    /// Docker has used up the restarts of its policy, and each run ended at its start: another start would, too.
    RestartsUsedUp,
    /// Its program cannot be executed: every start ends the same way.
    BadCommand,
    /// The OOM killer killed it at its start repeatedly: only a higher limit helps.
    OutOfMemoryAtStart,
    /// A dependency is unhealthy or down: this container cannot work before it recovers.
    DependencyDown {
        /// The name of the dependency.
        name: String,
    },
    /// Its only problem is its CPU limit, which a restart does not change.
    OnlyThrottled,
    /// Its only problem is contention on the host, which a restart does not change.
    OnlyPressure,
    /// Its only problem is a flapping health check: it recovers by itself each time.
    OnlyFlapping,
    /// Its only problem is high usage that is falling, or is work that a restart would discard.
    OnlyAtWork,
    /// Its only problem is an unusual value, which needs no remedy.
    OnlyUnusual,
    /// Its memory is high but steady, and it is healthy: it would use as much again.
    MemoryIsSteady,
    /// It has many processes, but no more than before: it would start as many again.
    ProcessCountIsSteady,
    /// Its memory leaks, but its limit is far: there is time to find the cause.
    FarFromLimit,
    /// Its only problem is a killed child process, and it keeps running without it.
    OnlyChildKilled,
    /// The disk is full, and would be after a restart, too.
    DiskFull,
    /// Its health check cannot be executed, so nothing says that the container itself fails.
    BrokenCheck,
    /// Its health check asks for the wrong thing, so nothing says that the container itself fails.
    MisdirectedCheck,
    /// An intruder is in it: a restart does not close the way in, and destroys evidence.
    Intruded,
    /// A job on data runs in it, which a restart would leave half done.
    DataJob,
    /// An operator has a shell or a debugger in it, which a restart would end.
    OperatorSession,
    /// The same symptoms passed by themselves before.
    PassedBefore,
    /// Its only problem is memory that is page cache, or within the limit that its program sets itself.
    ReclaimableMemory,
    /// Its only problem was that it ended, and it runs again.
    RunsAgain,
    /// The backlog that its health check reports falls; a restart would throw it back.
    CatchingUp,
    /// It serves its clients, which a restart would cut off.
    ServesTraffic,
    /// It was restarted in this incident and has not been healthy since.
    RestartDidNotHelp,
    /// It is a one-off job whose next start would end the same way.
    OneOffJob,
    /// The cause is outside the container, and a restart does not change it.
    CauseIsElsewhere {
        /// The failure, as a clause.
        what: &'static str,
    },
    /// A cleanup without a full disk.
    DiskNotFull,
    /// A replica more without high CPU.
    NotBusy,
    /// It is not a service with replicas.
    NotScalable,
    /// Only an operator may stop a container or run a command in it.
    OnlyForOperators,
}

impl std::fmt::Display for Contraindication {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NoSymptom => "it has no symptom that needs a remedy",
            Self::OperatorStopped => "an operator stopped or paused it",
            Self::Removing => "Docker is removing it",
            Self::Down => "it is down, so there is nothing to restart",
            Self::NotDown => "it is not down, so there is nothing to start",
            Self::DockerRestarts => "Docker already restarts it, by its restart policy",
            Self::Starting => "its health check has no result yet",
            Self::StillStarting => "it is still starting, and a restart would start that again",
            Self::ShuttingDown => "it was asked to stop and finishes its work",
            Self::RestartsUsedUp => "Docker has used up the restarts of its policy, and each run ended at its start",
            Self::BadCommand => "its program cannot be executed",
            Self::OutOfMemoryAtStart => "it runs out of memory at its start, again and again",
            Self::DependencyDown { name } => return write!(f, "it depends on {name}, which is unhealthy or down"),
            Self::OnlyThrottled => "its CPU limit throttles it, and would after a restart, too",
            Self::OnlyPressure => "it waits for resources that others use, and would after a restart, too",
            Self::OnlyFlapping => "it recovers by itself each time",
            Self::OnlyAtWork => "its high usage is falling, or is work that a restart would discard",
            Self::OnlyUnusual => "an unusual value alone is no problem",
            Self::MemoryIsSteady => "it is healthy, and would use as much memory again",
            Self::ProcessCountIsSteady => "it would start as many processes again",
            Self::FarFromLimit => "its memory limit is far, and there is time to find out what it keeps",
            Self::OnlyChildKilled => "it keeps running without the process that was killed",
            Self::DiskFull => "the disk would still be full",
            Self::BrokenCheck => "its health check cannot be run, so nothing says that the container itself fails",
            Self::MisdirectedCheck => "its health check asks for the wrong thing",
            Self::Intruded => "an intruder seems to be in it, and evidence would be lost",
            Self::DataJob => "a job on data runs in it, and would be left half done",
            Self::OperatorSession => "an operator has a shell or a debugger in it",
            Self::PassedBefore => "the same symptoms passed by themselves before",
            Self::ReclaimableMemory => "that memory is page cache, or within the limit that its program sets itself",
            Self::RunsAgain => "it is running again",
            Self::CatchingUp => "it is catching up, and a restart would throw it back",
            Self::ServesTraffic => "it serves its clients, which a restart would cut off",
            Self::RestartDidNotHelp => "a restart did not help, and it has not been healthy since",
            Self::OneOffJob => "it is a one-off job, and another start would end the same way",
            Self::CauseIsElsewhere { what } => return write!(f, "a restart would not change that {what}"),
            Self::DiskNotFull => "no disk is full",
            Self::NotBusy => "it is not short of CPU",
            Self::NotScalable => "it is not a service with replicas",
            Self::OnlyForOperators => "only an operator may do that",
        })
    }
}

/// Whether `remedy` is safe in this case.
///
/// # Errors
/// The first contraindication.
pub fn safe(case: &Case<'_>, remedy: &Remedy) -> Result<(), Contraindication> {
    use Contraindication::{NoSymptom, OnlyForOperators, OperatorStopped, Removing};
    if case.serious_symptoms().next().is_none() {
        return Err(NoSymptom);
    }
    let by_operator = case.is_down() && case.facts.exit.is_some_and(|exit| exit.by == ExitBy::Operator);
    if case.operator_halt.is_some() || case.facts.state == State::Paused || by_operator {
        return Err(OperatorStopped);
    }
    if matches!(case.facts.state, State::Removing | State::Dead) {
        return Err(Removing);
    }
    if case.intruder_process().is_some() {
        return Err(Contraindication::Intruded);
    }
    match remedy {
        Remedy::Restart => against_restart(case).and_then(|()| against_new_run(case)),
        Remedy::Start => against_start(case).and_then(|()| against_new_run(case)),
        Remedy::Scale => against_scale(case),
        Remedy::Cleanup => against_cleanup(case),
        Remedy::Stop | Remedy::Exec { .. } => Err(OnlyForOperators),
    }
}

/// Contraindications to a restart, apart from those to a new run.
fn against_restart(case: &Case<'_>) -> Result<(), Contraindication> {
    use Contraindication::{
        DataJob, DockerRestarts, Down, OperatorSession, RestartDidNotHelp, RunsAgain, ShuttingDown, Starting,
        StillStarting,
    };
    match case.facts.state {
        State::Restarting => return Err(DockerRestarts),
        State::Created | State::Exited => return Err(Down),
        State::Running | State::Paused | State::Removing | State::Dead => {}
    }
    if case.has_symptom(Symptom::RestartLoop) {
        return Err(DockerRestarts);
    }
    if case.is_starting() {
        return Err(Starting);
    }
    if case.startup_time_left().is_some() {
        let shutting_down = case.not_ready_message().is_some_and(|found| found.failure == KnownFailure::ShuttingDown);
        return Err(if shutting_down { ShuttingDown } else { StillStarting });
    }
    if case.data_job().is_some() {
        return Err(DataJob);
    }
    if case.has_operator_session() {
        return Err(OperatorSession);
    }
    if case.restart_did_not_help() {
        return Err(RestartDidNotHelp);
    }
    if case.has_only(&[Symptom::Exited, Symptom::OomKilled]) {
        return Err(RunsAgain);
    }
    against_restart_for_resources(case).and_then(|()| against_restart_for_health_check(case))
}

/// Contraindications to a restart from its resource usage.
fn against_restart_for_resources(case: &Case<'_>) -> Result<(), Contraindication> {
    use Contraindication::{
        FarFromLimit, MemoryIsSteady, OnlyAtWork, OnlyChildKilled, OnlyPressure, OnlyThrottled, OnlyUnusual,
        PassedBefore, ProcessCountIsSteady, ReclaimableMemory,
    };
    use Symptom::{
        BlockUnusual, CpuHigh, CpuThrottled, CpuUnusual, Flapping, MemoryHigh, MemoryLeak, MemoryUnusual,
        NetworkUnusual, OomChild, PidsHigh, Pressure, Unhealthy,
    };
    let fails = case.facts.health == Health::Unhealthy;
    // A throttled container uses all the CPU that it gets, and answers its check late.
    let explained = [CpuThrottled, CpuHigh, Pressure, Flapping, Unhealthy];
    let throttled = case.has_symptom(CpuThrottled) && case.has_only(&explained);
    if throttled && (!case.has_symptom(Unhealthy) || case.patience_left().is_some() || case.served_while_failing()) {
        return Err(OnlyThrottled);
    }
    let many = case.zombie_processes() == 0 && matches!(case.pids_trend(), Trend::Steady | Trend::Falling);
    let far = case.leak().is_some_and(|leak| !leak.is_near());
    let only = |symptoms: &[Symptom]| !fails && case.has_only(symptoms);
    match () {
        () if case.has_only(&[Pressure]) => Err(OnlyPressure),
        () if case.has_only(&[OomChild]) => Err(OnlyChildKilled),
        () if only(&[CpuUnusual, MemoryUnusual, NetworkUnusual, BlockUnusual]) => Err(OnlyUnusual),
        () if only(&[MemoryHigh]) && case.holds_memory_steadily() => Err(MemoryIsSteady),
        () if only(&[PidsHigh]) && many => Err(ProcessCountIsSteady),
        () if only(&[MemoryLeak]) && far => Err(FarFromLimit),
        () if only(&[MemoryHigh, MemoryLeak]) && case.is_cache_or_within_own_limit() => Err(ReclaimableMemory),
        () if case.passed_by_itself_before() => Err(PassedBefore),
        () if case.is_only_easing() || case.is_explained_by_a_job() => Err(OnlyAtWork),
        () => Ok(()),
    }
}

/// Contraindications to a restart from its health check.
fn against_restart_for_health_check(case: &Case<'_>) -> Result<(), Contraindication> {
    use Contraindication::{BrokenCheck, CatchingUp, CauseIsElsewhere, MisdirectedCheck, OnlyFlapping, ServesTraffic};
    if !case.has_only(&[Symptom::Unhealthy, Symptom::Flapping]) {
        return Ok(());
    }
    if case.has_symptom(Symptom::Flapping) && !case.hangs_as_before() {
        return Err(OnlyFlapping);
    }
    if case.has_broken_check() {
        return Err(BrokenCheck);
    }
    if case.has_misdirected_check() {
        return Err(MisdirectedCheck);
    }
    if case.is_catching_up() {
        return Err(CatchingUp);
    }
    if case.serves_others() && case.recovered_dependency().is_none() {
        return Err(ServesTraffic);
    }
    // After an unreachable service has recovered, a restart may help, because connections are stale; but not if the check
    // reports the state of each component, or the log reports the failure now.
    let fails_now = case.reports_unhealthy_dependency() || case.reports_unreachable_now();
    let persists =
        |found: &LogMatch<'_>| found.failure.needs_a_person() || found.failure == KnownFailure::Locked || fails_now;
    match case.external_failure().filter(persists) {
        Some(found) if found.failure.needs_a_person() || case.recovered_dependency().is_none() => {
            Err(CauseIsElsewhere { what: found.failure.description() })
        }
        Some(_) | None => Ok(()),
    }
}

/// Contraindications to a start, apart from those to a new run.
fn against_start(case: &Case<'_>) -> Result<(), Contraindication> {
    match case.facts.state {
        State::Restarting => Err(Contraindication::DockerRestarts),
        State::Running | State::Paused => Err(Contraindication::NotDown),
        State::Created | State::Exited | State::Dead | State::Removing => match () {
            () if case.has_used_up_restarts() => Err(Contraindication::RestartsUsedUp),
            () if case.is_failed_one_off_job() => Err(Contraindication::OneOffJob),
            () if case.failed_attempts(Remedy::Start) > 0 => {
                match case.output_match().filter(|found| found.failure.needs_a_person()) {
                    Some(found) => Err(Contraindication::CauseIsElsewhere { what: found.failure.description() }),
                    None => Ok(()),
                }
            }
            () => Ok(()),
        },
    }
}

/// Contraindications to a new run, by restart or start.
fn against_new_run(case: &Case<'_>) -> Result<(), Contraindication> {
    use Contraindication::{BadCommand, DependencyDown, DiskFull, OutOfMemoryAtStart};
    if case.has_bad_command() {
        return Err(BadCommand);
    }
    if case.needs_more_memory_to_start() {
        return Err(OutOfMemoryAtStart);
    }
    if case.is_disk_full() {
        return Err(DiskFull);
    }
    // A restart frees the resources that it uses too much of, whatever its dependencies do.
    match case.unhealthy_dependencies().next().filter(|_| !case.has_resource_symptom()) {
        Some(root) => Err(DependencyDown { name: root.relative.name.to_string() }),
        None => Ok(()),
    }
}

/// Contraindications to a replica more.
fn against_scale(case: &Case<'_>) -> Result<(), Contraindication> {
    let busy = [Symptom::CpuThrottled, Symptom::CpuHigh].into_iter().any(|symptom| case.has_symptom(symptom));
    if !busy || !case.is_running() {
        return Err(Contraindication::NotBusy);
    }
    if case.facts.compose.as_ref().is_none_or(|compose| compose.number.is_none()) {
        return Err(Contraindication::NotScalable);
    }
    Ok(())
}

/// Contraindications to a cleanup.
fn against_cleanup(case: &Case<'_>) -> Result<(), Contraindication> {
    match () {
        () if !case.is_disk_full() => Err(Contraindication::DiskNotFull),
        () if case.has_no_disk_space() => Ok(()),
        // A disk that is only filling may be in use by a job.
        () if case.passed_by_itself_before() => Err(Contraindication::PassedBefore),
        () if case.is_explained_by_a_job() => Err(Contraindication::OnlyAtWork),
        () => Ok(()),
    }
}
