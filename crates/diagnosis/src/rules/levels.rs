//! Rules about what a container uses, and what it has to wait for.

use hemostat_schema::{
    Span,
    action::Remedy,
    container::Health,
    examination::Relation,
    observation::{Evidence, Resource, Symptom, Trend},
};

use super::{Finding, sick, unclear};
use crate::{
    Case,
    case::Level,
    checks::PATIENCE,
    clues::Trouble,
    growth::{CRITICAL, STUCK},
    safe, words,
};

/// Memory that has stood at one level for so long stays there.
const FOR_GOOD: Span = Span::from_secs(24 * 3600);

pub(super) fn disk_full(case: &Case<'_>) -> Option<Finding> {
    if !case.is_disk_full() {
        return None;
    }
    let standing = case.standing.get(&Symptom::DiskFilling).map(|standing| &standing.evidence);
    let clue = case.clue_of(Trouble::DiskFull);
    let measured = case.examined_now().and_then(|examined| examined.disk);
    let (root_cause, confidence) = match (standing, measured, clue) {
        (Some(Evidence::Disk { path, value, threshold: _, writable, per_hour }), ..) => {
            (format!("the disk at {path} is {value} full; it keeps {writable} there and adds {per_hour} an hour"), 0.8)
        }
        (_, Some(disk), _) => (format!("the disk that it is on is {disk} full"), 0.8),
        (_, None, Some(clue)) => (clue.told(), 0.7),
        (_, None, None) => ("what it writes fills the disk".to_owned(), 0.75),
    };
    let why = "a restart would not make room; what is rubbish can be cleared away, and what it writes needs a look";
    Some(sick(Remedy::Cleanup, confidence, root_cause, why).citing(["disk"]).by(clue))
}

pub(super) fn throttled(case: &Case<'_>) -> Option<Finding> {
    let standing = case.standing_now(Symptom::CpuThrottled)?;
    // What is worse than being slow, and what has not answered for long, is for other rules.
    let worse = [Symptom::MemoryHigh, Symptom::MemoryLeak].into_iter().any(|symptom| case.is_ill_of(symptom));
    let dead = case.is_ill_of(Symptom::Unhealthy) && case.patience().is_none();
    if worse || dead {
        return None;
    }
    let share = match &standing.evidence {
        Evidence::Level { value, .. } | Evidence::Stalled { value, .. } => format!("for {value} of the time"),
        _ => "too often".to_owned(),
    };
    let root_cause = format!("{} holds it back {share}", case.whole(Symptom::CpuHigh));
    let replicas = case.examined_now().map_or(&[][..], |examined| &examined.relatives);
    let scales = replicas.iter().any(|other| other.relation == Relation::Replica) && safe(case, &Remedy::Scale).is_ok();
    let why =
        "it has more to do than its limit lets it, which a restart does not change: raise the limit, or run more of it";
    let finding = sick(scales.then_some(Remedy::Scale), 0.8, root_cause, why).citing(["samples"]);
    Some(if case.is_ill_of(Symptom::Unhealthy) { finding.again(PATIENCE) } else { finding })
}

pub(super) fn at_the_limit(case: &Case<'_>) -> Option<Finding> {
    let level = case.levels().filter(|level| !case.is_work(level.symptom)).find(Level::is_critical)?;
    let why = format!("above {CRITICAL} % for its whole window it has no room left to work");
    Some(sick(Remedy::Restart, 0.85, words::level(case, &level), why).citing(["samples"]))
}

pub(super) fn memory_leak(case: &Case<'_>) -> Option<Finding> {
    let leak = case.leak()?;
    let left = leak.left;
    let root_cause =
        format!("its memory grows by {} an hour: {} of {}, full in {left}", leak.per_hour, leak.used, leak.limit);
    if leak.is_near() {
        let why = "what grows so steadily ends at the limit, and a restart now is milder than being killed then";
        return Some(sick(Remedy::Restart, 0.8, root_cause, why).citing(["samples"]));
    }
    let over = leak.over;
    let why = format!(
        "it has grown so for {over}; there is time to find out what it keeps, and it is restarted before the limit"
    );
    Some(sick(None, 0.75, root_cause, why).citing(["samples"]).again(leak.near_in()))
}

pub(super) fn memory_rising(case: &Case<'_>) -> Option<Finding> {
    let level = case.level(Symptom::MemoryHigh).filter(|level| level.trend == Trend::Rising)?;
    let why = "memory that keeps rising looks like a leak, and ends at the limit";
    Some(sick(Remedy::Restart, 0.8, words::level(case, &level), why).citing(["samples"]))
}

