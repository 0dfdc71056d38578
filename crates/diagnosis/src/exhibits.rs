//! Exhibits: the evidence of a case in pieces that a diagnosis cites, and that a model is shown and can cite.
//!
//! Each exhibit has an id that says what it is (`facts`, `unhealthy`, `checks`, `output.2`), a maximum size and a fixed
//! position; all together stay below [`EXHIBITS_BYTES`]. Times are given as ages, because a model has nothing to compare
//! an instant with. Log output gets the space that is left: the newest lines that fit.

use hemostat_schema::{
    Span, Timestamp,
    container::{Exit, Health, RestartPolicy, Vitals},
    diagnosis::Exhibit,
    examination::{Changed, Examined, Relation, Stream},
};

use hemostat_core::views::story;

use crate::{
    case::{Attempt, Case, PastIncident},
    plain_text::plain,
};

/// Maximum size of all exhibits together, in bytes.
pub const EXHIBITS_BYTES: usize = 12 * 1024;

/// Maximum size of one exhibit other than log output, in bytes.
const ONE: usize = 900;
/// Maximum characters of a line.
const LINE: usize = 300;
/// How many log lines form one exhibit, so that a citation is specific.
const BLOCK: usize = 12;
/// Maximum samples shown.
const SAMPLES: usize = 10;
/// Maximum processes, changes and related containers shown.
const ENTRIES: usize = 10;
/// Maximum checks shown, and characters of the output of each.
const CHECKS: usize = 4;
const CHECK: usize = 200;

/// All evidence of a case, in exhibits.
pub fn exhibits(case: &Case<'_>) -> Vec<Exhibit> {
    let mut shown = vec![exhibit("facts", "facts", facts(case))];
    shown.extend(case.active_symptoms.iter().map(|(symptom, active)| {
        let severity = active.severity.name();
        let description = story::symptom(*symptom, &active.evidence);
        let run = if active.target == case.facts.target() { "" } else { ", in an earlier run" };
        let text = format!("{description}; severity {severity}; since {}{run}", ago(active.since, case.now));
        exhibit(symptom.name(), "symptom", text)
    }));
    if let Some(exit) = case.facts.exit.or_else(|| case.examined.and_then(|examined| examined.exit)) {
        shown.push(exhibit("exit", "exit of its last run", end(case, &exit)));
    }
    if let Some(examined) = case.examined {
        shown.extend(of_examination(case, examined));
    } else if let Some(vitals) = case.vitals {
        shown.push(exhibit("samples", "what it uses", usage(vitals)));
    }
    shown.extend(lines(
        "tried",
        "remedies attempted in this incident",
        case.attempts.iter().map(|attempt| attempt_line(attempt, case.now)),
    ));
    shown.extend(lines(
        "past",
        "earlier incidents",
        case.past_incidents.iter().map(|past| past_incident_line(past, case.now)),
    ));
    let used: usize = shown.iter().map(size).sum();
    let output = case.examined.map_or(vec![], |examined| output(examined, EXHIBITS_BYTES.saturating_sub(used)));
    let place = shown.iter().position(|exhibit| AFTER_OUTPUT.contains(&exhibit.id.as_str())).unwrap_or(shown.len());
    shown.splice(place..place, output);
    while shown.iter().map(size).sum::<usize>() > EXHIBITS_BYTES {
        shown.pop();
    }
    shown
}

/// The id of the exhibit with this log line, if it is shown.
pub(crate) fn output_id(index: usize) -> String {
    format!("output.{}", index / BLOCK + 1)
}

/// Log output comes before the first of these.
const AFTER_OUTPUT: [&str; 6] = ["processes", "changes", "relatives", "missing", "tried", "past"];

fn exhibit(id: &str, kind: &str, text: String) -> Exhibit {
    Exhibit { id: id.to_owned(), kind: kind.to_owned(), text: shortened(text, ONE) }
}

