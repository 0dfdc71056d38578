//! The rules, strongest first: the first that applies has the word.
//!
//! | rule | when | verdict, remedy | sure |
//! |---|---|---|---|
//! | `intruded` | a miner runs in it, or what only intruders call so | sick, none: it is a break-in | 0.85 |
//! | `bad_command` | its program cannot be run | sick, none | 0.95 |
//! | `oom_at_start` | killed for want of memory at its start, again and again | sick, none: raise the limit | 0.90 |
//! | `out_of_memory` | killed by the kernel for want of memory, and down | sick, start | 0.90 |
//! | `at_work` | somebody's work that ends goes on in it, it gets on while its memory grows, or somebody is at a shell in it | unclear, none | 0.65 |
//! | `as_before` | a level that has passed by itself before | unclear, none | 0.60 |
//! | `disk_full` | a disk that it needs is full | sick, cleanup | 0.80 |
//! | `dependency_down` | what it needs is not well | sick, none: heal that | 0.85 |
//! | `network_gone` | the container whose network it lives in was started anew | sick, restart | 0.85 |
//! | `misconfigured` | ended at its start, and says what only a person can mend | sick, none | 0.85 |
//! | `same_end` | ended the same way after each of its attempts | sick, none | 0.85 |
//! | `cannot_reach` | ended as something that it needs does not answer | sick, start | 0.75 |
//! | `signalled` | ended by a signal, and down | sick, start | 0.85 |
//! | `crashed` | ended with an error, and down | sick, start | 0.90 |
//! | `restart_loop` | Docker restarts it again and again | sick, none: look at its log | 0.80 |
//! | `throttled` | its CPU limit holds it back | sick, none or scale: raise the limit | 0.80 |
//! | `not_its_own` | its memory is the kernel's to take back, or what its program allows itself | unclear, none | 0.65 |
//! | `at_the_limit` | CPU or memory above 95 % for the whole of its window | sick, restart | 0.85 |
//! | `check_broken` | its health check cannot be run | unclear, none | 0.80 |
//! | `check_misdirected` | its health check asks for what is not there, at another port, or a log for what is past | unclear, none | 0.70 |
//! | `flapping` | its health check changes its mind again and again | sick, none: look at its time limit; restart where part of it hangs, or its full memory keeps it busy, and that helped before | 0.75 |
//! | `still_begins` | its health check fails while it loads or repairs its data, or was told to end | unclear, none | 0.60 |
//! | `left_behind` | its health check fails though what it needs has got well or begun anew | sick, restart | 0.80 |
//! | `elsewhere` | its health check fails as something else does: it says so, or that it will ask again | sick, none | 0.75 |
//! | `spinning` | its health check times out while it is busy, and it has fallen silent | sick, restart | 0.80 |
//! | `slow` | its health check times out while it works | unclear, none; restart after a while | 0.75 |
//! | `hung` | its health check times out, and it does nothing | sick, restart | 0.85 |
//! | `catching_up` | its health check fails, and what it finds wrong is ever less | unclear, none | 0.65 |
//! | `serving` | its health check fails, and it serves others | unclear, none | 0.60 |
//! | `not_listening` | it runs, and nothing listens | sick, restart | 0.85 |
//! | `unhealthy` | its health check fails | sick, restart | 0.80 |
//! | `memory_leak` | its memory grows towards the limit | sick, restart when that is near | 0.80 |
//! | `memory_rising` | memory above its threshold, and rising | sick, restart | 0.80 |
//! | `cpu_stuck` | CPU above 90 % and not falling | sick, restart | 0.75 |
//! | `memory_full` | memory above its threshold, and not falling | sick, restart; none where it has stood for an hour and it is well, unclear then after a day | 0.75 |
//! | `pids_high` | nearly as many processes as it may have | sick, restart when there are ever more | 0.75 |
//! | `oom_child` | a process of it was killed for want of memory | sick, none: raise the limit | 0.80 |
//! | `pressure` | it waits too much | sick, none; unclear where it is well and works on a disk | 0.70 |
//! | `settling` | it runs again and has not shown yet how it is | unclear, none | 0.50 |
//! | `easing` | a level is high but bearable, or falling | unclear, none | 0.50 |
//!
//! A container that is down is started, one that runs is restarted. What a container printed never brings a remedy about,
//! save the clearing away of rubbish; it names a cause, and keeps from trying what would be tried in vain. (A job that is
//! done once and says that something did not answer is started as any other container would be: see `vain`.)

