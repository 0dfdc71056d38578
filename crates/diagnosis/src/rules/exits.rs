//! Rules about runs that ended.

use hemostat_schema::{
    action::Remedy,
    container::{Exit, ExitBy, Facts},
    observation::{Evidence, Symptom, Trend},
};

use super::finding::{Finding, sick};
use crate::{case::Case, known_failure::KnownFailure, log_patterns::LogMatch, phrases};

/// Percentage points by which memory must rise over the samples to count as growing.
const GREW: f64 = 5.0;

/// How the run ended, and the log line that explains it.
fn ended(exit: &Exit, found: Option<LogMatch<'_>>) -> String {
    let line = found.map_or(String::new(), |found| format!(": {}", found.description()));
    format!("it ended with {}{line}", phrases::code(exit.code))
}

/// Applies when the run ended at its start with exit code 126 or 127, or its log says that the program cannot be
/// executed. Cause: the command or the image is wrong. No remedy, because every start ends the same way.
pub(super) fn bad_command(case: &Case<'_>) -> Option<Finding> {
    let exit = case.last_exit().filter(|_| case.has_bad_command())?;
    let explains = |found: &LogMatch<'_>| matches!(found.failure, KnownFailure::CannotExecute | KnownFailure::Missing);
    let found = case.output_match().filter(explains);
    let why = format!("another start would end the same way: {}", KnownFailure::CannotExecute.advice());
    Some(sick(None, 0.95, ended(&exit, found), why).citing(["exit"]).citing_match(found))
}

fn memory_limit(facts: &Facts) -> String {
    match facts.limits.memory {
        Some(limit) => format!("its limit is {limit}"),
        None => "it has no limit of its own, so the host ran out of memory".to_owned(),
    }
}

/// Applies when the OOM killer killed the container at its start at least twice. Cause: the memory limit is too low to
/// start. No remedy, because only a higher limit helps.
pub(super) fn oom_at_start(case: &Case<'_>) -> Option<Finding> {
    let limit = memory_limit(case.facts);
    let times = case.oom_kills_at_start();
    let root_cause = format!("the kernel kills it at its start because it runs out of memory ({limit})");
    let why =
        format!("seen {times} times: it needs more memory to start, so raise its limit; another start does not help");
    case.needs_more_memory_to_start().then(|| sick(None, 0.9, root_cause, why).citing(["exit", "changes"]))
}

/// Applies when the OOM killer ended the run and the container is down. Cause: it ran out of memory. Start, because
/// Docker does not.
pub(super) fn out_of_memory(case: &Case<'_>) -> Option<Finding> {
    let exit = case.exit_by(ExitBy::Oom)?;
    let root_cause = format!("the kernel killed it because it ran out of memory ({})", memory_limit(case.facts));
    let down = phrases::stays_down(case.facts, &exit);
    let grew = case.active_symptoms.contains_key(&Symptom::MemoryLeak)
        || case.trend(|vitals| vitals.memory.get(), GREW) == Trend::Rising;
    let finding = match (grew, case.facts.limits.memory) {
        (true, Some(_)) => {
            let why = format!("{down}; its memory had been growing, so find out what it keeps, or raise its limit");
            sick(Remedy::Start, 0.9, format!("{root_cause}, which it had filled gradually"), why)
        }
        (true, None) => {
            let why = format!("{down}; its memory had been growing, so give it a limit of its own");
            sick(Remedy::Start, 0.9, root_cause, why)
        }
        (false, _) => sick(Remedy::Start, 0.9, root_cause, down),
    };
    Some(finding.citing(["exit", "samples"]))
}

/// Applies when the run crashed at its start, or crashed again with the same code, and its log names a failure that
/// persists across restarts. Cause: that failure (configuration, credentials, data, …). No remedy, because an operator
/// has to correct it.
pub(super) fn misconfigured(case: &Case<'_>) -> Option<Finding> {
    let exit = case.last_exit().filter(|exit| exit.by == ExitBy::Crash)?;
    let found = case.output_match().filter(|found| found.failure.needs_a_person())?;
    if !case.exited_at_start() && case.repeated_exits(exit.code) == 0 {
        return None;
    }
    let again =
        if case.is_down() { "another start would end the same way" } else { "Docker's restarts end the same way" };
    let why = format!("{again}: {}", found.failure.advice());
    Some(sick(None, 0.85, ended(&exit, Some(found)), why).citing(["exit"]).citing_match(Some(found)))
}