/// An exhibit of several lines; `None` without lines.
fn lines(id: &str, kind: &str, lines: impl Iterator<Item = String>) -> Option<Exhibit> {
    let text = lines.map(|line| plain(&line, LINE)).collect::<Vec<_>>().join("\n");
    (!text.is_empty()).then(|| exhibit(id, kind, text))
}

/// At most `longest` bytes, cut at a character boundary.
fn shortened(mut text: String, longest: usize) -> String {
    if text.len() > longest {
        let cut = (0..=longest - '…'.len_utf8()).rev().find(|cut| text.is_char_boundary(*cut)).unwrap_or(0);
        text.truncate(cut);
        text.push('…');
    }
    text
}

fn size(exhibit: &Exhibit) -> usize {
    exhibit.id.len() + exhibit.kind.len() + exhibit.text.len()
}

/// The age of an instant.
fn ago(at: Timestamp, now: Timestamp) -> String {
    format!("{} ago", Span::between(at, now))
}

fn facts(case: &Case<'_>) -> String {
    let facts = case.facts;
    let state = facts.state.phrase();
    let since = facts.started_at.map_or(String::new(), |began| format!(", its run began {}", ago(began, case.now)));
    let health = facts.health.phrase();
    let policy = match facts.restart_policy {
        RestartPolicy::No => "never".to_owned(),
        RestartPolicy::Always => "always".to_owned(),
        RestartPolicy::UnlessStopped => "unless it was stopped".to_owned(),
        RestartPolicy::OnFailure { max: 0 } => "after a failure".to_owned(),
        RestartPolicy::OnFailure { max } => format!("after a failure, at most {max} times"),
    };
    let cpus = facts.limits.cpus.map_or("no CPU limit".to_owned(), |cpus| format!("at most {cpus} CPUs"));
    let memory = facts.limits.memory.map_or("no memory limit".to_owned(), |bytes| format!("at most {bytes} of memory"));
    let compose = facts.compose.as_ref().map_or(String::new(), |compose| {
        let needs = if compose.depends_on.is_empty() {
            String::new()
        } else {
            format!(", depends on {}", compose.depends_on.join(", "))
        };
        format!("\nservice {} of the Compose project {}{needs}", compose.service, compose.project)
    });
    format!(
        "image {}, created {}\nstate {state}{since}; {health}\nDocker restarts it {policy}; it has done so {} times\n{cpus}, {memory}{compose}",
        plain(&facts.image, LINE),
        ago(facts.created_at, case.now),
        facts.restarts,
    )
}

fn end(case: &Case<'_>, exit: &Exit) -> String {
    let lasted = match case.facts.started_at {
        Some(began) if began <= exit.at => format!(", {} after its run had begun", Span::between(began, exit.at)),
        _ => String::new(),
    };
    format!("it {} (exit code {}) {}{lasted}", exit.phrase(), exit.code, ago(exit.at, case.now))
}

fn usage(vitals: &Vitals) -> String {
    let throttled = vitals.strain.throttled.map_or(String::new(), |share| format!(", throttled {share} of the time"));
    let waits = [("CPU", vitals.strain.cpu), ("memory", vitals.strain.memory), ("disk", vitals.strain.disk)];
    let waits = waits.iter().filter_map(|(what, share)| share.map(|share| format!(", waits {share} for {what}")));
    format!(
        "CPU {}, memory {} ({} of {}), {} processes and threads{throttled}{}",
        vitals.cpu,
        vitals.memory,
        vitals.memory_used,
        vitals.memory_limit,
        vitals.pids,
        waits.collect::<String>(),
    )
}

