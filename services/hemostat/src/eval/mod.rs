//! `hemostat eval`: how often the rules, or a model, are right on cases that people have labelled.
//!
//! Each case takes the same path as in production: the rules diagnose; a model is asked what triage would ask, its answer
//! is validated, and if it fails, the rules' answer is used. So the figures are those of what HemoStat would do. It needs
//! neither a log nor Docker.

mod answer;
mod case;
mod choice;
mod file;
mod report;
mod score;
mod set;
#[cfg(test)]
#[cfg(feature = "cases")]
mod tests;

use std::{num::NonZeroUsize, path::PathBuf, sync::Arc};

use anyhow::bail;
use clap::{Args, ValueEnum};
use hemostat_core::{Policy, policy};
use hemostat_runtime::SystemClock;
use hemostat_settings::Config;

use self::{
    answer::{Answer, Who},
    case::Labelled,
    report::{Case, Report},
    set::Sample,
};
use crate::history::{
    Verdict,
    format::{Format, Out, quietly},
};

/// Options of `hemostat eval`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Who answers. Keys, addresses, prices and time limit of a model are settings (analyzer.*).
    #[arg(long, value_enum, default_value_t)]
    provider: Provider,
    /// The model. Default: the configured one (analyzer.model, AI_MODEL).
    #[arg(long)]
    model: Option<String>,
    /// A directory of cases. Default: the built-in ones.
    #[arg(long, value_name = "DIR")]
    cases: Option<PathBuf>,
    /// Only cases with this in their names, such as oom.
    #[arg(long, value_name = "PART")]
    only: Option<String>,
    /// Only a random sample of this size, so that a slow model finishes sooner.
    #[arg(long, value_name = "COUNT")]
    sample: Option<NonZeroUsize>,
    /// Seed of the sample: the same seed draws the same cases.
    #[arg(long, requires = "sample", default_value_t = 1)]
    seed: u64,
    /// Output format; JSON contains every case, the table only those that are wrong.
    #[arg(long, value_enum, default_value_t)]
    format: Form,
    /// Exit code 1 if accuracy (0 to 1) is lower. A harmful action always gives exit code 1.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    min_accuracy: f64,
}

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Provider {
    /// The rules alone.
    #[default]
    Rules,
    /// A model with OpenAI's API: OpenAI or a compatible server (OPENAI_BASE_URL).
    Openai,
    /// Claude, with Anthropic's API.
    Anthropic,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Form {
    /// For people.
    #[default]
    Table,
    /// One JSON value.
    Json,
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("{text:?} is not a share from 0 to 1, such as 0.9"))
}

impl Options {
    /// These options as settings.
    pub fn settings(&self) -> Vec<(String, String)> {
        let provider = match self.provider {
            Provider::Rules => return vec![],
            Provider::Openai => "openai",
            Provider::Anthropic => "anthropic",
        };
        let model = self.model.iter().map(|model| ("analyzer.model".to_owned(), model.clone()));
        [("analyzer.provider".to_owned(), provider.to_owned())].into_iter().chain(model).collect()
    }

    /// The selected cases and, if they are a sample, how it was drawn.
    fn set(&self) -> anyhow::Result<(Vec<Labelled>, Option<Sample>)> {
        let mut cases = match &self.cases {
            Some(directory) => set::of_directory(directory)?,
            None => set::built_in()?,
        };
        if let Some(part) = &self.only {
            cases.retain(|case| case.name.contains(part.as_str()));
            if cases.is_empty() {
                bail!("no case has {part:?} in its name");
            }
        }
        Ok(match self.sample {
            Some(count) => {
                let sample = Sample { of: cases.len(), seed: self.seed };
                (sample.draw(cases, count), Some(sample))
            }
            None => (cases, None),
        })
    }
}

/// Runs every case and prints the report.
///
/// # Errors
/// When no model is configured or the cases cannot be read; and a [`Verdict`] if accuracy is too low or an action would
/// do harm.
pub async fn run(config: &Config, options: Options) -> anyhow::Result<()> {
    let (cases, sample) = options.set()?;
    let who = match options.provider {
        Provider::Rules => Who::Rules,
        Provider::Openai | Provider::Anthropic => {
            let model_client = hemostat_analyzer::model_client(&config.analyzer, Arc::new(SystemClock))?;
            let (Some(name), Some(provider)) = (config.analyzer.model.clone(), config.analyzer.provider()) else {
                bail!("no model is configured: use --model, analyzer.model or AI_MODEL");
            };
            Who::Model(policy::Model { provider: provider.name().to_owned(), name }, Box::new(model_client))
        }
    };
    let report = put(&who, &cases, |done, case| {
        // A model takes seconds per case; the rules take microseconds.
        if let Who::Model(..) = who {
            let mark = if case.mark.is_right() { "right" } else { "wrong" };
            let trouble = case.trouble.as_ref().map_or(String::new(), |trouble| format!(" (rules: {trouble})"));
            anstream::eprintln!("{done}/{}  {}: {}: {mark}{trouble}", cases.len(), case.name, case.said());
        }
    });
    let report = Report { sample, ..report.await };
    let printed = match options.format {
        Form::Table => {
            let mut out = Out::new(Format::Table);
            report.print(&mut out).and_then(|()| out.finish())
        }
        Form::Json => {
            let mut out = Out::new(Format::Ndjson);
            out.value(&report).and_then(|()| out.finish())
        }
    };
    quietly(printed.map_err(Into::into))?;
    verdict(&report, options.min_accuracy)
}

/// Answers all cases in sequence; calls `tell` after each.
async fn put(who: &Who, cases: &[Labelled], tell: impl Fn(usize, &Case)) -> Report {
    let policy = Policy::default();
    let mut answers: Vec<(&Labelled, Answer)> = vec![];
    for (n, labelled) in (1..).zip(cases) {
        let answer = who.answer(n, labelled, &policy).await;
        answers.push((labelled, answer.clone()));
        tell(answers.len(), &Case::of(labelled, &answer));
    }
    let model = match who {
        Who::Rules => None,
        Who::Model(model, _) => Some((model.provider.clone(), model.name.clone())),
    };
    Report::of(model, &answers)
}

fn verdict(report: &Report, min_accuracy: f64) -> anyhow::Result<()> {
    let summary = &report.summary;
    if summary.harmful > 0 {
        bail!(Verdict::bad(format!("{} of {} actions would do harm", summary.harmful, summary.cases)));
    }
    if summary.accuracy < min_accuracy {
        let (right, wanted) = (summary.accuracy * 100.0, min_accuracy * 100.0);
        bail!(Verdict::bad(format!("accuracy {right:.1} % is below {wanted:.1} %")));
    }
    Ok(())
}
