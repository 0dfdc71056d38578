//! The rules, strongest first: the first that applies has the word.
//!
//! | rule | when | verdict, remedy | sure |
//! |---|---|---|---|
//! | `out_of_memory` | killed by the kernel for want of memory, and down | sick, start | 0.90 |
//! | `crashed` | ended with an error, and down | sick, start | 0.90 |
//! | `restart_loop` | Docker restarts it again and again | sick, none: look at its log | 0.80 |
//! | `at_the_limit` | CPU or memory above 95 % for the whole of its window | sick, restart | 0.85 |
//! | `unhealthy` | its health check fails | sick, restart | 0.80 |
//! | `memory_rising` | memory above its threshold, and rising | sick, restart | 0.80 |
//! | `cpu_stuck` | CPU above 90 % and not falling | sick, restart | 0.75 |
//! | `memory_full` | memory above its threshold, and not falling | sick, restart | 0.75 |
//! | `settling` | it runs again and has not shown yet how it is | unclear, none | 0.50 |
//! | `easing` | a level is high but bearable, or falling | unclear, none | 0.50 |
//!
//! A container that is down is started, one that runs is restarted.

use hemostat_schema::{
    Span,
    action::Remedy,
    container::{ExitBy, Health},
    diagnosis::Verdict,
    observation::{Evidence, Severity, Symptom, Trend},
};

use super::{Case, case::Level, words};

/// Above this a level that has been critical is critical still.
const CRITICAL: f64 = 95.0;
/// CPU above this is not mere work.
const STUCK: f64 = 90.0;

/// One rule.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Its name, as diagnoses give it.
    pub name: &'static str,
    pub(super) find: fn(&Case<'_>) -> Option<Finding>,
}

/// The name of the rule that says to wait and see.
pub(super) const SETTLING: &str = "settling";

/// The name of the rule that says that it seems to pass.
pub(super) const EASING: &str = "easing";

/// All rules, strongest first.
pub const RULES: [Rule; 10] = [
    Rule { name: "out_of_memory", find: out_of_memory },
    Rule { name: "crashed", find: crashed },
    Rule { name: "restart_loop", find: restart_loop },
    Rule { name: "at_the_limit", find: at_the_limit },
    Rule { name: "unhealthy", find: unhealthy },
    Rule { name: "memory_rising", find: memory_rising },
    Rule { name: "cpu_stuck", find: cpu_stuck },
    Rule { name: "memory_full", find: memory_full },
    Rule { name: SETTLING, find: settling },
    Rule { name: EASING, find: easing },
];

/// What a rule says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Finding {
    pub(super) verdict: Verdict,
    pub(super) remedy: Option<Remedy>,
    pub(super) confidence: f64,
    pub(super) root_cause: String,
    pub(super) why: String,
}

fn sick(remedy: Option<Remedy>, confidence: f64, root_cause: String, why: impl Into<String>) -> Option<Finding> {
    Some(Finding { verdict: Verdict::Sick, remedy, confidence, root_cause, why: why.into() })
}

fn unclear(root_cause: String, why: impl Into<String>) -> Option<Finding> {
    Some(Finding { verdict: Verdict::Unclear, remedy: None, confidence: 0.5, root_cause, why: why.into() })
}

fn out_of_memory(case: &Case<'_>) -> Option<Finding> {
    let exit = case.end(ExitBy::Oom)?;
    let limit = match case.facts.limits.memory {
        Some(limit) => format!("its limit is {limit}"),
        None => "it has no limit of its own, so the host was short of it".to_owned(),
    };
    let root_cause = format!("the kernel killed it for want of memory ({limit})");
    sick(Some(Remedy::Start), 0.9, root_cause, words::stays_down(case.facts, &exit))
}

fn crashed(case: &Case<'_>) -> Option<Finding> {
    let exit = case.end(ExitBy::Crash)?;
    let root_cause = format!("it ended with {}", words::code(exit.code));
    sick(Some(Remedy::Start), 0.9, root_cause, words::stays_down(case.facts, &exit))
}

fn restart_loop(case: &Case<'_>) -> Option<Finding> {
    let Evidence::Restarts { count, within, last } = &case.standing.get(&Symptom::RestartLoop)?.evidence else {
        return None;
    };
    let last = last.map_or_else(String::new, |exit| format!("; it last ended with {}", words::code(exit.code)));
    let root_cause = format!("Docker restarted it {count} times within {within}{last}");
    let why = "one more restart would not help, as Docker does that already: look at its log";
    sick(None, 0.8, root_cause, why)
}

fn at_the_limit(case: &Case<'_>) -> Option<Finding> {
    let critical = |level: &Level| level.severity == Severity::Critical && level.value.get() > CRITICAL;
    let level = case.levels().find(critical)?;
    let why = format!("above {CRITICAL} % for its whole window it has no room left to work");
    sick(Some(Remedy::Restart), 0.85, words::level(case, &level), why)
}

fn unhealthy(case: &Case<'_>) -> Option<Finding> {
    let standing = case.standing.get(&Symptom::Unhealthy)?;
    if !case.runs() || case.facts.health != Health::Unhealthy {
        return None;
    }
    let failing = match (&standing.evidence, standing.target == case.facts.target()) {
        (Evidence::Health { .. }, true) => words::failing(Span::between(standing.since, case.now)),
        _ => "has failed in this run, too".to_owned(),
    };
    let root_cause = format!("its health check {failing}");
    sick(Some(Remedy::Restart), 0.8, root_cause, "it runs but does not do its work, as its own check says")
}

fn memory_rising(case: &Case<'_>) -> Option<Finding> {
    let level = case.level(Symptom::MemoryHigh).filter(|level| level.trend == Trend::Rising)?;
    let why = "memory that keeps rising looks like a leak, and ends at the limit";
    sick(Some(Remedy::Restart), 0.8, words::level(case, &level), why)
}

fn cpu_stuck(case: &Case<'_>) -> Option<Finding> {
    let stuck = |level: &Level| level.value.get() > STUCK && level.trend != Trend::Falling;
    let level = case.level(Symptom::CpuHigh).filter(stuck)?;
    let why = format!("above {STUCK} % without a break it is likelier to be stuck than at work");
    sick(Some(Remedy::Restart), 0.75, words::level(case, &level), why)
}

fn memory_full(case: &Case<'_>) -> Option<Finding> {
    let level = case.level(Symptom::MemoryHigh).filter(|level| level.trend != Trend::Falling)?;
    let why = "it has not given memory back for its whole window";
    sick(Some(Remedy::Restart), 0.75, words::level(case, &level), why)
}

fn settling(case: &Case<'_>) -> Option<Finding> {
    let open = case.standing.keys().any(|symptom| match symptom {
        Symptom::Unhealthy | Symptom::Exited | Symptom::OomKilled => !case.is_down(),
        Symptom::CpuHigh | Symptom::MemoryHigh => case.level(*symptom).is_none(),
        _ => false,
    });
    let root_cause =
        format!("it was ill ({}) and has not shown yet how it is now", words::symptoms(case.standing.keys()));
    open.then(|| unclear(root_cause, "its present run is too young to tell, so it is watched")).flatten()
}

fn easing(case: &Case<'_>) -> Option<Finding> {
    let level = case.levels().next()?;
    let why = match level.trend {
        Trend::Falling => "it is falling by itself",
        Trend::Unknown | Trend::Rising | Trend::Steady => "it may just be at work",
    };
    unclear(words::level(case, &level), why)
}
