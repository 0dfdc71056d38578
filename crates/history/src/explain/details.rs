//! The numbers and reasons of an event, which its one line leaves out.

use std::iter;

use hemostat_schema::{
    Action, Alert, Diagnosis, Event, Observation, Span,
    action::{Authorised, LimitsSnapshot, Mode, Passage, Remedy},
    alert::Suppression,
    container::Exit,
    diagnosis::{Method, Reached, Usage},
    examination::Examined,
    observation::{Evidence, SymptomRaised, SymptomWorsened},
};
use serde::Serialize;

/// Maximum lines of a container's output.
const OUTPUT_LINES: usize = 5;

/// A named value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Detail {
    /// The name, such as `backoff`.
    pub name: &'static str,
    /// The value, such as `none, it is the first attempt`.
    pub text: String,
}

pub(super) fn detail(name: &'static str, text: impl ToString) -> Detail {
    Detail { name, text: text.to_string() }
}

/// The details of an event, in the order in which they are shown.
pub fn of(event: &Event) -> Vec<Detail> {
    match event {
        Event::Observation(observation) => of_observation(observation),
        Event::Diagnosis(diagnosis) => of_diagnosis(diagnosis),
        Event::Action(action) => of_action(action),
        Event::Alert(alert) => of_alert(alert),
        Event::Sample(_) => vec![],
    }
}

fn of_observation(observation: &Observation) -> Vec<Detail> {
    match observation {
        Observation::Exited(exited) => vec![detail("exit", exit(&exited.exit))],
        Observation::SymptomRaised(SymptomRaised { severity, evidence: found, .. })
        | Observation::SymptomWorsened(SymptomWorsened { severity, evidence: found, .. }) => {
            iter::once(detail("severity", severity.name())).chain(evidence(found)).collect()
        }
        Observation::SymptomCleared(cleared) => vec![detail("stood", cleared.stood)],
        Observation::Examined(examined) => examination(examined),
        Observation::Seen(_)
        | Observation::Removed(_)
        | Observation::Started(_)
        | Observation::Paused(_)
        | Observation::Unpaused(_)
        | Observation::HealthChanged(_)
        | Observation::Sampled(_)
        | Observation::Stored(_)
        | Observation::DiskMeasured(_)
        | Observation::EngineLost(_)
        | Observation::EngineFound(_) => vec![],
    }
}

fn evidence(evidence: &Evidence) -> Vec<Detail> {
    match evidence {
        Evidence::Level { value, threshold, held, trend } => {
            vec![
                detail("measured", format!("{value}, {threshold} is the limit")),
                detail("for", held),
                detail("trend", trend.phrase()),
            ]
        }
        Evidence::Exit { exit: how } => vec![detail("exit", exit(how))],
        Evidence::Restarts { count, within, last } => {
            let last = last.as_ref().map(|last| detail("last exit", exit(last)));
            iter::once(detail("restarts", format!("{count} within {within}"))).chain(last).collect()
        }
        Evidence::Health { held } if *held == Span::ZERO => vec![],
        Evidence::Health { held } => vec![detail("for", held)],
        Evidence::Killed { count, within } => vec![detail("killed", format!("{count} within {within}"))],
        Evidence::Flips { count, within } => vec![detail("changes", format!("{count} within {within}"))],
        Evidence::Stalled { resource, value, threshold, held } => vec![
            detail("measured", format!("{value} of the time, {threshold} is the limit")),
            detail("waiting for", resource.name()),
            detail("for", held),
        ],
        Evidence::Count { value, limit, held } => {
            vec![detail("measured", format!("{value} of {limit}")), detail("for", held)]
        }
        Evidence::Growth { used, limit, per_hour, fit, over, limit_in } => vec![
            detail("measured", format!("{used} of {limit}")),
            detail("grows", format!("{per_hour} an hour, seen over {over}")),
            detail("fit", format!("{fit:.2}")),
            detail("full in", limit_in),
        ],
        Evidence::Disk { path, value, threshold, writable, per_hour } => vec![
            detail("measured", format!("{path} is {value} full, {threshold} is the limit")),
            detail("keeps", writable),
            detail("grows", format!("{per_hour} an hour")),
        ],
        Evidence::Unusual { value, expected, deviation, held } => vec![
            detail("measured", format!("{value:.1}, {expected:.1} is usual, give or take {deviation:.1}")),
            detail("for", held),
        ],
    }
}

/// What the examination found: the last output of the container, and what could not be read.
fn examination(examined: &Examined) -> Vec<Detail> {
    let Examined { checks, output, missing, .. } = examined;
    let check = checks.last().map(|check| format!("ended with {}: {}", check.code, check.output.trim()));
    let check = check.map(|text| detail("health check", text));
    let lines = output[output.len().saturating_sub(OUTPUT_LINES)..].iter().map(|line| detail("output", &line.text));
    check.into_iter().chain(lines).chain(missing.iter().map(|missing| detail("missing", missing))).collect()
}

fn exit(exit: &Exit) -> String {
    format!("code {} at {:.0}, {}", exit.code, exit.at, exit.by.phrase())
}

fn of_diagnosis(diagnosis: &Diagnosis) -> Vec<Detail> {
    match diagnosis {
        Diagnosis::Reached(reached) => conclusion(reached),
        Diagnosis::OpinionSought(sought) => {
            let choices: Vec<&str> = sought.remedies.iter().map(Remedy::name).chain(["none"]).collect();
            vec![
                detail("asked", format!("{} of {}", sought.model, sought.provider)),
                detail("part", sought.part.phrase()),
                detail("may choose", choices.join(", ")),
                detail("shown", format!("{} pieces of evidence", sought.evidence.len())),
                detail("meanwhile", &sought.fallback.root_cause),
            ]
        }
        Diagnosis::Opined(opined) => conclusion(&opined.opinion),
        Diagnosis::Failed(failed) => {
            let mut details = vec![detail("trouble", failed.trouble.name()), detail("took", failed.took)];
            details.extend(failed.usage.as_ref().map(|usage| detail("asked", cost(usage))));
            details
        }
    }
}

