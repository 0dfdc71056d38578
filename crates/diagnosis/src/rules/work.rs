//! Rules that see somebody's work, or somebody's hand, where a figure alone would say that it is ill.

use hemostat_schema::observation::Symptom::{Flapping, MemoryHigh, MemoryLeak, PidsHigh, Unhealthy};

use super::{Finding, sick, unclear};
use crate::{Case, opinion::plain, words, work::LEVELS};

/// Of the name of a process, so much is quoted.
const QUOTED: usize = 80;

pub(super) fn intruded(case: &Case<'_>) -> Option<Finding> {
    let process = case.intruder()?;
    let used = process.cpu;
    let root_cause = format!(
        "somebody seems to have broken into it: it runs “{}”, which has used {used} of CPU time",
        plain(&process.command, QUOTED)
    );
    let why = "neither a restart nor a clearing shuts the door by which they came, and either destroys traces: stop it, \
               keep it, find out what was open, and change what it knew of passwords and keys";
    Some(sick(None, 0.85, root_cause, why).citing(["processes"]))
}

pub(super) fn at_work(case: &Case<'_>) -> Option<Finding> {
    let bears_with = |ill| LEVELS.contains(&ill) || [Unhealthy, Flapping, MemoryLeak].contains(&ill);
    if !case.runs() || !case.ills().all(bears_with) || case.has_no_room() {
        return None;
    }
    let ill = words::symptoms(case.standing.keys());
    let process = match case.is_errand() {
        true => case.errand().map(|(_, process)| process),
        false => case.data_errand(),
    };
    if let Some(process) = process {
        let root_cause =
            format!("it is not as it should be ({ill}) while “{}” is at work", plain(&process.command, QUOTED));
        let why = "such work ends by itself, and broken off it is lost or leaves half of it: it is let end first";
        return Some(unclear(0.65, root_cause, why).citing(["processes", "samples"]));
    }
    if case.is_only_ill_of(&[PidsHigh]) && case.is_errand() {
        let root_cause = format!("it is not as it should be ({ill}), and its output shows that it gets on");
        let why = "it may need that many processes for its work, which a restart would break off";
        return Some(unclear(0.65, root_cause, why).citing(["processes", "samples"]));
    }
    if let Some(leak) = case.leak().filter(|leak| !leak.is_near())
        && case.is_only_ill_of(&[MemoryLeak])
        && case.gets_on()
    {
        let root_cause = format!("its memory grows ({ill}), and its output shows that it gets on");
        let why = "it may keep what it works on until that is done; there is time, as its limit is far";
        return Some(unclear(0.6, root_cause, why).citing(["samples"]).again(leak.near_in()));
    }
    if case.is_attended() {
        let root_cause = format!("it is not as it should be ({ill}), and somebody is at a shell in it");
        let why = "who works in it knows of it, and may be the reason; a restart would throw them out";
        return Some(unclear(0.6, root_cause, why).citing(["processes"]));
    }
    None
}

pub(super) fn as_before(case: &Case<'_>) -> Option<Finding> {
    if !case.passes_as_before() || case.has_no_room() {
        return None;
    }
    let root_cause =
        format!("it is not as it should be ({}), as it has been before", words::symptoms(case.standing.keys()));
    let why = "that passed by itself the last time, and nothing says that it is worse now";
    Some(unclear(0.6, root_cause, why).citing(["past", "samples"]))
}

pub(super) fn not_its_own(case: &Case<'_>) -> Option<Finding> {
    if !case.is_only_ill_of(&[MemoryHigh, MemoryLeak]) || !case.is_not_its_own() {
        return None;
    }
    let memory = words::symptoms(case.standing.keys());
    let (root_cause, why) = match case.own_allowance() {
        Some(own) if !case.is_page_cache() => (
            format!("its memory fills ({memory}), of which its program allows itself {own}"),
            "that is less than its limit, so it ends before: a restart would only empty what it keeps",
        ),
        _ => (
            format!("most of its memory ({memory}) is none of its processes', and nothing waits for memory"),
            "it is what the kernel keeps of files, and gives back when there is need of it",
        ),
    };
    Some(unclear(0.65, root_cause, why).citing(["processes", "samples"]))
}