fn of_examination(case: &Case<'_>, examined: &Examined) -> Vec<Exhibit> {
    let now = case.now;
    let skip = examined.samples.len().saturating_sub(SAMPLES);
    let samples = examined.samples.iter().skip(skip);
    let samples = samples.map(|sample| format!("{}: {}", ago(sample.at, now), usage(&sample.vitals)));
    let checks = examined.checks.iter().rev().take(CHECKS).rev().map(|check| {
        let code = match check.code {
            0 => "passed".to_owned(),
            -1 => "gave no answer in time".to_owned(),
            code => format!("failed with code {code}"),
        };
        format!("{}: {code}: {}", ago(check.at, now), plain(&check.output, CHECK))
    });
    let processes = examined.processes.iter().take(ENTRIES);
    let processes =
        processes.map(|process| format!("{} CPU time, {} memory: {}", process.cpu, process.memory, process.command));
    let changes = examined.changes.iter().rev().take(ENTRIES).rev();
    let changes = changes.map(|change| format!("{}: {}", ago(change.at, now), changed(&change.what)));
    let relatives = examined.relatives.iter().take(ENTRIES).map(|relative| {
        let relation = match relative.relation {
            Relation::Dependency => "a dependency of it",
            Relation::Network => "it shares the network of this one",
            Relation::Dependent => "depends on it",
            Relation::Replica => "another replica of the service",
            Relation::Project => "of the same project",
        };
        let health = match relative.health {
            Health::None => String::new(),
            health @ (Health::Starting | Health::Healthy | Health::Unhealthy) => format!(", {}", health.name()),
        };
        let since = relative.since.map_or(String::new(), |since| format!(", since {}", ago(since, now)));
        format!("{} ({relation}): {}{health}{since}", relative.name, relative.state.phrase())
    });
    let disk = examined.disk.map(|disk| {
        let writable = examined.writable.map_or(String::new(), |bytes| format!("; its writable layer holds {bytes}"));
        format!("its disk is {disk} full{writable}")
    });
    let killed =
        examined.out_of_memory.then(|| "the kernel killed one of its processes because memory ran out".to_owned());
    let own = if examined.target == case.facts.target() { "" } else { ", of an earlier run" };
    [
        lines("samples", &format!("what it used{own}"), samples),
        lines("killed", "memory", killed.into_iter()),
        lines("disk", "disk", disk.into_iter()),
        lines("checks", &format!("health check{own}"), checks),
        lines("processes", &format!("processes{own}"), processes),
        lines("changes", "changes", changes),
        lines("relatives", "other containers", relatives),
        lines("missing", "what the examination could not find out", examined.missing.iter().cloned()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn changed(what: &Changed) -> String {
    match what {
        Changed::Image { from, to } => format!("recreated from image {to}, before from {from}"),
        Changed::Recreated => "recreated from the same image".to_owned(),
        Changed::Limits => "its limits were changed".to_owned(),
        Changed::Started => "a run began".to_owned(),
        Changed::Ended { exit } => format!("a run ended: it {}", exit.phrase()),
        Changed::Health { to: Health::Healthy } => "turned healthy".to_owned(),
        Changed::Health { to: Health::Unhealthy } => "turned unhealthy".to_owned(),
        Changed::Health { to: Health::Starting | Health::None } => "its health check started again".to_owned(),
    }
}

fn attempt_line(attempt: &Attempt, now: Timestamp) -> String {
    let outcome = attempt.outcome.map_or("not known yet", outcome);
    format!("{}: {}: {outcome}", ago(attempt.at, now), attempt.remedy.name())
}

fn past_incident_line(past: &PastIncident, now: Timestamp) -> String {
    let symptoms = past.symptoms.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let cause = past.root_cause.as_ref().map_or(String::new(), |cause| format!("; {}", plain(cause, CHECK)));
    let attempt = match &past.attempt {
        Some(attempt) => format!("; {} {}", attempt.remedy.name(), attempt.outcome.map_or("was tried", outcome)),
        None => "; it passed without a remedy".to_owned(),
    };
    format!("over {}: {symptoms}{cause}{attempt}", ago(past.at, now))
}

fn outcome(outcome: hemostat_schema::action::Outcome) -> &'static str {
    use hemostat_schema::action::Outcome::{Inconclusive, Recovered, Relapsed};
    match outcome {
        Recovered => "helped",
        Relapsed => "did not help",
        Inconclusive => "had an unclear outcome",
    }
}

/// The newest log lines that fit into `room` bytes, in blocks whose ids do not depend on how many fit.
fn output(examined: &Examined, room: usize) -> Vec<Exhibit> {
    let mut blocks: Vec<Exhibit> = vec![];
    let mut used = 0;
    for (index, line) in examined.output.iter().enumerate().rev() {
        let mark = if line.stream == Stream::Stderr { "err " } else { "" };
        let text = format!("{mark}{}", plain(&line.text, LINE));
        let id = output_id(index);
        match blocks.last_mut().filter(|block| block.id == id) {
            Some(block) => {
                used += text.len() + 1;
                if used > room {
                    break;
                }
                block.text = format!("{text}\n{}", block.text);
            }
            None => {
                let block = Exhibit { id, kind: "output".to_owned(), text };
                used += size(&block);
                if used > room {
                    break;
                }
                blocks.push(block);
            }
        }
    }
    blocks.reverse();
    blocks
}

#[cfg(test)]
mod tests {
    use hemostat_schema::{
        action::{Outcome, Remedy},
        container::State,
        examination::Changed,
    };

    use super::*;
    use crate::tests::case_builder::{CaseBuilder, unhealthy};

    fn shown(builder: &CaseBuilder) -> Vec<(String, String)> {
        builder.case(|case| exhibits(case).into_iter().map(|shown| (shown.id, shown.text)).collect())
    }

    #[test]
    fn a_case_becomes_exhibits_with_ages_for_times() {
        let builder = unhealthy(90)
            .limited(Some(0.5), Some(64 << 20))
            .used(&[(97.0, 40.0, 3)])
            .checked(-1, "Health check exceeded timeout (3s)\n")
            .printed(4, &["listening on :80", "\u{1b}[31mslow\u{202e} query"])
            .process("node server.js")
            .changed(6900, Changed::Started)
            .relative("db", Relation::Dependency, State::Running, Health::Healthy, 60)
            .attempted(Remedy::Restart, None, Outcome::Relapsed);
        let expected = [
            (
                "facts",
                "image api:1, created 2 h 1 min ago\nstate running, its run began 2 h ago; its health check fails\nDocker \
                 restarts it never; it has done so 0 times\nat most 0.5 CPUs, at most 64.0 MiB of memory",
            ),
            ("unhealthy", "unhealthy; severity high; since 1 min 30 s ago"),
            ("samples", "1 min 40 s ago: CPU 97.0 %, memory 40.0 % (0 B of 0 B), 3 processes and threads"),
            ("checks", "5.0 s ago: gave no answer in time: Health check exceeded timeout (3s)"),
            ("output.1", "listening on :80\n[31mslow query"),
            ("processes", "0 ms CPU time, 0 B memory: node server.js"),
            ("changes", "5 min ago: a run began"),
            ("relatives", "db (a dependency of it): running, healthy, since 1 h 59 min ago"),
            ("tried", "5 min ago: restart: did not help"),
        ];
        let expected: Vec<_> = expected.map(|(id, text)| (id.to_owned(), text.to_owned())).into();
        assert_eq!(shown(&builder), expected);
    }

    #[test]
    fn the_newest_log_lines_that_fit_are_shown_in_blocks_with_stable_ids() {
        let lines: Vec<String> = (0..200).map(|n| format!("{n:03} {}", "x".repeat(200))).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let builder = unhealthy(90).printed(1, &lines);
        let output: Vec<_> = shown(&builder).into_iter().filter(|(id, _)| id.starts_with("output.")).collect();
        let (first, last) = (&output[0], &output[output.len() - 1]);
        assert_eq!((last.0.as_str(), last.1.lines().last().map(|line| &line[..3])), ("output.17", Some("199")));
        assert!(first.0 != "output.1" && output.len() > 3, "{first:?}");
        let size: usize = builder.case(|case| exhibits(case).iter().map(size).sum());
        assert!((EXHIBITS_BYTES - 300..=EXHIBITS_BYTES).contains(&size), "{size}");
    }
}
