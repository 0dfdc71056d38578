//! What happened, in one English line for each event: for the timeline, `hemostat tail` and the demo.
//!
//! Every line is a sentence of its own that names whom it is about. The matches are exhaustive on purpose: a new kind of
//! event does not compile until somebody has said how it is told.

use hemostat_schema::{
    Action, Alert, Body, Diagnosis, Observation, Recorded,
    action::{Outcome, Proof},
    alert::{Resolution, Suppression},
    container::{Exit, ExitBy, Health, State},
    diagnosis::{Method, Reached, Verdict},
    observation::{Cleared, Evidence, Severity, Symptom},
};

/// The line for `event`, without its time.
pub fn line(event: &Recorded) -> String {
    let who = event.subject.short();
    match &event.body {
        Body::Known(hemostat_schema::Event::Observation(observation)) => observed(who, observation),
        Body::Known(hemostat_schema::Event::Diagnosis(diagnosis)) => diagnosed(who, diagnosis),
        Body::Known(hemostat_schema::Event::Action(action)) => acted(who, action),
        Body::Known(hemostat_schema::Event::Alert(alert)) => told(who, alert),
        Body::Unknown { kind, version, .. } => {
            format!("{who}: {kind} (version {version}), which this HemoStat does not know")
        }
    }
}

/// Whether `event` is worth a line in a story. Samples are not: they come all the time and say little one by one.
pub fn is_notable(event: &Recorded) -> bool {
    !matches!(
        event.body,
        Body::Known(hemostat_schema::Event::Observation(
            Observation::Sampled(_) | Observation::Stored(_) | Observation::DiskMeasured(_)
        )) | Body::Unknown { .. }
    )
}

fn observed(who: &str, observation: &Observation) -> String {
    match observation {
        Observation::Seen(seen) => {
            format!("{who} is there: {}, {}", seen.facts.image, state(seen.facts.state))
        }
        Observation::Removed(_) => format!("{who} was removed"),
        Observation::Started(_) => format!("{who} started"),
        Observation::Exited(exited) => format!("{who} {}", ended(&exited.exit)),
        Observation::Frozen(_) => format!("{who} was paused by an operator"),
        Observation::Thawed(_) => format!("{who} was unpaused by an operator"),
        Observation::HealthChanged(changed) => match changed.to {
            Health::Healthy => format!("{who} turned healthy"),
            Health::Unhealthy => format!("{who} turned unhealthy"),
            Health::Starting => format!("{who}: its health check began anew"),
            Health::None => format!("{who} has no health check any more"),
        },
        Observation::Sampled(sampled) => {
            format!("{who} uses {} of its CPU, {} of its memory", sampled.vitals.cpu, sampled.vitals.memory)
        }
        Observation::Stored(stored) => format!("{who} keeps {} in its writable layer", stored.writable),
        Observation::SymptomRaised(raised) => {
            let told = symptom(raised.symptom, &raised.evidence);
            match raised.severity {
                Severity::Low => format!("{who} is not as usual: {told}"),
                Severity::High => format!("{who} is sick: {told}"),
                Severity::Critical => format!("{who} is sick: {told} (critical)"),
            }
        }
        Observation::SymptomWorsened(worsened) => {
            format!("{who} grew worse: {}", symptom(worsened.symptom, &worsened.evidence))
        }
        Observation::SymptomCleared(cleared) => {
            let no_longer = no_longer(cleared.symptom);
            match cleared.why {
                Cleared::Well => format!("{who} {no_longer}, after {}", cleared.stood),
                Cleared::Stopped => format!("{who} {no_longer}: an operator stopped it"),
                Cleared::Removed => format!("{who} {no_longer}: it was removed"),
            }
        }
        Observation::Examined(examined) => {
            let missing = match examined.missing.len() {
                0 => String::new(),
                n => format!(", {n} things could not be found out"),
            };
            format!("{who} was examined: {} lines of its output{missing}", examined.output.len())
        }
        Observation::DiskMeasured(disk) => format!("the disk of {who} at {} is {} full", disk.path, disk.used()),
        Observation::EngineLost(lost) => format!("the Docker engine of {who} does not answer: {}", lost.error),
        Observation::EngineFound(found) => format!("the Docker engine of {who} answers (Docker {})", found.version),
    }
}

