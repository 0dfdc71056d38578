//! One line of English per event: for the timeline, `hemostat tail` and the demo.
//!
//! Each line is a sentence of its own that names its subject. The matches are exhaustive on purpose: a new kind of
//! event does not compile until it has a line.

use hemostat_schema::{
    Action, Alert, Body, Diagnosis, Event, Family, Measurement, Observation, Recorded, Sample,
    action::{DeadLetterDiscarded, DeadLetterRedriven, Outcome, Proof},
    container::Health,
    diagnosis::{Method, Reached, Verdict},
    observation::{Cleared, Evidence, Severity, Symptom},
};

/// The line for `event`, without its time.
pub fn line(event: &Recorded) -> String {
    let who = event.subject.short();
    if let Some(measurement) = event.measurement() {
        return measured(who, measurement);
    }
    match &event.body {
        Body::Known(Event::Observation(observation)) => observed(who, observation),
        Body::Known(Event::Diagnosis(diagnosis)) => diagnosed(who, diagnosis),
        Body::Known(Event::Action(action)) => acted(who, action),
        Body::Known(Event::Alert(alert)) => alerted(who, alert),
        Body::Known(Event::Sample(Sample::Unmeasured(_))) => format!("{who} could not be measured any longer"),
        Body::Known(Event::Sample(_)) => format!("{who} was measured"),
        Body::Unknown { kind, version, .. } => {
            format!("{who}: {kind} (version {version}), which this HemoStat does not know")
        }
    }
}

/// Whether `event` is worth a line. Measurements are not: they are frequent, and each alone says little.
pub fn is_notable(event: &Recorded) -> bool {
    event.event().is_some_and(|event| event.family() != Family::Sample && event.measurement().is_none())
}

fn measured(who: &str, measurement: Measurement<'_>) -> String {
    match measurement {
        Measurement::Container(vitals) => {
            format!("{who} uses {} of its CPU, {} of its memory", vitals.cpu, vitals.memory)
        }
        Measurement::Storage(storage) => format!("{who} keeps {} in its writable layer", storage.writable),
        Measurement::Disk(disk) => format!("the disk of {who} at {} is {} full", disk.path, disk.used()),
    }
}

fn observed(who: &str, observation: &Observation) -> String {
    match observation {
        Observation::Seen(seen) => {
            format!("{who} was found: {}, {}", seen.facts.image, seen.facts.state.phrase())
        }
        Observation::Removed(_) => format!("{who} was removed"),
        Observation::Started(_) => format!("{who} started"),
        Observation::Exited(exited) => format!("{who} {}", exited.exit.phrase()),
        Observation::Paused(_) => format!("{who} was paused by an operator"),
        Observation::Unpaused(_) => format!("{who} was unpaused by an operator"),
        Observation::HealthChanged(changed) => match changed.to {
            Health::Healthy => format!("{who} turned healthy"),
            Health::Unhealthy => format!("{who} turned unhealthy"),
            Health::Starting => format!("{who}: its health check started again"),
            Health::None => format!("{who} no longer has a health check"),
        },
        Observation::SymptomRaised(raised) => {
            let described = symptom(raised.symptom, &raised.evidence);
            match raised.severity {
                Severity::Low => format!("{who} is unusual: {described}"),
                Severity::High => format!("{who} is sick: {described}"),
                Severity::Critical => format!("{who} is sick: {described} (critical)"),
            }
        }
        Observation::SymptomWorsened(worsened) => {
            format!("{who} got worse: {}", symptom(worsened.symptom, &worsened.evidence))
        }
        Observation::SymptomCleared(cleared) => {
            let no_longer = cleared.symptom.cleared_phrase();
            match cleared.why {
                Cleared::Well => format!("{who} {no_longer}, after {}", cleared.stood),
                Cleared::Stopped => format!("{who} {no_longer}: it is stopped, paused or no longer monitored"),
                Cleared::Removed => format!("{who} {no_longer}: it was removed"),
            }
        }
        Observation::Examined(examined) => {
            let missing = match examined.missing.len() {
                0 => String::new(),
                1 => ", 1 finding is missing".into(),
                n => format!(", {n} findings are missing"),
            };
            format!("{who} was examined: {} lines of its output{missing}", examined.output.len())
        }
        Observation::Sampled(_) | Observation::Stored(_) | Observation::DiskMeasured(_) => {
            format!("{who} was measured")
        }
        Observation::EngineLost(lost) => format!("the Docker engine of {who} does not answer: {}", lost.error),
        Observation::EngineFound(found) => format!("the Docker engine of {who} answers (Docker {})", found.version),
    }
}