pub(super) fn cpu_stuck(case: &Case<'_>) -> Option<Finding> {
    let stuck =
        |level: &Level| level.value.get() > STUCK && level.trend != Trend::Falling && !case.is_work(level.symptom);
    let level = case.level(Symptom::CpuHigh).filter(stuck)?;
    let why = format!("above {STUCK} % without a break it is likelier to be stuck than at work");
    Some(sick(Remedy::Restart, 0.75, words::level(case, &level), why).citing(["samples", "processes"]))
}

pub(super) fn memory_full(case: &Case<'_>) -> Option<Finding> {
    let level = case.level(Symptom::MemoryHigh).filter(|level| level.trend != Trend::Falling)?;
    if case.holds_its_memory() && case.stood(Symptom::MemoryHigh) >= FOR_GOOD {
        let why = "it has held that for more than a day and is healthy: it takes what it needs, and no more";
        return Some(unclear(0.7, words::level(case, &level), why).citing(["samples"]));
    }
    if case.holds_its_memory() {
        let why = "it has held that for long and is healthy: that may be all that it takes; its limit may be too near";
        return Some(sick(None, 0.7, words::level(case, &level), why).citing(["samples"]));
    }
    let why = "it has not given memory back for its whole window";
    Some(sick(Remedy::Restart, 0.75, words::level(case, &level), why).citing(["samples"]))
}

pub(super) fn pids_high(case: &Case<'_>) -> Option<Finding> {
    let standing = case.standing_now(Symptom::PidsHigh)?;
    let many = match &standing.evidence {
        Evidence::Count { value, limit, held } => format!("{value} of {limit} processes and threads for {held}"),
        _ => "nearly as many processes and threads as it may".to_owned(),
    };
    let (dead, trend) = (case.dead_processes(), case.pids_trend());
    let (said, advice) = match dead {
        0 => (String::new(), "find out what starts them, or raise the limit"),
        _ => (
            ", many of them dead and not taken notice of".to_owned(),
            "run it with an init process (docker run --init)",
        ),
    };
    let root_cause = format!("it has {many}{said}");
    let finding = match (trend, dead) {
        (Trend::Rising, _) | (_, 1..) => {
            let why = format!("there are ever more, and at the limit it can begin nothing any more; {advice}");
            sick(Remedy::Restart, 0.75, root_cause, why)
        }
        (Trend::Unknown | Trend::Steady | Trend::Falling, 0) => {
            let why = format!("there are not ever more of them, so it may need that many: {advice}");
            sick(None, 0.7, root_cause, why)
        }
    };
    Some(finding.citing(["samples", "processes"]))
}

pub(super) fn oom_child(case: &Case<'_>) -> Option<Finding> {
    let standing = case.standing_now(Symptom::OomChild)?;
    let many = match &standing.evidence {
        Evidence::Killed { count: 1, .. } => "a process of it".to_owned(),
        Evidence::Killed { count, within } => format!("{count} of its processes within {within}"),
        _ => "a process of it".to_owned(),
    };
    let limit = case.facts.limits.memory.map_or("it has none".to_owned(), |limit| format!("it is {limit}"));
    let root_cause = format!("the kernel killed {many} for want of memory, and it goes on without");
    let why = format!("what it does needs more than its limit ({limit}): raise that, or have it do less at once");
    Some(sick(None, 0.8, root_cause, why).citing(["killed", "samples"]))
}

pub(super) fn pressure(case: &Case<'_>) -> Option<Finding> {
    let standing = case.standing_now(Symptom::Pressure)?;
    let Evidence::Stalled { resource, value, threshold: _, held } = &standing.evidence else { return None };
    let first = case.examined_now().and_then(|examined| examined.processes.first());
    let who = first.map_or(String::new(), |process| {
        format!("; its busiest process is “{}”", crate::opinion::plain(&process.command, 80))
    });
    let (what, advice) = match resource {
        Resource::Cpu => ("a CPU", "give it more CPU, or the others on the host less"),
        Resource::Memory => ("memory", "raise its memory limit, or find out who else takes the host's memory"),
        Resource::Disk => ("a disk", "find out who keeps the disk busy"),
    };
    let root_cause = format!("it has waited {value} of the time for {what}, for {held}{who}");
    if *resource == Resource::Disk && case.facts.health == Health::Healthy && case.speaks() {
        let why = format!("it is well and at work, which may be what keeps the disk busy; if it goes on: {advice}");
        return Some(unclear(0.6, root_cause, why).citing(["samples", "checks"]));
    }
    let why = format!("others use what it waits for, which a restart does not change: {advice}");
    Some(sick(None, 0.7, root_cause, why).citing(["samples", "processes"]))
}
