//! Examines a container with symptoms: collects evidence before a restart destroys it.
//!
//! Once a symptom is on the log, the monitor asks the engine concurrently for the inspection with its health checks, the
//! last output and the processes, and adds what it knows already: recent samples, recent changes and related containers.
//! Answers that do not come within two seconds are listed as missing.
//!
//! All texts are redacted. The secrets of the container itself come from its environment, labels and command line, and are
//! held only during the examination. If these could not be read, its output and processes are withheld.

use std::{future::Future, time::Duration};

use hemostat_docker::{Error, models::ContainerInspectResponse, timestamp};
use hemostat_redact::{KnownSecrets, Redacted, Redactor};
use hemostat_schema::{
    ByteCount, Percent, Span, Timestamp,
    container::{ExitBy, Facts, Run, State},
    examination::{Change, Check, Examined, Line, Process, Relative, Sample},
    observation::Symptom,
};
use tokio::time::{Instant, timeout};

use self::{requests::ExaminationRequest, text::shortened};
use crate::engine::Engine;

pub mod changes;
mod checks;
mod output;
pub(crate) mod processes;
pub mod reexamination;
pub mod relatives;
pub mod requests;
#[cfg(test)]
mod tests;
mod text;

/// How long the engine may take for each answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// Docker records a start only after the program began, so its first lines may have an earlier timestamp.
const START_RECORDED_LATE: Duration = Duration::from_secs(1);
/// Maximum characters of a check's output, a command line or an error.
const MAX_TEXT: usize = 500;

/// How containers are examined.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Maximum lines of output.
    pub lines: u32,
    /// Maximum bytes of output.
    pub bytes: u32,
    /// Redacts configured secrets.
    pub redactor: Redactor,
    /// A container whose symptoms persist is examined again after this time, then at doubling intervals; zero: never.
    pub again: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { lines: 60, bytes: 8 << 10, redactor: Redactor::default(), again: Duration::from_secs(300) }
    }
}

/// What the monitor knows of a container without asking the engine.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerContext {
    /// Its facts, as last observed.
    pub facts: Facts,
    /// Its recent samples, oldest first.
    pub samples: Vec<Sample>,
    /// Its recent changes, oldest first.
    pub changes: Vec<Change>,
    /// Related containers.
    pub relatives: Vec<Relative>,
    /// The size of its writable layer.
    pub writable: Option<ByteCount>,
    /// How full the disk with Docker's data is.
    pub disk: Option<Percent>,
}

/// Examines a container, within two seconds whatever the engine does.
pub async fn examine(
    engine: &dyn Engine,
    request: &ExaminationRequest,
    known: ContainerContext,
    settings: &Settings,
) -> Examined {
    let began = Instant::now();
    let ExaminationRequest { target, symptoms, .. } = request;
    let id = &target.id;
    let is_up = matches!(known.facts.state, State::Running | State::Paused);
    let since = output_since(target, symptoms);
    let (inspected, output, processes) = tokio::join!(
        answer(engine.inspect(id)),
        answer(engine.output(id, since, settings.lines.saturating_add(1))),
        async { if is_up { Some(answer(engine.processes(id)).await) } else { None } },
    );

    let mut missing = Missing::default();
    let inspect = missing.or_named("docker inspect", inspected);
    let texts = match &inspect {
        Some(inspect) => {
            let began_at = runs_output_since(inspect, since);
            let output = missing.or_named("its output", output).unwrap_or_default();
            let rows = processes.and_then(|processes| missing.or_named("its processes", processes));
            let redactor = settings.redactor.with_known(own_secrets(inspect));
            let text_redactor = TextRedactor { redactor: &redactor, count: 0 };
            text_redactor.apply(
                inspect,
                &output::read(&output, began_at),
                rows.map(|rows| processes::read(&rows)),
                settings,
            )
        }
        None => {
            if !missing.is_gone {
                missing.named.push(
                    "its output and its processes, as its environment, which holds its secrets, is not known"
                        .to_owned(),
                );
            }
            RedactedTexts::default()
        }
    };
    let same_run = known.facts.target() == *target;
    if !same_run {
        missing.named.push("how that run ended, as a new run has started since".to_owned());
    }
    let exit = known.facts.exit.filter(|_| same_run);
    let killed = inspect.as_ref().and_then(|inspect| inspect.state.as_ref()?.oom_killed).unwrap_or(false);
    let missing = missing.named.iter().map(|missing| settings.redactor.redact(missing).text);
    Examined {
        out_of_memory: (killed && same_run)
            || exit.is_some_and(|exit| exit.by == ExitBy::Oom)
            || symptoms.iter().any(|symptom| matches!(symptom, Symptom::OomKilled | Symptom::OomChild)),
        target: target.clone(),
        symptoms: symptoms.clone(),
        checks: texts.checks,
        output: texts.output,
        output_cut: texts.output_cut,
        exit,
        processes: texts.processes,
        samples: known.samples,
        changes: known.changes,
        relatives: known.relatives,
        writable: known.writable,
        disk: known.disk,
        missing: missing.map(|missing| shortened(&missing, MAX_TEXT)).collect(),
        redacted: texts.redacted,
        took: Span::from(began.elapsed()),
    }
}

