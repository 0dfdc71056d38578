//! The rules, strongest first: the first that applies gives the diagnosis.
//!
//! | rule | when | verdict, remedy | confidence |
//! |---|---|---|---|
//! | `intruded` | a miner runs in it, or a process that only an intruder would start | sick, none: it is an intrusion | 0.85 |
//! | `bad_command` | its program cannot be executed | sick, none | 0.95 |
//! | `oom_at_start` | the OOM killer kills it at its start, repeatedly | sick, none: raise the limit | 0.90 |
//! | `out_of_memory` | the OOM killer killed it, and it is down | sick, start | 0.90 |
//! | `at_work` | a job that ends runs in it, its log shows progress, or an operator has a shell in it | unclear, none | 0.65 |
//! | `as_before` | the same symptoms passed by themselves before | unclear, none | 0.60 |
//! | `disk_full` | a disk that it needs is full or fills | sick, cleanup | 0.80 |
//! | `dependency_down` | a dependency is unhealthy or down | sick, none: heal that first | 0.85 |
//! | `network_gone` | the container whose network it shares has restarted | sick, restart | 0.85 |
//! | `misconfigured` | crashed at its start with a failure that an operator has to correct | sick, none | 0.85 |
//! | `same_end` | crashed the same way after each attempt | sick, none | 0.85 |
//! | `cannot_reach` | crashed because a service that it needs does not answer | sick, start | 0.75 |
//! | `signalled` | ended by a signal, and down | sick, start | 0.85 |
//! | `crashed` | ended with an error, and down | sick, start | 0.90 |
//! | `restart_loop` | Docker restarts it repeatedly | sick, none: look at its log | 0.80 |
//! | `throttled` | its CPU limit throttles it | sick, none or scale: raise the limit | 0.80 |
//! | `not_its_own` | its memory is page cache, or within the limit that its program sets itself | unclear, none | 0.65 |
//! | `at_the_limit` | CPU or memory above 95 % for its whole window | sick, restart | 0.85 |
//! | `check_broken` | its health check cannot be executed | unclear, none | 0.80 |
//! | `check_misdirected` | its health check asks for the wrong path or port, or reads an old log line | unclear, none | 0.70 |
//! | `flapping` | its health check changes its result repeatedly | sick, none: look at its time limit; restart if part of it hangs and a restart helped before | 0.75 |
//! | `still_begins` | its health check fails while it loads, recovers or shuts down | unclear, none | 0.60 |
//! | `left_behind` | its health check fails although a dependency has recovered or restarted | sick, restart | 0.80 |
//! | `elsewhere` | its health check fails because of a failure outside the container | sick, none | 0.75 |
//! | `spinning` | its health check times out, and it is busy and silent | sick, restart | 0.80 |
//! | `slow` | its health check times out while it works | unclear, none; restart after five minutes | 0.75 |
//! | `hung` | its health check times out, and it is idle | sick, restart | 0.85 |
//! | `catching_up` | its health check fails, and the backlog that it reports falls | unclear, none | 0.65 |
//! | `serving` | its health check fails, and it serves its clients | unclear, none | 0.60 |
//! | `not_listening` | it runs, and nothing listens on its port | sick, restart | 0.85 |
//! | `unhealthy` | its health check fails | sick, restart | 0.80 |
//! | `memory_leak` | its memory grows towards the limit | sick, restart when that is near | 0.80 |
//! | `memory_rising` | memory above its threshold, and rising | sick, restart | 0.80 |
//! | `cpu_stuck` | CPU above 90 % and not falling | sick, restart | 0.75 |
//! | `memory_full` | memory above its threshold, and not falling | sick, restart; none after a healthy hour, unclear after a healthy day | 0.75 |
//! | `pids_high` | nearly as many processes as its limit | sick, restart if the number grows | 0.75 |
//! | `oom_child` | the OOM killer killed a child process | sick, none: raise the limit | 0.80 |
//! | `pressure` | it waits for CPU, memory or disk too much | sick, none; unclear if it is healthy and waits for the disk | 0.70 |
//! | `settling` | it runs again, and its state is not known yet | unclear, none | 0.50 |
//! | `easing` | a usage is high but bearable, or falling | unclear, none | 0.50 |
//!
//! The remedy for a container that is down is a start, for one that runs a restart. A log line never causes a remedy,
//! except a cleanup; it names a cause and rules out remedies that would not help. (A one-off job whose log says that a
//! service did not answer is started like any other container: see `recurrence`.)

use crate::case::Case;

use finding::Finding;

mod exits;
mod finding;
mod health_checks;
mod jobs;
mod resources;
mod waiting;

pub(crate) use waiting::{EASING, SETTLING};

/// One rule.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Its name, as it appears in diagnoses.
    pub name: &'static str,
    pub(super) apply: fn(&Case<'_>) -> Option<Finding>,
}

/// All rules, strongest first.
pub const RULES: [Rule; 40] = [
    Rule { name: "intruded", apply: jobs::intruded },
    Rule { name: "bad_command", apply: exits::bad_command },
    Rule { name: "oom_at_start", apply: exits::oom_at_start },
    Rule { name: "out_of_memory", apply: exits::out_of_memory },
    Rule { name: "at_work", apply: jobs::at_work },
    Rule { name: "as_before", apply: jobs::as_before },
    Rule { name: "disk_full", apply: resources::disk_full },
    Rule { name: "dependency_down", apply: health_checks::dependency_down },
    Rule { name: "network_gone", apply: health_checks::network_gone },
    Rule { name: "misconfigured", apply: exits::misconfigured },
    Rule { name: "same_end", apply: exits::same_end },
    Rule { name: "cannot_reach", apply: exits::cannot_reach },
    Rule { name: "signalled", apply: exits::signalled },
    Rule { name: "crashed", apply: exits::crashed },
    Rule { name: "restart_loop", apply: exits::restart_loop },
    Rule { name: "throttled", apply: resources::throttled },
    Rule { name: "not_its_own", apply: jobs::not_its_own },
    Rule { name: "at_the_limit", apply: resources::at_the_limit },
    Rule { name: "check_broken", apply: health_checks::check_broken },
    Rule { name: "check_misdirected", apply: health_checks::check_misdirected },
    Rule { name: "flapping", apply: health_checks::flapping },
    Rule { name: "still_begins", apply: health_checks::still_begins },
    Rule { name: "left_behind", apply: health_checks::left_behind },
    Rule { name: "elsewhere", apply: health_checks::elsewhere },
    Rule { name: "spinning", apply: health_checks::spinning },
    Rule { name: "slow", apply: health_checks::slow },
    Rule { name: "hung", apply: health_checks::hung },
    Rule { name: "catching_up", apply: health_checks::catching_up },
    Rule { name: "serving", apply: health_checks::serving },
    Rule { name: "not_listening", apply: health_checks::not_listening },
    Rule { name: "unhealthy", apply: health_checks::unhealthy },
    Rule { name: "memory_leak", apply: resources::memory_leak },
    Rule { name: "memory_rising", apply: resources::memory_rising },
    Rule { name: "cpu_stuck", apply: resources::cpu_stuck },
    Rule { name: "memory_full", apply: resources::memory_full },
    Rule { name: "pids_high", apply: resources::pids_high },
    Rule { name: "oom_child", apply: resources::oom_child },
    Rule { name: "pressure", apply: resources::pressure },
    Rule { name: SETTLING, apply: waiting::settling },
    Rule { name: EASING, apply: waiting::easing },
];