fn diagnosed(who: &str, diagnosis: &Diagnosis) -> String {
    match diagnosis {
        Diagnosis::Reached(reached) => conclusion(who, reached),
        Diagnosis::OpinionSought(sought) => format!("{who}: {} is asked for a diagnosis", sought.model),
        Diagnosis::Opined(opined) => {
            let agrees = if opined.agrees { "agrees" } else { "does not agree" };
            format!("{who}: {} {agrees} with the rules: {}", by(&opined.opinion), opined.opinion.root_cause)
        }
        Diagnosis::Failed(failed) => format!("{who}: {} gave no diagnosis: {}", failed.model, failed.error),
    }
}

fn by(reached: &Reached) -> String {
    match &reached.method {
        Method::Rule { rule } => format!("rule {rule}"),
        Method::Model { model, .. } => model.clone(),
    }
}

fn conclusion(who: &str, reached: &Reached) -> String {
    let by = format!("({}, confidence {})", by(reached), reached.confidence);
    match (reached.verdict, &reached.remedy) {
        (Verdict::Sick, Some(remedy)) => {
            format!("{who} diagnosed: {}; {} would help {by}", reached.root_cause, remedy.name())
        }
        (Verdict::Sick, None) => {
            format!("{who} diagnosed: {}; no remedy of HemoStat's would help {by}", reached.root_cause)
        }
        (Verdict::FalseAlarm, _) => format!("{who} diagnosed: a false alarm, {} {by}", reached.root_cause),
        (Verdict::Unclear, _) => format!("{who} diagnosed: unclear, {} {by}", reached.root_cause),
    }
}

fn acted(who: &str, action: &Action) -> String {
    match action {
        Action::Proposed(proposed) => {
            format!("{} of {who} proposed; waiting for a person until {:.0}", proposed.remedy.name(), proposed.expires)
        }
        Action::Approved(approved) => format!("{who}: {} approved it", approved.by),
        Action::Denied(denied) => format!("{who}: {} denied it", denied.by),
        Action::Expired(_) => format!("{who}: the proposal expired without an answer"),
        Action::Authorised(authorised) => format!(
            "{} of {who} authorised, attempt {} of {}{}",
            authorised.remedy.name(),
            authorised.limits.attempt,
            authorised.limits.of,
            if authorised.dry_run { " (dry run)" } else { "" }
        ),
        Action::Refused(refused) => format!("{} of {who} refused: {}", refused.remedy.name(), refused.refusal),
        Action::Succeeded(succeeded) => {
            let remedy = succeeded.remedy.name();
            match succeeded.proof {
                Proof::Answered => format!("{remedy} of {who} done in {}", succeeded.took),
                Proof::Found => format!("{remedy} of {who} was done before HemoStat was interrupted"),
                Proof::DryRun => format!("{remedy} of {who} not done: dry run"),
            }
        }
        Action::Failed(failed) => format!("{} of {who} failed: {}", failed.remedy.name(), failed.error),
        Action::Verified(verified) => match verified.outcome {
            Outcome::Recovered => format!("{who} recovered after {}", verified.took),
            Outcome::Relapsed => format!("{who} relapsed: {}", verified.why),
            Outcome::Inconclusive => {
                format!("unknown whether {} helped {who}: {}", verified.remedy.name(), verified.why)
            }
        },
        Action::GaveUp(gave_up) => {
            format!("HemoStat gave up on {who} after {}, until {:.0}", attempts(gave_up.attempts), gave_up.until)
        }
        Action::BreakerReset(reset) => format!("{} reset the circuit breaker of {who}", reset.by),
        Action::Paused(paused) => format!("{} paused all healing on {who}: {}", paused.by, paused.reason),
        Action::Resumed(resumed) => format!("{} resumed healing on {who}", resumed.by),
        Action::DeadLetterRedriven(DeadLetterRedriven { letter, how, by, .. }) => {
            format!("{by} redrove dead letter {}: {} {} {}", letter.id, letter.group, how.phrase(), letter.event)
        }
        Action::DeadLetterDiscarded(DeadLetterDiscarded { letter, by, .. }) => {
            format!("{by} discarded dead letter {}: {} does not handle {}", letter.id, letter.group, letter.event)
        }
        Action::PolicyRefused(refused) => {
            format!("{} is refused, policy {} stays: {}", refused.origin, refused.policy, refused.reasons.join("; "))
        }
        Action::PoliciesCompared(compared) if compared.differ() => {
            let policies: Vec<_> =
                compared.policies.iter().map(|(process, hash)| format!("{process} {hash}")).collect();
            format!("the processes of HemoStat decide by different policies: {}", policies.join(", "))
        }
        Action::PoliciesCompared(_) => "the processes of HemoStat decide by one policy again".into(),
        Action::PolicyChanged(changed) => {
            format!("HemoStat decides by policy {}, from {}", changed.hash, changed.origin)
        }
    }
}