/// From when on output is requested: the start of the run. In a restart loop also the output of earlier runs counts, as
/// the present one has just begun.
fn output_since(target: &Run, symptoms: &[Symptom]) -> Option<Timestamp> {
    let started = target.started_at.filter(|_| !symptoms.contains(&Symptom::RestartLoop))?;
    started.checked_sub(START_RECORDED_LATE).ok()
}

/// The same without the last lines of the previous run. Docker's `FinishedAt` is the end of the previous run only while the
/// container runs.
fn runs_output_since(inspect: &ContainerInspectResponse, since: Option<Timestamp>) -> Option<Timestamp> {
    let state = inspect.state.as_ref().filter(|state| state.running == Some(true));
    let before = state.and_then(|state| timestamp(state.finished_at.as_deref()?));
    since.map(|since| before.map_or(since, |before| before.max(since)))
}

/// The secrets of the container itself, from its environment, labels and command line.
fn own_secrets(inspect: &ContainerInspectResponse) -> KnownSecrets {
    let config = inspect.config.as_ref();
    let environment = config.and_then(|config| config.env.as_ref()).into_iter().flatten().map(String::as_str);
    let labels = config.and_then(|config| config.labels.as_ref()).into_iter().flatten();
    let labels: Vec<String> = labels.map(|(name, value)| format!("{name}={value}")).collect();
    let parts = [config.and_then(|config| config.entrypoint.as_ref()), config.and_then(|config| config.cmd.as_ref())];
    let command = parts.into_iter().flatten().flatten().map(String::as_str).collect::<Vec<_>>().join(" ");
    KnownSecrets::new(environment.chain(labels.iter().map(String::as_str)), [command.as_str()])
}

async fn answer<T>(request: impl Future<Output = Result<T, Error>>) -> Result<T, Unanswered> {
    match timeout(ANSWER_TIMEOUT, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(Unanswered::Error(error)),
        Err(_) => Err(Unanswered::Late),
    }
}

#[derive(Debug, thiserror::Error)]
enum Unanswered {
    #[error("no answer within {ANSWER_TIMEOUT:?}")]
    Late,
    #[error(transparent)]
    Error(Error),
}

/// Evidence that could not be collected.
#[derive(Default)]
struct Missing {
    named: Vec<String>,
    is_gone: bool,
}

impl Missing {
    fn or_named<T>(&mut self, what: &str, answer: Result<T, Unanswered>) -> Option<T> {
        match answer {
            Ok(answer) => Some(answer),
            // Listed once, though every answer says it.
            Err(Unanswered::Error(Error::Gone(_))) if self.is_gone => None,
            Err(Unanswered::Error(Error::Gone(_))) => {
                self.is_gone = true;
                self.named.push("everything that Docker would know, as the container is gone".to_owned());
                None
            }
            Err(error) => {
                self.named.push(format!("{what}: {error}"));
                None
            }
        }
    }
}

/// The redacted texts of an examination.
#[derive(Default)]
struct RedactedTexts {
    checks: Vec<Check>,
    output: Vec<Line>,
    output_cut: bool,
    processes: Vec<Process>,
    redacted: u32,
}

/// Redacts texts and counts the redactions.
struct TextRedactor<'a> {
    redactor: &'a Redactor,
    count: u32,
}

impl TextRedactor<'_> {
    fn apply(
        mut self,
        inspect: &ContainerInspectResponse,
        output: &[Line],
        processes: Option<Vec<Process>>,
        settings: &Settings,
    ) -> RedactedTexts {
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
        RedactedTexts { checks, output, output_cut, processes, redacted: self.count }
    }

    fn short(&mut self, text: &str) -> String {
        let redacted = self.redactor.redact(text);
        shortened(self.counted(redacted).trim(), MAX_TEXT)
    }

    fn counted(&mut self, redacted: Redacted) -> String {
        self.count = self.count.saturating_add(redacted.count);
        redacted.text
    }
}
