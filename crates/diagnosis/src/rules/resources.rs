//! Rules about CPU, memory, disk and processes.

use hemostat_schema::{
    Span,
    action::Remedy,
    container::Health,
    examination::Relation,
    observation::{Evidence, Resource, Symptom, Trend},
};

use super::finding::{Finding, sick, unclear};
use crate::{
    case::{Case, UsageLevel},
    contraindications::safe,
    growth::{CRITICAL, STUCK},
    health_checks::PATIENCE,
    known_failure::KnownFailure,
    phrases,
    plain_text::plain,
};

/// How long memory must be steady before its level counts as normal.
const NORMAL_AFTER: Span = Span::from_secs(24 * 3600);

/// Applies when a disk that the container needs is full or fills. Cause: what it writes. Cleanup, because a restart frees
/// no space.
pub(super) fn disk_full(case: &Case<'_>) -> Option<Finding> {
    if !case.is_disk_full() {
        return None;
    }
    let active = case.active_symptoms.get(&Symptom::DiskFilling).map(|active| &active.evidence);
    let found = case.match_of(KnownFailure::DiskFull);
    let measured = case.current_examination().and_then(|examined| examined.disk);
    let (root_cause, confidence) = match (active, measured, found) {
        (Some(Evidence::Disk { path, value, threshold: _, writable, per_hour }), ..) => {
            (format!("the disk at {path} is {value} full; it uses {writable} there and adds {per_hour} an hour"), 0.8)
        }
        (_, Some(disk), _) => (format!("its disk is {disk} full"), 0.8),
        (_, None, Some(found)) => (found.description(), 0.7),
        (_, None, None) => ("it fills the disk with what it writes".to_owned(), 0.75),
    };
    let why =
        "a restart frees no space; a cleanup removes what nothing uses, and what the container writes needs a look";
    Some(sick(Remedy::Cleanup, confidence, root_cause, why).citing(["disk"]).citing_match(found))
}

/// Applies when Docker throttles the container's CPU, unless its memory grows or its health check has failed for five
/// minutes. Cause: the CPU limit. Scale if replicas exist, else no remedy, because a restart does not change the limit.
pub(super) fn throttled(case: &Case<'_>) -> Option<Finding> {
    let active = case.current_symptom(Symptom::CpuThrottled)?;
    // Other rules handle memory problems, and a container that has not answered for long.
    let worse = [Symptom::MemoryHigh, Symptom::MemoryLeak].into_iter().any(|symptom| case.has_symptom(symptom));
    let unresponsive = case.has_symptom(Symptom::Unhealthy) && case.patience_left().is_none();
    if worse || unresponsive {
        return None;
    }
    let share = match &active.evidence {
        Evidence::Level { value, .. } | Evidence::Stalled { value, .. } => format!("for {value} of the time"),
        _ => "too often".to_owned(),
    };
    let root_cause = format!("{} throttles it {share}", case.limit_text(Symptom::CpuHigh));
    let replicas = case.current_examination().map_or(&[][..], |examined| &examined.relatives);
    let scales = replicas.iter().any(|other| other.relation == Relation::Replica) && safe(case, &Remedy::Scale).is_ok();
    let why =
        "it needs more CPU than its limit allows, which a restart does not change: raise the limit, or add replicas";
    let finding = sick(scales.then_some(Remedy::Scale), 0.8, root_cause, why).citing(["samples"]);
    Some(if case.has_symptom(Symptom::Unhealthy) { finding.recheck_after(PATIENCE) } else { finding })
}

/// Applies when CPU or memory was above 95 % for the whole window and still is. Cause: it is at its limit. Restart, because
/// it has no room left to work.
pub(super) fn at_the_limit(case: &Case<'_>) -> Option<Finding> {
    let level =
        case.levels().filter(|level| !case.is_explained_by_work(level.symptom)).find(UsageLevel::is_critical)?;
    let why = format!("it was above {CRITICAL} % for the whole window, so it has no room left to work");
    Some(sick(Remedy::Restart, 0.85, phrases::level(case, &level), why).citing(["samples"]))
}

/// Applies when memory grows linearly towards the limit. Cause: a memory leak. Restart when the limit is near, because
/// that is milder than an OOM kill; before that no remedy.
pub(super) fn memory_leak(case: &Case<'_>) -> Option<Finding> {
    let leak = case.leak()?;
    let left = leak.left;
    let root_cause = format!(
        "its memory grows by {} an hour: {} of {}, at its limit in {left}",
        leak.per_hour, leak.used, leak.limit
    );
    if leak.is_near() {
        let why = "memory that grows so steadily reaches the limit, and a restart now is milder than an OOM kill then";
        return Some(sick(Remedy::Restart, 0.8, root_cause, why).citing(["samples"]));
    }
    let over = leak.over;
    let why = format!(
        "it has grown like this for {over}; there is time to find out what it keeps, and HemoStat restarts it before the limit"
    );
    Some(sick(None, 0.75, root_cause, why).citing(["samples"]).recheck_after(leak.near_in()))
}

/// Applies when memory is above its threshold and rises. Cause: probably a leak. Restart, because it reaches the limit.
pub(super) fn memory_rising(case: &Case<'_>) -> Option<Finding> {
    let level = case.level(Symptom::MemoryHigh).filter(|level| level.trend == Trend::Rising)?;
    let why = "memory that keeps rising looks like a leak and reaches the limit";
    Some(sick(Remedy::Restart, 0.8, phrases::level(case, &level), why).citing(["samples"]))
}

