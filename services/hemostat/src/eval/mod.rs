//! `hemostat eval`: how often the rules, or a model, are right about cases that people have labelled.
//!
//! Each case goes the way that it would go for real. The rules conclude; a model is asked what triage would ask, on the
//! terms that are configured, its answer is validated, and where it fails the rules' answer stands. So what is counted
//! is what HemoStat would do. It needs no log and no Docker.

mod answer;
mod case;
mod file;
mod report;
mod score;
mod set;
#[cfg(test)]
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

/// Who is to answer, and what.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Who is to answer. Keys, addresses, prices and the time limit of a model are settings (analyzer.*).
    #[arg(long, value_enum, default_value_t)]
    provider: Provider,
    /// Which model; without it, the one that is configured (analyzer.model, AI_MODEL).
    #[arg(long)]
    model: Option<String>,
    /// A directory with cases of one's own; without it, the ones that are built in.
    #[arg(long, value_name = "DIR")]
    cases: Option<PathBuf>,
    /// Only cases with this in their names, such as oom.
    #[arg(long, value_name = "PART")]
    only: Option<String>,
    /// Only so many cases, drawn by lot: a slow model is done sooner. The report says out of how many.
    #[arg(long, value_name = "COUNT")]
    sample: Option<NonZeroUsize>,
    /// Which lot: the same seed draws the same cases.
    #[arg(long, requires = "sample", default_value_t = 1)]
    seed: u64,
    /// In which form; JSON has every case, the table those that are not right.
    #[arg(long, value_enum, default_value_t)]
    format: Form,
    /// Ends with 1 where a smaller share of the cases is right, 0 to 1. It does in any case where an action would do harm.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    min_accuracy: f64,
}

/// Who is to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Provider {
    /// The rules alone.
    #[default]
    Rules,
    /// A model by OpenAI's API: OpenAI itself, or any server that speaks it (OPENAI_BASE_URL).
    Openai,
    /// Claude, by Anthropic's API.
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
    /// The settings that these options stand for.
    pub fn settings(&self) -> Vec<(String, String)> {
        let provider = match self.provider {
            Provider::Rules => return vec![],
            Provider::Openai => "openai",
            Provider::Anthropic => "anthropic",
        };
        let model = self.model.iter().map(|model| ("analyzer.model".to_owned(), model.clone()));
        [("analyzer.provider".to_owned(), provider.to_owned())].into_iter().chain(model).collect()
    }

    /// The cases to put and, where they are not all, how they were drawn.
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

/// Puts every case, and prints what the answers are worth.
///
/// # Errors
/// When no model can be asked, the cases cannot be read, or standard output does not take the report; and a
/// [`Verdict`] where too few are right or one would do harm.
pub async fn run(config: &Config, options: Options) -> anyhow::Result<()> {
    let (cases, sample) = options.set()?;
    let who = match options.provider {
        Provider::Rules => Who::Rules,
        Provider::Openai | Provider::Anthropic => {
            let counsel = hemostat_analyzer::counsel(config, Arc::new(SystemClock))?;
            let (Some(name), Some(provider)) = (config.analyzer.model.clone(), config.analyzer.provider()) else {
                bail!("no model is named: --model, analyzer.model or AI_MODEL");
            };
            Who::Model(policy::Model { provider: provider.name().to_owned(), name }, Box::new(counsel))
        }
    };
    let report = put(&who, &cases, |done, case| {
        // A model takes seconds for each case; the rules are done before anybody could read this.
        if let Who::Model(..) = who {
            let mark = if case.mark.is_right() { "right" } else { "not right" };
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

/// The answers to all cases, one after the other; `tell` hears of each.
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
        bail!(Verdict::bad(format!("{right:.1} % are right, and {wanted:.1} % were to be")));
    }
    Ok(())
}
