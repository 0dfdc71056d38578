//! How findings are put, for a person who reads them at three in the morning: with figures, and without jargon.

use hemostat_schema::{
    Span,
    container::{Exit, Facts, RestartPolicy},
    observation::{Symptom, Trend},
};

use super::{Case, case::Level};

/// An exit code, with what it commonly means: 128 + n is the end by signal n, 125 to 127 are the shell's and Docker's.
pub(super) fn code(code: i64) -> String {
    let meaning = match code {
        125 => "Docker could not run it",
        126 => "its command cannot be executed",
        127 => "its command was not found",
        134 => "SIGABRT: it aborted itself",
        135 => "SIGBUS",
        136 => "SIGFPE: an arithmetic error",
        137 => "SIGKILL",
        139 => "SIGSEGV: a memory fault",
        143 => "SIGTERM",
        255 => "also that of a run that the end of its host cut off",
        _ => return format!("exit code {code}"),
    };
    format!("exit code {code} ({meaning})")
}

/// That nobody but us will start it.
pub(super) fn stays_down(facts: &Facts, exit: &Exit) -> String {
    let policy = match facts.restart_policy {
        RestartPolicy::No => "by its restart policy, no".to_owned(),
        RestartPolicy::OnFailure { max } => format!("having tried {max} times by its restart policy"),
        RestartPolicy::Always | RestartPolicy::UnlessStopped => "though its restart policy says so".to_owned(),
    };
    format!("it has been down since {:.0}, and Docker does not start it again, {policy}", exit.at)
}

/// For how long a health check has failed; that it fails, where it has only begun to.
pub(super) fn failing(span: Span) -> String {
    if span < Span::from_secs(1) { "fails".to_owned() } else { format!("has failed for {span}") }
}

/// Where a level stands, since when, and where it is going.
pub(super) fn level(case: &Case<'_>, level: &Level) -> String {
    let what = if level.symptom == Symptom::CpuHigh { "CPU" } else { "memory" };
    let trend = match level.trend {
        Trend::Unknown => "",
        Trend::Rising => ", rising",
        Trend::Steady => ", steady",
        Trend::Falling => ", falling",
    };
    let whole = case.whole(level.symptom);
    format!(
        "its {what} is at {} of {whole}{trend}; it has been above {} for {}",
        level.value, level.threshold, level.held
    )
}

/// Symptoms, in a list.
pub(super) fn symptoms<'a>(symptoms: impl Iterator<Item = &'a Symptom>) -> String {
    symptoms.map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_health_check_that_has_only_begun_to_fail_has_not_failed_for_0_ms() {
        for (span, said) in [
            (Span::ZERO, "fails"),
            (Span::from_millis(999), "fails"),
            (Span::from_secs(1), "has failed for 1.0 s"),
            (Span::from_secs(90), "has failed for 1 min 30 s"),
        ] {
            assert_eq!(failing(span), said);
        }
    }
}