/// Applies when the container crashed with the same code after every attempt, or Docker has used up its restarts and
/// each run crashed at its start. Cause: the crash is reproducible. No remedy, because one more start would end the same
/// way.
pub(super) fn same_end(case: &Case<'_>) -> Option<Finding> {
    let exit = case.exit_by(ExitBy::Crash)?;
    let times = case.repeated_exits(exit.code);
    let found = case.output_match();
    // A failure that may pass is worth every attempt that the policy allows.
    if found.is_some_and(|found| found.failure.may_pass()) {
        return None;
    }
    let used_up = times > 0 && times >= usize::try_from(case.max_attempts).unwrap_or(usize::MAX);
    let root_cause = match (used_up, case.has_used_up_restarts()) {
        (true, _) => format!("{}, as it did after each of the last {times} starts", ended(&exit, found)),
        (false, true) => {
            format!(
                "{}, at its start, as it did after each of Docker's {} restarts",
                ended(&exit, found),
                case.facts.restarts
            )
        }
        (false, false) => return None,
    };
    let why = "one more start would end the same way: an operator has to look at it";
    Some(sick(None, 0.85, root_cause, why).citing(["exit", "tried"]).citing_match(found))
}

/// Applies when the container crashed and its log says that a service did not answer, a lock was held or data was still
/// loading. Cause: that service or lock. Start, because it may be available by then.
pub(super) fn cannot_reach(case: &Case<'_>) -> Option<Finding> {
    let exit = case.exit_by(ExitBy::Crash)?;
    let found = case.output_match().filter(|found| found.failure.may_pass())?;
    let down = phrases::stays_down(case.facts, &exit);
    let why = format!("{down}; the obstacle may be gone by the next start");
    Some(sick(Remedy::Start, 0.75, ended(&exit, Some(found)), why).citing(["exit"]).citing_match(Some(found)))
}

/// Applies when a signal ended the run (exit code 129 to 192) and the container is down. Cause: the signal. Start,
/// because Docker does not.
pub(super) fn signalled(case: &Case<'_>) -> Option<Finding> {
    let exit = case.exit_by(ExitBy::Crash).filter(|exit| (129..=192).contains(&exit.code))?;
    let down = phrases::stays_down(case.facts, &exit);
    let why = match exit.code {
        137 => format!("{down}; it was not killed through Docker, and no lack of memory was observed"),
        _ => down,
    };
    let found = case.output_match().filter(|found| !found.failure.needs_a_person());
    Some(sick(Remedy::Start, 0.85, ended(&exit, found), why).citing(["exit"]).citing_match(found))
}

/// Applies when the run ended with an error and the container is down. Cause: the crash, with the log line that explains
/// it. Start, because Docker does not.
pub(super) fn crashed(case: &Case<'_>) -> Option<Finding> {
    let exit = case.exit_by(ExitBy::Crash)?;
    let found = case.output_match();
    let down = phrases::stays_down(case.facts, &exit);
    Some(sick(Remedy::Start, 0.9, ended(&exit, found), down).citing(["exit"]).citing_match(found))
}

/// Applies when Docker restarts the container repeatedly. Cause: how its last run ended. No remedy, because Docker
/// already restarts it.
pub(super) fn restart_loop(case: &Case<'_>) -> Option<Finding> {
    let Evidence::Restarts { count, within, last } = &case.active_symptoms.get(&Symptom::RestartLoop)?.evidence else {
        return None;
    };
    let found = case.output_match();
    let last = case.facts.exit.or(*last);
    let how = last.map_or_else(String::new, |exit| match exit.by {
        ExitBy::Itself => "; it ends by itself, without an error".to_owned(),
        ExitBy::Oom => format!("; the kernel kills it because it runs out of memory ({})", memory_limit(case.facts)),
        ExitBy::Crash | ExitBy::Operator | ExitBy::Unknown => {
            format!("; it last ended with {}", phrases::code(exit.code))
        }
    });
    let line = found.map_or(String::new(), |found| format!(": {}", found.description()));
    let root_cause = format!("Docker restarted it {count} times within {within}{how}{line}");
    let already = "one more restart would not help, because Docker already restarts it";
    let why = match (last.map(|exit| exit.by), found) {
        (Some(ExitBy::Itself), _) => {
            format!("{already}: a container that does its work and ends needs the restart policy on-failure, or none")
        }
        (Some(ExitBy::Oom), _) => format!("{already}: raise its memory limit, or find out what fills it"),
        (_, Some(found)) => format!("{already}: {}", found.failure.advice()),
        (_, None) => format!("{already}: look at its log"),
    };
    Some(sick(None, 0.8, root_cause, why).citing(["exit"]).citing_match(found))
}
