//! What can be found out about a sick container before anything is done to it?
//!
//! A restart destroys what would say why. So once a symptom is on the log, everything that is quick to get is got, all at
//! once: what Docker and its health check say, what it printed, its processes; and what the watch knows anyway: how it
//! lived lately and how those are that it belongs with. What does not come in time is named as missing, and nothing
//! waits for it.
//!
//! Nothing leaves here with a secret in it. What the container itself holds as secret (its environment says) is known
//! only as long as this takes; where its environment could not be read, nothing that it said is told.

use std::{future::Future, time::Duration};

use bollard::models::ContainerInspectResponse;
use hemostat_redact::{Literals, Redacted, Redactor};
use hemostat_schema::{
    ByteCount, Percent, Span, Timestamp,
    container::{ExitBy, Facts, State, Target},
    examination::{Change, Check, Examined, Line, Process, Relative, Sample},
    observation::Symptom,
};
use tokio::time::{Instant, timeout};

use crate::engine::{Engine, Error};

pub mod again;
pub mod changes;
mod checks;
pub mod orders;
mod output;
pub(crate) mod processes;
pub mod relatives;
#[cfg(test)]
mod tests;

/// How long the engine may take for each answer.
const ANSWER: Duration = Duration::from_secs(2);
/// Docker notes a start only after the program began, so its first words seem to come before it.
const EARLY: Duration = Duration::from_secs(1);
/// At most so many characters of what a check, a process or the engine said.
const WORDS: usize = 500;

/// How containers are examined.
#[derive(Debug, Clone)]
pub struct Settings {
    /// So many lines of output at most.
    pub lines: u32,
    /// So many bytes of output at most.
    pub bytes: u32,
    /// What else is secret.
    pub redactor: Redactor,
    /// Who stays ill is examined again after this time, and then ever more rarely; zero: never.
    pub again: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { lines: 60, bytes: 8 << 10, redactor: Redactor::default(), again: Duration::from_secs(300) }
    }
}

/// What is to be examined, and what is known of it without asking.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// The run that fell ill.
    pub target: Target,
    /// Why.
    pub symptoms: Vec<Symptom>,
    /// What was known of the container when it was ordered.
    pub known: Known,
}

/// What the watch knows of a container.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// What it is, as it was seen last.
    pub facts: Facts,
    /// What it used lately, oldest first.
    pub samples: Vec<Sample>,
    /// What changed about it lately, oldest first.
    pub changes: Vec<Change>,
    /// Those that it belongs with.
    pub relatives: Vec<Relative>,
    /// What its writable layer holds.
    pub writable: Option<ByteCount>,
    /// How full its disk is.
    pub disk: Option<Percent>,
}

/// Examines a container. It takes no longer than two seconds, whatever the engine does.
pub async fn examine(engine: &dyn Engine, order: Order, settings: &Settings) -> Examined {
    let began = Instant::now();
    let Order { target, symptoms, known } = order;
    let id = &target.id;
    let is_up = matches!(known.facts.state, State::Running | State::Paused);
    let since = output_since(&target, &symptoms);
    let (inspected, output, processes) = tokio::join!(
        asked(engine.inspect(id)),
        asked(engine.output(id, since, settings.lines.saturating_add(1))),
        async { if is_up { Some(asked(engine.processes(id)).await) } else { None } },
    );

    let mut missing = Missing::default();
    let inspect = missing.or_named("docker inspect", inspected);
    let told = match &inspect {
        Some(inspect) => {
            let began_at = runs_output_since(inspect, since);
            let output = missing.or_named("its output", output).unwrap_or_default();
            let rows = processes.and_then(|processes| missing.or_named("its processes", processes));
            let redactor = settings.redactor.knowing(own_secrets(inspect));
            let words = Words { redactor: &redactor, count: 0 };
            words.tell(inspect, &output::read(&output, began_at), rows.map(|rows| processes::read(&rows)), settings)
        }
        None => {
            if !missing.is_gone {
                missing.named.push(
                    "its output and its processes, as its environment, which tells its secrets, is not known"
                        .to_owned(),
                );
            }
            Told::default()
        }
    };
    let same_run = known.facts.target() == target;
    if !same_run {
        missing.named.push("how that run ended, as another has begun since".to_owned());
    }
    let exit = known.facts.exit.filter(|_| same_run);
    let killed = inspect.as_ref().and_then(|inspect| inspect.state.as_ref()?.oom_killed).unwrap_or(false);
    let missing = missing.named.iter().map(|missing| settings.redactor.redact(missing).text);
    Examined {
        out_of_memory: (killed && same_run)
            || exit.is_some_and(|exit| exit.by == ExitBy::Oom)
            || symptoms.iter().any(|symptom| matches!(symptom, Symptom::OomKilled | Symptom::OomChild)),
        target,
        symptoms,
        checks: told.checks,
        output: told.output,
        output_cut: told.output_cut,
        exit,
        processes: told.processes,
        samples: known.samples,
        changes: known.changes,
        relatives: known.relatives,
        writable: known.writable,
        disk: known.disk,
        missing: missing.map(|missing| shortened(&missing, WORDS)).collect(),
        redacted: told.redacted,
        took: Span::from(began.elapsed()),
    }
}