fn alerted(who: &str, alert: &Alert) -> String {
    match alert {
        Alert::Raised(raised) => format!("alert: {}", raised.title),
        Alert::Escalated(escalated) => format!("alert escalated: {}", escalated.title),
        Alert::Resolved(resolved) => {
            format!("alert resolved after {} ({}): {}", resolved.took, resolved.how.name(), resolved.title)
        }
        Alert::Suppressed(suppressed) => {
            format!("no alert, {}: {}", suppressed.why.phrase(), suppressed.title)
        }
        Alert::Tested(tested) => format!("{} sent a test alert for {who}", tested.by),
        Alert::Delivered(delivered) => match delivered.attempts {
            0 | 1 => format!("alert about {who} delivered to {}", delivered.channel),
            attempts => format!("alert about {who} delivered to {} at attempt {attempts}", delivered.channel),
        },
        Alert::Undelivered(undelivered) => format!(
            "alert about {who} not delivered to {} in {}: {}",
            undelivered.channel,
            attempts(undelivered.attempts),
            undelivered.error
        ),
    }
}

fn attempts(n: u32) -> String {
    if n == 1 { "1 attempt".into() } else { format!("{n} attempts") }
}

/// A symptom with its evidence: `memory high, 91.0 % for 1 min (threshold 80.0 %)`.
pub fn symptom(symptom: Symptom, evidence: &Evidence) -> String {
    match evidence {
        Evidence::Level { value, threshold, held, trend: _ } => {
            format!("{symptom}, {value} for {held} (threshold {threshold})")
        }
        Evidence::Exit { exit } => format!("{symptom}, it {}", exit.phrase()),
        Evidence::Restarts { count, within, last: _ } => format!("{symptom}, {count} restarts within {within}"),
        Evidence::Health { held } if held.as_millis() == 0 => symptom.to_string(),
        Evidence::Health { held } => format!("{symptom} for {held}"),
        Evidence::Killed { count, within } => format!("{symptom}, {count} processes killed within {within}"),
        Evidence::Flips { count, within } => format!("{symptom}, {count} times within {within}"),
        Evidence::Stalled { resource, value, threshold, held } => {
            let resource = resource.name();
            format!("{symptom}, {value} of the time waiting for {resource} for {held} (threshold {threshold})")
        }
        Evidence::Count { value, limit, held } => format!("{symptom}, {value} of {limit} for {held}"),
        Evidence::Growth { used, limit, per_hour, fit: _, over: _, limit_in } => {
            format!("{symptom}, {used} of {limit} growing by {per_hour} an hour: full in {limit_in}")
        }
        Evidence::Disk { path, value, threshold: _, writable, per_hour } => {
            format!("{symptom}, {path} is {value} full; it keeps {writable} there and grows by {per_hour} an hour")
        }
        Evidence::Unusual { value, expected, deviation: _, held } => {
            format!("{symptom}, {value:.1} instead of {expected:.1} for {held}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_attempt_is_singular() {
        assert_eq!([1, 2].map(attempts), ["1 attempt", "2 attempts"]);
    }
}
