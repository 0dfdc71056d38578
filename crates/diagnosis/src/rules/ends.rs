//! Rules about runs that ended.

use hemostat_schema::{
    action::Remedy,
    container::{Exit, ExitBy, Facts},
    observation::{Evidence, Symptom, Trend},
};

use super::{Finding, sick};
use crate::{Case, Clue, clues::Trouble, words};

/// Memory that has risen by so many points was growing.
const GREW: f64 = 5.0;

/// How it ended, and what it said about that.
fn ended(exit: &Exit, clue: Option<Clue<'_>>) -> String {
    let said = clue.map_or(String::new(), |clue| format!(": {}", clue.told()));
    format!("it ended with {}{said}", words::code(exit.code))
}

pub(super) fn bad_command(case: &Case<'_>) -> Option<Finding> {
    let exit = case.last_end().filter(|_| case.has_bad_command())?;
    let clue = case.clue().filter(|clue| matches!(clue.trouble, Trouble::Unrunnable | Trouble::Missing));
    let why = format!("to start it again would end the same way: {}", Trouble::Unrunnable.advice());
    Some(sick(None, 0.95, ended(&exit, clue), why).citing(["exit"]).by(clue))
}

fn memory_limit(facts: &Facts) -> String {
    match facts.limits.memory {
        Some(limit) => format!("its limit is {limit}"),
        None => "it has no limit of its own, so the host was short of it".to_owned(),
    }
}

pub(super) fn oom_at_start(case: &Case<'_>) -> Option<Finding> {
    let limit = memory_limit(case.facts);
    let times = case.killed_at_start();
    let root_cause = format!("the kernel kills it for want of memory when its run has hardly begun ({limit})");
    let why =
        format!("seen {times} times: it needs more than that to begin, so raise its memory limit; no start helps");
    case.is_too_big_to_start().then(|| sick(None, 0.9, root_cause, why).citing(["exit", "changes"]))
}

pub(super) fn out_of_memory(case: &Case<'_>) -> Option<Finding> {
    let exit = case.end(ExitBy::Oom)?;
    let root_cause = format!("the kernel killed it for want of memory ({})", memory_limit(case.facts));
    let down = words::stays_down(case.facts, &exit);
    let grew = case.standing.contains_key(&Symptom::MemoryLeak)
        || case.trend(|vitals| vitals.memory.get(), GREW) == Trend::Rising;
    let finding = match (grew, case.facts.limits.memory) {
        (true, Some(_)) => {
            let why = format!("{down}; its memory had been growing, so find out what it keeps, or raise its limit");
            sick(Remedy::Start, 0.9, format!("{root_cause}, which it had filled little by little"), why)
        }
        (true, None) => {
            let why = format!("{down}; its memory had been growing, so give it a limit of its own");
            sick(Remedy::Start, 0.9, root_cause, why)
        }
        (false, _) => sick(Remedy::Start, 0.9, root_cause, down),
    };
    Some(finding.citing(["exit", "samples"]))
}

pub(super) fn misconfigured(case: &Case<'_>) -> Option<Finding> {
    let exit = case.last_end().filter(|exit| exit.by == ExitBy::Crash)?;
    let clue = case.clue().filter(|clue| clue.trouble.stays())?;
    if !case.ended_at_start() && case.same_ends(exit.code) == 0 {
        return None;
    }
    let again = if case.is_down() { "to start it again would end the same way" } else { "Docker restarts it in vain" };
    let why = format!("{again}: {}", clue.trouble.advice());
    Some(sick(None, 0.85, ended(&exit, Some(clue)), why).citing(["exit"]).by(Some(clue)))
}

pub(super) fn same_end(case: &Case<'_>) -> Option<Finding> {
    let exit = case.end(ExitBy::Crash)?;
    let times = case.same_ends(exit.code);
    let clue = case.clue();
    // What may be over by the next start is tried for as long as attempts are made at all.
    if clue.is_some_and(|clue| clue.trouble.passes()) {
        return None;
    }
    let tried = times > 0 && times >= usize::try_from(case.max_retries).unwrap_or(usize::MAX);
    let root_cause = match (tried, case.is_exhausted()) {
        (true, _) => format!("{}, as it did after each of the last {times} starts", ended(&exit, clue)),
        (false, true) => {
            format!(
                "{}, at its start, and so after each of Docker's {} restarts",
                ended(&exit, clue),
                case.facts.restarts
            )
        }
        (false, false) => return None,
    };
    let why = "one more start would end the same way: it needs a person";
    Some(sick(None, 0.85, root_cause, why).citing(["exit", "tried"]).by(clue))
}

pub(super) fn cannot_reach(case: &Case<'_>) -> Option<Finding> {
    let exit = case.end(ExitBy::Crash)?;
    let clue = case.clue().filter(|clue| clue.trouble.passes())?;
    let down = words::stays_down(case.facts, &exit);
    let why = format!("{down}; what kept it from working may be over by the next start");
    Some(sick(Remedy::Start, 0.75, ended(&exit, Some(clue)), why).citing(["exit"]).by(Some(clue)))
}

pub(super) fn signalled(case: &Case<'_>) -> Option<Finding> {
    let exit = case.end(ExitBy::Crash).filter(|exit| (129..=192).contains(&exit.code))?;
    let down = words::stays_down(case.facts, &exit);
    let why = match exit.code {
        137 => format!("{down}; nobody killed it through Docker, and no want of memory was seen"),
        _ => down,
    };
    let clue = case.clue().filter(|clue| !clue.trouble.stays());
    Some(sick(Remedy::Start, 0.85, ended(&exit, clue), why).citing(["exit"]).by(clue))
}

pub(super) fn crashed(case: &Case<'_>) -> Option<Finding> {
    let exit = case.end(ExitBy::Crash)?;
    let clue = case.clue();
    let down = words::stays_down(case.facts, &exit);
    Some(sick(Remedy::Start, 0.9, ended(&exit, clue), down).citing(["exit"]).by(clue))
}

pub(super) fn restart_loop(case: &Case<'_>) -> Option<Finding> {
    let Evidence::Restarts { count, within, last } = &case.standing.get(&Symptom::RestartLoop)?.evidence else {
        return None;
    };
    let clue = case.clue();
    let last = case.facts.exit.or(*last);
    let how = last.map_or_else(String::new, |exit| match exit.by {
        ExitBy::Itself => "; it ends by itself, without an error".to_owned(),
        ExitBy::Oom => format!("; the kernel kills it for want of memory ({})", memory_limit(case.facts)),
        ExitBy::Crash | ExitBy::Operator | ExitBy::Unknown => {
            format!("; it last ended with {}", words::code(exit.code))
        }
    });
    let said = clue.map_or(String::new(), |clue| format!(": {}", clue.told()));
    let root_cause = format!("Docker restarted it {count} times within {within}{how}{said}");
    let already = "one more restart would not help, as Docker does that already";
    let why = match (last.map(|exit| exit.by), clue) {
        (Some(ExitBy::Itself), _) => {
            format!("{already}: what does its work and ends needs the restart policy on-failure, or none")
        }
        (Some(ExitBy::Oom), _) => format!("{already}: raise its memory limit, or find out what fills it"),
        (_, Some(clue)) => format!("{already}: {}", clue.trouble.advice()),
        (_, None) => format!("{already}: look at its log"),
    };
    Some(sick(None, 0.8, root_cause, why).citing(["exit"]).by(clue))
}