fn diagnosed(who: &str, diagnosis: &Diagnosis) -> String {
    match diagnosis {
        Diagnosis::Reached(reached) => conclusion(who, reached),
        Diagnosis::OpinionSought(sought) => format!("{who}: {} is asked for its opinion", sought.model),
        Diagnosis::Opined(opined) => {
            let agrees = if opined.agrees { "agrees" } else { "does not agree" };
            format!("{who}: {} {agrees} with the rules: {}", by(&opined.opinion), opined.opinion.root_cause)
        }
        Diagnosis::Failed(failed) => format!("{who}: {} gave no opinion: {}", failed.model, failed.error),
    }
}

fn by(reached: &Reached) -> String {
    match &reached.method {
        Method::Rule { rule } => format!("rule {rule}"),
        Method::Model { model, .. } => model.clone(),
    }
}

fn conclusion(who: &str, reached: &Reached) -> String {
    let sure = format!("({}, {} sure)", by(reached), reached.confidence);
    match (reached.verdict, &reached.remedy) {
        (Verdict::Sick, Some(remedy)) => {
            format!("{who} diagnosed: {}; {} would help {sure}", reached.root_cause, remedy.name())
        }
        (Verdict::Sick, None) => {
            format!("{who} diagnosed: {}; nothing HemoStat can do helps {sure}", reached.root_cause)
        }
        (Verdict::FalseAlarm, _) => format!("{who} diagnosed: a false alarm, {} {sure}", reached.root_cause),
        (Verdict::Unclear, _) => format!("{who} diagnosed: unclear, {} {sure}", reached.root_cause),
    }
}

fn acted(who: &str, action: &Action) -> String {
    match action {
        Action::Proposed(proposed) => {
            format!("{} of {who} proposed; waiting for a person until {:.0}", proposed.remedy.name(), proposed.expires)
        }
        Action::Approved(approved) => format!("{who}: {} approved it", approved.by),
        Action::Denied(denied) => format!("{who}: {} denied it", denied.by),
        Action::Expired(_) => format!("{who}: nobody approved it in time"),
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
                Proof::Found => format!("{remedy} of {who} had been done before HemoStat was interrupted"),
                Proof::DryRun => format!("{remedy} of {who} not done: this is a dry run"),
            }
        }
        Action::Failed(failed) => format!("{} of {who} failed: {}", failed.remedy.name(), failed.error),
        Action::Verified(verified) => match verified.outcome {
            Outcome::Recovered => format!("{who} recovered after {}", verified.took),
            Outcome::Relapsed => format!("{who} relapsed: {}", verified.why),
            Outcome::Inconclusive => {
                format!("whether {} helped {who} cannot be told: {}", verified.remedy.name(), verified.why)
            }
        },
        Action::GaveUp(gave_up) => {
            format!("gave up on {who} after {}, until {:.0}", attempts(gave_up.attempts), gave_up.until)
        }
        Action::BreakerReset(reset) => format!("{} let HemoStat try {who} again", reset.by),
        Action::Paused(paused) => format!("{} paused all healing on {who}: {}", paused.by, paused.reason),
        Action::Resumed(resumed) => format!("{} resumed healing on {who}", resumed.by),
    }
}