/// Applies when CPU is above 90 %, does not fall and is not explained by work. Cause: probably a busy loop. Restart,
/// because a busy loop does not end by itself.
pub(super) fn cpu_stuck(case: &Case<'_>) -> Option<Finding> {
    let stuck = |level: &UsageLevel| {
        level.value.get() > STUCK && level.trend != Trend::Falling && !case.is_explained_by_work(level.symptom)
    };
    let level = case.level(Symptom::CpuHigh).filter(stuck)?;
    let why = format!("above {STUCK} % without a break it is more likely stuck than working");
    Some(sick(Remedy::Restart, 0.75, phrases::level(case, &level), why).citing(["samples", "processes"]))
}

/// Applies when memory is above its threshold and does not fall. Cause: it keeps its memory. Restart; but no remedy after
/// a healthy hour, and unclear after a healthy day, because then that is what it needs.
pub(super) fn memory_full(case: &Case<'_>) -> Option<Finding> {
    let level = case.level(Symptom::MemoryHigh).filter(|level| level.trend != Trend::Falling)?;
    if case.holds_memory_steadily() && case.symptom_age(Symptom::MemoryHigh) >= NORMAL_AFTER {
        let why = "it has used that much for more than a day and is healthy: it uses what it needs, and no more";
        return Some(unclear(0.7, phrases::level(case, &level), why).citing(["samples"]));
    }
    if case.holds_memory_steadily() {
        let why = "it has used that much for long and is healthy: that may be all that it needs, and its limit may be too low";
        return Some(sick(None, 0.7, phrases::level(case, &level), why).citing(["samples"]));
    }
    let why = "it has not freed memory for the whole window";
    Some(sick(Remedy::Restart, 0.75, phrases::level(case, &level), why).citing(["samples"]))
}

/// Applies when the number of processes is near its limit. Cause: what starts them, or zombies that no init reaps.
/// Restart if the number grows or there are zombies; otherwise no remedy, because it may need that many.
pub(super) fn pids_high(case: &Case<'_>) -> Option<Finding> {
    let active = case.current_symptom(Symptom::PidsHigh)?;
    let many = match &active.evidence {
        Evidence::Count { value, limit, held } => format!("{value} of {limit} processes and threads for {held}"),
        _ => "nearly the maximum number of processes and threads".to_owned(),
    };
    let (zombies, trend) = (case.zombie_processes(), case.pids_trend());
    let (suffix, advice) = match zombies {
        0 => (String::new(), "find out what starts them, or raise the limit"),
        _ => (", some of them zombies".to_owned(), "run it with an init process (docker run --init)"),
    };
    let root_cause = format!("it has {many}{suffix}");
    let finding = match (trend, zombies) {
        (Trend::Rising, _) | (_, 1..) => {
            let why = format!("the number grows, and at the limit it cannot start another process; {advice}");
            sick(Remedy::Restart, 0.75, root_cause, why)
        }
        (Trend::Unknown | Trend::Steady | Trend::Falling, 0) => {
            let why = format!("the number does not grow, so it may need that many: {advice}");
            sick(None, 0.7, root_cause, why)
        }
    };
    Some(finding.citing(["samples", "processes"]))
}

/// Applies when the OOM killer killed a child process and the container keeps running. Cause: the memory limit is too low
/// for its work. No remedy, because only a higher limit or less work helps.
pub(super) fn oom_child(case: &Case<'_>) -> Option<Finding> {
    let active = case.current_symptom(Symptom::OomChild)?;
    let many = match &active.evidence {
        Evidence::Killed { count: 1, .. } => "one of its processes".to_owned(),
        Evidence::Killed { count, within } => format!("{count} of its processes within {within}"),
        _ => "one of its processes".to_owned(),
    };
    let limit = case.facts.limits.memory.map_or("it has none".to_owned(), |limit| format!("it is {limit}"));
    let root_cause = format!("the kernel killed {many} because memory ran out, and the container keeps running");
    let why =
        format!("its work needs more memory than its limit ({limit}): raise the limit, or let it do less at a time");
    Some(sick(None, 0.8, root_cause, why).citing(["killed", "samples"]))
}

/// Applies when the container waits for CPU, memory or disk for much of its time. Cause: contention on the host. No remedy,
/// because a restart does not change it; unclear if it is healthy and waits for the disk.
pub(super) fn pressure(case: &Case<'_>) -> Option<Finding> {
    let active = case.current_symptom(Symptom::Pressure)?;
    let Evidence::Stalled { resource, value, threshold: _, held } = &active.evidence else { return None };
    let first = case.current_examination().and_then(|examined| examined.processes.first());
    let busiest =
        first.map_or(String::new(), |process| format!("; its busiest process is “{}”", plain(&process.command, 80)));
    let (what, advice) = match resource {
        Resource::Cpu => ("a CPU", "give it more CPU, or other containers of the host less"),
        Resource::Memory => ("memory", "raise its memory limit, or find out what else uses the host's memory"),
        Resource::Disk => ("a disk", "find out what keeps the disk busy"),
    };
    let root_cause = format!("it has waited {value} of the time for {what}, for {held}{busiest}");
    if *resource == Resource::Disk && case.facts.health == Health::Healthy && case.printed_without_errors() {
        let why = format!(
            "it is healthy and working, and its work may be what keeps the disk busy; if this continues: {advice}"
        );
        return Some(unclear(0.6, root_cause, why).citing(["samples", "checks"]));
    }
    let why = format!("other processes use what it waits for, which a restart does not change: {advice}");
    Some(sick(None, 0.7, root_cause, why).citing(["samples", "processes"]))
}