/// From when on its output is asked for. Of a container that is restarted again and again also what the runs before
/// printed counts: the present one has hardly begun.
fn output_since(target: &Target, symptoms: &[Symptom]) -> Option<Timestamp> {
    let started = target.started_at.filter(|_| !symptoms.contains(&Symptom::RestartLoop))?;
    started.checked_sub(EARLY).ok()
}

/// The same, without the last words of the run before, where Docker says when that ended: of a container that runs it
/// says when the run before did, of another when this one did, and of a short one in either order.
fn runs_output_since(inspect: &ContainerInspectResponse, since: Option<Timestamp>) -> Option<Timestamp> {
    let state = inspect.state.as_ref().filter(|state| state.running == Some(true));
    let before = state.and_then(|state| state.finished_at.as_deref()?.parse::<Timestamp>().ok());
    since.map(|since| before.map_or(since, |before| before.max(since)))
}

/// What the container itself holds as secret.
fn own_secrets(inspect: &ContainerInspectResponse) -> Literals {
    let config = inspect.config.as_ref();
    let environment = config.and_then(|config| config.env.as_ref()).into_iter().flatten().map(String::as_str);
    let labels = config.and_then(|config| config.labels.as_ref()).into_iter().flatten();
    let labels: Vec<String> = labels.map(|(name, value)| format!("{name}={value}")).collect();
    let parts = [config.and_then(|config| config.entrypoint.as_ref()), config.and_then(|config| config.cmd.as_ref())];
    let command = parts.into_iter().flatten().flatten().map(String::as_str).collect::<Vec<_>>().join(" ");
    Literals::new(environment.chain(labels.iter().map(String::as_str)), [command.as_str()])
}

async fn asked<T>(answer: impl Future<Output = Result<T, Error>>) -> Result<T, Unanswered> {
    match timeout(ANSWER, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(Unanswered::Error(error)),
        Err(_) => Err(Unanswered::Late),
    }
}

#[derive(Debug, thiserror::Error)]
enum Unanswered {
    #[error("no answer within {ANSWER:?}")]
    Late,
    #[error(transparent)]
    Error(Error),
}

/// What could not be found out.
#[derive(Default)]
struct Missing {
    named: Vec<String>,
    is_gone: bool,
}

impl Missing {
    fn or_named<T>(&mut self, what: &str, answer: Result<T, Unanswered>) -> Option<T> {
        match answer {
            Ok(answer) => Some(answer),
            // Said once, though every answer says it.
            Err(Unanswered::Error(Error::Gone(_))) if self.is_gone => None,
            Err(Unanswered::Error(Error::Gone(_))) => {
                self.is_gone = true;
                self.named.push("what only Docker knows, as the container is gone".to_owned());
                None
            }
            Err(error) => {
                self.named.push(format!("{what}: {error}"));
                None
            }
        }
    }
}

/// What a container said, without its secrets.
#[derive(Default)]
struct Told {
    checks: Vec<Check>,
    output: Vec<Line>,
    output_cut: bool,
    processes: Vec<Process>,
    redacted: u32,
}

/// Takes secrets out of words, and counts them.
struct Words<'a> {
    redactor: &'a Redactor,
    count: u32,
}

impl Words<'_> {
    fn tell(
        mut self,
        inspect: &ContainerInspectResponse,
        output: &[Line],
        processes: Option<Vec<Process>>,
        settings: &Settings,
    ) -> Told {
        let checks =
            checks::read(inspect).into_iter().map(|check| Check { output: self.short(&check.output), ..check });
        let checks = checks.collect();
        let processes = processes.unwrap_or_default().into_iter();
        let processes = processes.map(|process| Process { command: self.short(&process.command), ..process }).collect();
        let output = output::redacted(output, |lines| {
            let lines = self.redactor.redact_lines(lines.iter().copied());
            lines.into_iter().map(|line| self.counted(line)).collect()
        });
        let (output, output_cut) = output::bounded(output, settings.lines, settings.bytes);
        Told { checks, output, output_cut, processes, redacted: self.count }
    }

    fn short(&mut self, text: &str) -> String {
        let redacted = self.redactor.redact(text);
        shortened(self.counted(redacted).trim(), WORDS)
    }

    fn counted(&mut self, redacted: Redacted) -> String {
        self.count = self.count.saturating_add(redacted.count);
        redacted.text
    }
}

/// The beginning of a text, with a sign where there was more.
fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}
