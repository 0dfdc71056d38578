//! The words by which the API calls what is one of a few; each both written in answers and understood in questions.

use hemostat_core::{
    policy::{Allowed, Mode},
    view::{cooldown::Why, incidents},
};
use hemostat_schema::{
    action::Outcome,
    container::{ExitBy, Health, State},
    diagnosis::Verdict,
    observation::{Severity, Symptom},
};

/// A function from a value to its word, which does not compile while a value has none, and a table of all words.
macro_rules! words {
    ($word:ident, $table:ident: $of:ty { $($variant:ident = $text:literal),+ $(,)? }) => {
        #[doc = concat!("The word for a `", stringify!($of), "`.")]
        pub fn $word(value: $of) -> &'static str {
            match value { $( <$of>::$variant => $text ),+ }
        }

        #[doc = concat!("Every word for a `", stringify!($of), "`.")]
        #[allow(dead_code, reason = "not every word is a question, too")]
        pub const $table: &[(&str, $of)] = &[$( ($text, <$of>::$variant) ),+];
    };
}

words!(state, STATES: State {
    Created = "created",
    Running = "running",
    Paused = "paused",
    Restarting = "restarting",
    Removing = "removing",
    Exited = "exited",
    Dead = "dead",
});
words!(health, HEALTHS: Health {
    None = "none",
    Starting = "starting",
    Healthy = "healthy",
    Unhealthy = "unhealthy",
});
words!(exit_by, EXITS: ExitBy {
    Itself = "itself",
    Crash = "crash",
    Oom = "oom",
    Operator = "operator",
    Unknown = "unknown",
});
words!(symptom, SYMPTOMS: Symptom {
    Unhealthy = "unhealthy",
    Exited = "exited",
    OomKilled = "oom_killed",
    RestartLoop = "restart_loop",
    CpuHigh = "cpu_high",
    MemoryHigh = "memory_high",
    OomChild = "oom_child",
    Flapping = "flapping",
    CpuThrottled = "cpu_throttled",
    Pressure = "pressure",
    PidsHigh = "pids_high",
    MemoryLeak = "memory_leak",
    DiskFilling = "disk_filling",
    CpuUnusual = "cpu_unusual",
    MemoryUnusual = "memory_unusual",
    NetworkUnusual = "network_unusual",
    BlockUnusual = "block_unusual",
});
words!(severity, SEVERITIES: Severity { Low = "low", High = "high", Critical = "critical" });
words!(verdict, VERDICTS: Verdict { Sick = "sick", FalseAlarm = "false_alarm", Unclear = "unclear" });
words!(outcome, OUTCOMES: Outcome {
    Recovered = "recovered",
    Relapsed = "relapsed",
    Inconclusive = "inconclusive",
});
words!(incident_state, INCIDENT_STATES: incidents::State {
    Open = "open",
    Recovered = "recovered",
    GivenUp = "given_up",
    Passed = "passed",
    Stopped = "stopped",
    Removed = "removed",
});
words!(mode, MODES: Mode { Observe = "observe", Approve = "approve", Auto = "auto" });
words!(allowed, REMEDIES: Allowed {
    Restart = "restart",
    Start = "start",
    Stop = "stop",
    Scale = "scale",
    Cleanup = "cleanup",
    Exec = "exec",
});
words!(rest, RESTS: Why { Healed = "healed", GivenUp = "given_up" });
