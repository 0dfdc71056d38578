//! Parts of the sentences in a diagnosis, for an operator who reads them at 3 a.m.: plain, and with figures.

use hemostat_schema::{
    Span,
    container::{Exit, Facts, RestartPolicy},
    observation::{Symptom, Trend},
};

use crate::case::{Case, UsageLevel};

/// An exit code with its common meaning: 128 + n is signal n; 125 to 127 come from the shell or Docker.
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
        255 => "also after a crash or power loss of the host",
        _ => return format!("exit code {code}"),
    };
    format!("exit code {code} ({meaning})")
}

/// That the container stays down unless HemoStat or an operator starts it.
pub(super) fn stays_down(facts: &Facts, exit: &Exit) -> String {
    let policy = match facts.restart_policy {
        RestartPolicy::No => "because its restart policy is \"no\"".to_owned(),
        RestartPolicy::OnFailure { max: 0 } | RestartPolicy::Always | RestartPolicy::UnlessStopped => {
            "although its restart policy says so".to_owned()
        }
        RestartPolicy::OnFailure { max } => {
            format!("because its restart policy allows {max} restarts, which are used up")
        }
    };
    format!("it has been down since {:.0}, and Docker does not start it again, {policy}", exit.at)
}

/// How long a health check has failed; just "fails" below a second.
pub(super) fn failing(span: Span) -> String {
    if span < Span::from_secs(1) { "fails".to_owned() } else { format!("has failed for {span}") }
}

/// A usage level with its limit, trend, threshold and duration.
pub(super) fn level(case: &Case<'_>, level: &UsageLevel) -> String {
    let resource = if level.symptom == Symptom::CpuHigh { "CPU" } else { "memory" };
    let trend = match level.trend {
        Trend::Unknown => String::new(),
        trend @ (Trend::Rising | Trend::Steady | Trend::Falling) => format!(", {}", trend.name()),
    };
    let whole = case.limit_text(level.symptom);
    format!(
        "its {resource} is at {} of {whole}{trend}; it has been above {} for {}",
        level.value, level.threshold, level.held
    )
}

/// A comma-separated list of symptoms.
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