fn conclusion(reached: &Reached) -> Vec<Detail> {
    let by = match &reached.method {
        Method::Rule { rule } => format!("rule {rule}"),
        Method::Model { provider, model } => format!("model {model} of {provider}"),
    };
    let symptoms: Vec<String> = reached.symptoms.iter().map(ToString::to_string).collect();
    let mut details = vec![
        detail("verdict", reached.verdict.phrase()),
        detail("explains", symptoms.join(", ")),
        detail("by", by),
        detail("confidence", reached.confidence),
        detail("why", &reached.why),
    ];
    details.extend((!reached.cites.is_empty()).then(|| detail("rests on", reached.cites.join(", "))));
    details.extend(reached.usage.as_ref().map(|usage| detail("asked", cost(usage))));
    details
}

/// The cost of asking a model.
fn cost(usage: &Usage) -> String {
    if usage.cached {
        return "answered from the cache: the same question had been asked before".into();
    }
    let money = usage
        .cost_micros
        .map_or(String::new(), |micros| format!(", {}.{:06} dollars", micros / 1_000_000, micros % 1_000_000));
    let Usage { tokens_in, tokens_out, requests, took, .. } = usage;
    let times = if *requests == 1 { "once".to_owned() } else { format!("{requests} times") };
    format!("{times}, {tokens_in} tokens in the question and {tokens_out} in the answer{money}, in {took}")
}

fn of_action(action: &Action) -> Vec<Detail> {
    match action {
        Action::Proposed(proposed) => vec![detail("lapses", format!("{:.0}", proposed.expires))],
        Action::Authorised(authorised) => limits(authorised),
        Action::Refused(refused) => {
            let until = refused.refusal.until().map(|until| detail("until", format!("{until:.0}")));
            iter::once(detail("limit", refused.refusal.name().replace('_', " "))).chain(until).collect()
        }
        Action::Succeeded(succeeded) => {
            vec![detail("took", succeeded.took), detail("proof", succeeded.proof.phrase())]
        }
        Action::Failed(failed) => vec![detail("took", failed.took)],
        Action::Verified(verified) => vec![detail("why", &verified.why), detail("took", verified.took)],
        Action::GaveUp(gave_up) => {
            vec![detail("breaker", format!("tripped until {:.0}", gave_up.until)), detail("attempts", gave_up.attempts)]
        }
        Action::DeadLetterRedriven(redriven) => {
            let error = detail("error", &redriven.letter.error);
            iter::once(error).chain(redriven.reason.as_ref().map(|reason| detail("reason", reason))).collect()
        }
        Action::DeadLetterDiscarded(discarded) => {
            let error = detail("error", &discarded.letter.error);
            iter::once(error).chain(discarded.reason.as_ref().map(|reason| detail("reason", reason))).collect()
        }
        Action::Approved(_)
        | Action::Denied(_)
        | Action::Expired(_)
        | Action::BreakerReset(_)
        | Action::Paused(_)
        | Action::Resumed(_)
        | Action::PolicyChanged(_)
        | Action::PolicyRefused(_)
        | Action::PoliciesCompared(_) => vec![],
    }
}

/// The state of each limit when the remedy was authorised.
fn limits(authorised: &Authorised) -> Vec<Detail> {
    let limits = &authorised.limits;
    let attempts = format!("{} of {}", limits.attempt, limits.of);
    let Some(snapshot) = &limits.snapshot else {
        return vec![
            detail("attempts", attempts),
            detail("the others", "not recorded: an earlier version of HemoStat authorised it"),
        ];
    };
    let LimitsSnapshot {
        mode,
        confidence,
        threshold,
        age,
        stale_after,
        sick,
        storm,
        window,
        backoff,
        cooldown,
        breaker,
    } = snapshot;
    let mode = match mode {
        Mode::Observe => "observe",
        Mode::Approve => "approve: an operator approved it",
        Mode::Auto => "auto",
    };
    let backoff = backoff.map_or("none, it is the first attempt".into(), |until| format!("over since {until:.0}"));
    let cooldown = cooldown.map_or("none, there was no recent illness".into(), |until| {
        format!("holds for other illnesses until {until:.0}")
    });
    let breaker = match breaker {
        Passage::Passing => "closed",
        Passage::Probing => "probing: HemoStat had given up, this is the one attempt after the hold",
    };
    vec![
        detail("mode", mode),
        detail("confidence", format!("{confidence}, {threshold} is needed")),
        detail("attempts", format!("{attempts} within {window}")),
        detail("backoff", backoff),
        detail("cooldown", cooldown),
        detail("breaker", breaker),
        detail("storm", format!("{sick} of the host's containers sick, up to {storm} is no storm")),
        detail("age", format!("{age}, up to {stale_after} is fresh")),
    ]
}

fn of_alert(alert: &Alert) -> Vec<Detail> {
    match alert {
        Alert::Raised(raised) => vec![detail("severity", raised.severity.name())],
        Alert::Escalated(escalated) => vec![detail("text", &escalated.text)],
        Alert::Resolved(_) | Alert::Tested(_) => vec![],
        Alert::Suppressed(suppressed) => match suppressed.why {
            Suppression::Duplicate => vec![],
            Suppression::Disabled => vec![detail("see", "alerts.enabled")],
        },
        Alert::Delivered(delivered) => vec![detail("took", delivered.took)],
        Alert::Undelivered(undelivered) => vec![detail("attempts", undelivered.attempts)],
    }
}