fn told(who: &str, alert: &Alert) -> String {
    match alert {
        Alert::Raised(raised) => format!("alert: {}", raised.title),
        Alert::Escalated(escalated) => format!("alert escalated: {}", escalated.title),
        Alert::Resolved(resolved) => {
            let how = match resolved.how {
                Resolution::Healed => "healed",
                Resolution::Passed => "passed",
                Resolution::Stopped => "stopped by an operator",
                Resolution::Removed => "removed",
            };
            format!("alert resolved after {} ({how}): {}", resolved.took, resolved.title)
        }
        Alert::Suppressed(suppressed) => {
            let why = match suppressed.why {
                Suppression::Duplicate => "it has been told already",
                Suppression::Disabled => "alerts are switched off",
            };
            format!("no alert, {why}: {}", suppressed.title)
        }
        Alert::Tested(tested) => format!("{} tries whether alerts of {who} arrive", tested.by),
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

/// A symptom with what it rests on: `memory high, 91.0 % for 1 min (80.0 % is the limit)`.
pub fn symptom(symptom: Symptom, evidence: &Evidence) -> String {
    match evidence {
        Evidence::Level { value, threshold, held, trend: _ } => {
            format!("{symptom}, {value} for {held} ({threshold} is the limit)")
        }
        Evidence::Exit { exit } => format!("{symptom}, it {}", ended(exit)),
        Evidence::Restarts { count, within, last: _ } => format!("{symptom}, {count} restarts within {within}"),
        Evidence::Health { held } if held.as_millis() == 0 => symptom.to_string(),
        Evidence::Health { held } => format!("{symptom} for {held}"),
        Evidence::Killed { count, within } => format!("{symptom}, {count} processes killed within {within}"),
        Evidence::Flips { count, within } => format!("{symptom}, {count} times within {within}"),
        Evidence::Stalled { resource, value, threshold, held } => {
            let resource = resource.name();
            format!("{symptom}, {value} of the time waiting for {resource} for {held} ({threshold} is the limit)")
        }
        Evidence::Count { value, limit, held } => format!("{symptom}, {value} of {limit} for {held}"),
        Evidence::Growth { used, limit, per_hour, fit: _, over: _, limit_in } => {
            format!("{symptom}, {used} of {limit} and {per_hour} more an hour: full in {limit_in}")
        }
        Evidence::Disk { path, value, threshold: _, writable, per_hour } => {
            format!("{symptom}, {path} is {value} full; it keeps {writable} there and adds {per_hour} an hour")
        }
        Evidence::Unusual { value, expected, deviation: _, held } => {
            format!("{symptom}, {value:.1} instead of {expected:.1} for {held}")
        }
    }
}

fn no_longer(symptom: Symptom) -> String {
    match symptom {
        Symptom::Unhealthy => "is no longer unhealthy".into(),
        Symptom::Exited | Symptom::OomKilled => "is no longer down".into(),
        Symptom::RestartLoop => "no longer restarts again and again".into(),
        Symptom::CpuHigh => "no longer uses too much CPU".into(),
        Symptom::MemoryHigh => "no longer uses too much memory".into(),
        Symptom::OomChild => "has lost no more processes for want of memory".into(),
        Symptom::Flapping => "no longer changes between healthy and unhealthy".into(),
        Symptom::CpuThrottled => "is no longer held back by its CPU limit".into(),
        Symptom::Pressure => "no longer waits too much".into(),
        Symptom::PidsHigh => "no longer has too many processes".into(),
        Symptom::MemoryLeak => "no longer grows towards its memory limit".into(),
        Symptom::DiskFilling => "no longer fills the disk".into(),
        Symptom::CpuUnusual | Symptom::MemoryUnusual | Symptom::NetworkUnusual | Symptom::BlockUnusual => {
            "is as usual again".into()
        }
    }
}

/// How a run ended, as a verb: `crashed with code 1`.
pub fn ended(exit: &Exit) -> String {
    match exit.by {
        ExitBy::Itself => "finished by itself".into(),
        ExitBy::Crash => format!("crashed with code {}", exit.code),
        ExitBy::Oom => "was killed for want of memory".into(),
        ExitBy::Operator => "was stopped through Docker".into(),
        ExitBy::Unknown => format!("ended with code {} before HemoStat looked", exit.code),
    }
}

/// A life cycle as a person would call it.
pub fn state(state: State) -> &'static str {
    match state {
        State::Created => "created",
        State::Running => "running",
        State::Paused => "paused",
        State::Restarting => "restarting",
        State::Removing => "being removed",
        State::Exited => "exited",
        State::Dead => "dead",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_attempt_is_not_attempts() {
        assert_eq!([1, 2].map(attempts), ["1 attempt", "2 attempts"]);
    }
}
