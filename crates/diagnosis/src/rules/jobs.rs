//! Rules that recognise a job, an operator or an intrusion behind figures that look like an illness.

use hemostat_schema::observation::Symptom::{Flapping, MemoryHigh, MemoryLeak, PidsHigh, Unhealthy};

use super::finding::{Finding, sick, unclear};
use crate::{case::Case, jobs::EXPLAINED_BY_A_JOB, phrases, plain_text::plain};

/// How many characters of a process's command line are quoted.
const QUOTED: usize = 80;

/// Applies when a process looks like a miner or runs from a place where only an intruder would put it. Cause: an
/// intrusion. No remedy, because a restart leaves the way in open and destroys evidence.
pub(super) fn intruded(case: &Case<'_>) -> Option<Finding> {
    let process = case.intruder_process()?;
    let used = process.cpu;
    let root_cause = format!(
        "an intruder seems to be in it: it runs “{}”, which has used {used} of CPU time",
        plain(&process.command, QUOTED)
    );
    let why = "a restart or a cleanup does not close the way in, and destroys evidence: stop the container, keep it, find \
               out how the intruder got in, and change the passwords and keys that it knew";
    Some(sick(None, 0.85, root_cause, why).citing(["processes"]))
}

/// Applies when a job that ends by itself runs in the container (backup, restore, migration, build), its output shows
/// progress, or an operator has a shell or a debugger in it. Cause: that work. Unclear, because a restart would
/// interrupt it.
pub(super) fn at_work(case: &Case<'_>) -> Option<Finding> {
    let tolerable =
        |symptom| EXPLAINED_BY_A_JOB.contains(&symptom) || [Unhealthy, Flapping, MemoryLeak].contains(&symptom);
    if !case.is_running() || !case.serious_symptoms().all(tolerable) || case.has_no_disk_space() {
        return None;
    }
    let symptoms = phrases::symptoms(case.active_symptoms.keys());
    let process = match case.is_explained_by_a_job() {
        true => case.running_job().map(|(_, process)| process),
        false => case.data_job(),
    };
    if let Some(process) = process {
        let root_cause = format!("it has symptoms ({symptoms}) while “{}” runs in it", plain(&process.command, QUOTED));
        let why = "such a job ends by itself; interrupted, its work is lost or half done: HemoStat lets it end first";
        return Some(unclear(0.65, root_cause, why).citing(["processes", "samples"]));
    }
    if case.has_only(&[PidsHigh]) && case.is_explained_by_a_job() {
        let root_cause = format!("it has symptoms ({symptoms}), and its output shows progress");
        let why = "it may need that many processes for its work, which a restart would interrupt";
        return Some(unclear(0.65, root_cause, why).citing(["processes", "samples"]));
    }
    if let Some(leak) = case.leak().filter(|leak| !leak.is_near())
        && case.has_only(&[MemoryLeak])
        && case.makes_progress()
    {
        let root_cause = format!("its memory grows ({symptoms}), and its output shows progress");
        let why = "it may keep its data in memory until the work is done; its limit is far, so there is time";
        return Some(unclear(0.6, root_cause, why).citing(["samples"]).recheck_after(leak.near_in()));
    }
    if case.has_operator_session() {
        let root_cause = format!("it has symptoms ({symptoms}), and somebody has a shell or a debugger in it");
        let why = "the operator at work in it knows of it and may be the cause; a restart would end the session";
        return Some(unclear(0.6, root_cause, why).citing(["processes"]));
    }
    None
}

/// Applies when the same symptoms passed without a remedy the last time (twice, for a critical symptom or a filling
/// disk). Cause: as before. Unclear, because it probably passes again.
pub(super) fn as_before(case: &Case<'_>) -> Option<Finding> {
    if !case.passed_by_itself_before() || case.has_no_disk_space() {
        return None;
    }
    let root_cause = format!("it has the same symptoms ({}) as before", phrases::symptoms(case.active_symptoms.keys()));
    let why = "they passed by themselves the last time, and nothing says that it is worse now";
    Some(unclear(0.6, root_cause, why).citing(["past", "samples"]))
}

/// Applies when memory is high or grows but is page cache, or below the limit that the program sets itself (`-Xmx`,
/// `maxmemory`). Cause: a cache. Unclear, because the kernel or the program limits it.
pub(super) fn not_its_own(case: &Case<'_>) -> Option<Finding> {
    if !case.has_only(&[MemoryHigh, MemoryLeak]) || !case.is_cache_or_within_own_limit() {
        return None;
    }
    let symptoms = phrases::symptoms(case.active_symptoms.keys());
    let (root_cause, why) = match case.own_memory_limit() {
        Some(own) if !case.is_page_cache() => (
            format!("its memory fills ({symptoms}), and its program limits itself to {own}"),
            "that is below its memory limit, so it stops growing by itself: a restart would only empty its cache",
        ),
        _ => (
            format!("most of its memory ({symptoms}) belongs to none of its processes, and nothing waits for memory"),
            "it is page cache, which the kernel gives back when memory is needed",
        ),
    };
    Some(unclear(0.65, root_cause, why).citing(["processes", "samples"]))
}