use hemostat_schema::{Span, action::Remedy, diagnosis::Verdict};

use super::Case;

mod ends;
mod health;
mod levels;
mod waiting;
mod work;

pub(super) use waiting::{EASING, SETTLING};

/// One rule.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Its name, as diagnoses give it.
    pub name: &'static str,
    pub(super) find: fn(&Case<'_>) -> Option<Finding>,
}

/// All rules, strongest first.
pub const RULES: [Rule; 40] = [
    Rule { name: "intruded", find: work::intruded },
    Rule { name: "bad_command", find: ends::bad_command },
    Rule { name: "oom_at_start", find: ends::oom_at_start },
    Rule { name: "out_of_memory", find: ends::out_of_memory },
    Rule { name: "at_work", find: work::at_work },
    Rule { name: "as_before", find: work::as_before },
    Rule { name: "disk_full", find: levels::disk_full },
    Rule { name: "dependency_down", find: health::dependency_down },
    Rule { name: "network_gone", find: health::network_gone },
    Rule { name: "misconfigured", find: ends::misconfigured },
    Rule { name: "same_end", find: ends::same_end },
    Rule { name: "cannot_reach", find: ends::cannot_reach },
    Rule { name: "signalled", find: ends::signalled },
    Rule { name: "crashed", find: ends::crashed },
    Rule { name: "restart_loop", find: ends::restart_loop },
    Rule { name: "throttled", find: levels::throttled },
    Rule { name: "not_its_own", find: work::not_its_own },
    Rule { name: "at_the_limit", find: levels::at_the_limit },
    Rule { name: "check_broken", find: health::check_broken },
    Rule { name: "check_misdirected", find: health::check_misdirected },
    Rule { name: "flapping", find: health::flapping },
    Rule { name: "still_begins", find: health::still_begins },
    Rule { name: "left_behind", find: health::left_behind },
    Rule { name: "elsewhere", find: health::elsewhere },
    Rule { name: "spinning", find: health::spinning },
    Rule { name: "slow", find: health::slow },
    Rule { name: "hung", find: health::hung },
    Rule { name: "catching_up", find: health::catching_up },
    Rule { name: "serving", find: health::serving },
    Rule { name: "not_listening", find: health::not_listening },
    Rule { name: "unhealthy", find: health::unhealthy },
    Rule { name: "memory_leak", find: levels::memory_leak },
    Rule { name: "memory_rising", find: levels::memory_rising },
    Rule { name: "cpu_stuck", find: levels::cpu_stuck },
    Rule { name: "memory_full", find: levels::memory_full },
    Rule { name: "pids_high", find: levels::pids_high },
    Rule { name: "oom_child", find: levels::oom_child },
    Rule { name: "pressure", find: levels::pressure },
    Rule { name: SETTLING, find: waiting::settling },
    Rule { name: EASING, find: waiting::easing },
];

/// What a rule says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Finding {
    pub(super) verdict: Verdict,
    pub(super) remedy: Option<Remedy>,
    pub(super) confidence: f64,
    pub(super) root_cause: String,
    pub(super) why: String,
    /// The exhibits, symptoms aside, that it rests on.
    pub(super) cites: Vec<String>,
    /// After which time it may find something else though nothing has happened.
    pub(super) again: Option<Span>,
}

impl Finding {
    fn new(verdict: Verdict, remedy: Option<Remedy>, confidence: f64, root_cause: String, why: String) -> Self {
        Self { verdict, remedy, confidence, root_cause, why, cites: vec![], again: None }
    }

    /// Resting on these exhibits, too.
    fn citing<const N: usize>(mut self, ids: [&str; N]) -> Self {
        self.cites.extend(ids.map(str::to_owned));
        self
    }

    /// And on the words that were printed.
    fn by(mut self, clue: Option<super::Clue<'_>>) -> Self {
        self.cites.extend(clue.map(|clue| clue.exhibit()));
        self
    }

    /// To be thought over again after this time.
    fn again(self, after: Span) -> Self {
        Self { again: Some(after), ..self }
    }
}

fn sick(
    remedy: impl Into<Option<Remedy>>,
    confidence: f64,
    root_cause: impl Into<String>,
    why: impl Into<String>,
) -> Finding {
    Finding::new(Verdict::Sick, remedy.into(), confidence, root_cause.into(), why.into())
}

fn unclear(confidence: f64, root_cause: impl Into<String>, why: impl Into<String>) -> Finding {
    Finding::new(Verdict::Unclear, None, confidence, root_cause.into(), why.into())
}
