//! `hemostat backtest`: repeats past decisions under another policy.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use hemostat_history::backtest::{self, Change, DecisionSummary, Report};
use hemostat_runtime::Context;
use hemostat_settings::{Config, Input};
use serde_json::json;

use super::{
    Verdict, Which,
    format::{Format, Out, quietly, table},
    nothing,
    progress::Shown,
};

/// Options of `hemostat backtest`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// The policy to try: a configuration file. It is compared with the policies that the log has recorded.
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    #[command(flatten)]
    which: Which,
    /// Exit code 1 if the policy would do this (for CI). Can be repeated.
    #[arg(long, value_enum, value_name = "WHAT")]
    fail_on: Vec<Failure>,
    /// Output format.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What counts as a failure of the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Failure {
    /// More remedies than were executed.
    MoreActions,
    /// Fewer recoveries than there were.
    FewerRecoveries,
}

/// Prints the decisions that would change.
///
/// # Errors
/// When the policy cannot be read, or log or archive not; [`Verdict`] when it does what it must not.
pub async fn run(ctx: &Context, config: &Config, options: Options) -> anyhow::Result<()> {
    let Options { policy, which, fail_on, format } = options;
    let proposed = Config::load(&Input::of_process(Some(policy), vec![]))?.policy();
    let filter = which.filter()?;
    let shown = Shown::begin(false);
    let report = backtest::run(&ctx.history, &config.policy(), &proposed, &filter, &shown.progress).await?;
    drop(shown);
    quietly(print(&report, format))?;
    let failed: Vec<&str> = fail_on.iter().filter_map(|failure| failure.of(&report)).collect();
    match failed.is_empty() {
        true => Ok(()),
        false => Err(Verdict::bad(format!("the policy {}", failed.join(" and "))).into()),
    }
}

impl Failure {
    fn of(self, report: &Report) -> Option<&'static str> {
        let (was, would_be) = (report.was, report.would_be);
        match self {
            Self::MoreActions => (would_be.actions > was.actions).then_some("would act more often"),
            Self::FewerRecoveries => (would_be.recoveries < was.recoveries).then_some("would heal less often"),
        }
    }
}

fn print(report: &Report, format: Format) -> anyhow::Result<()> {
    let mut out = Out::new(format);
    match format {
        Format::Json => out.line(format_args!("{:#}", serde_json::to_value(report)?))?,
        Format::Ndjson => {
            report.changes.iter().try_for_each(|change| out.value(change))?;
            out.value(&json!({ "totals": serde_json::to_value(Report { changes: vec![], ..report.clone() })? }))?;
        }
        Format::Table => {
            if !report.changes.is_empty() {
                let rows: Vec<[String; 6]> = report.changes.iter().map(row).collect();
                table(&mut out, ["when", "container", "incident", "was", "would be", "why"], &rows)?;
                out.line("")?;
            }
            for line in summary(report) {
                out.line(line)?;
            }
        }
    }
    // The JSON of a report is one object; only the stream of lines is finished as such.
    if format == Format::Json {
        out.flush()?
    } else {
        out.finish()?
    }
    if report.events == 0 {
        nothing("history holds nothing to decide upon");
    }
    Ok(())
}

fn row(change: &Change) -> [String; 6] {
    let short = |said: &Option<DecisionSummary>| said.as_ref().map_or("-", |said| said.short.as_str()).to_owned();
    // What would be said has the reason; where nothing would, what was said has.
    let why = change.would_be.as_ref().or(change.was.as_ref()).map(|said| said.why.clone());
    [
        format!("{:.0}", change.at),
        change.subject.to_string(),
        change.incident.as_ref().map_or("-", |incident| incident.as_str()).to_owned(),
        short(&change.was),
        short(&change.would_be),
        why.unwrap_or_default(),
    ]
}

fn summary(report: &Report) -> Vec<String> {
    let line = |what: &str, was: u64, would_be: u64| {
        let more = i128::from(would_be) - i128::from(was);
        format!("{what:<12}{was:>7} → {would_be:<7}{more:+}")
    };
    let Report { events, decisions, guessed, unexplained, was, would_be, refused_that_would_run, .. } = report;
    let mut lines = vec![
        format!("{} changes to {decisions} decisions ({events} events)", report.changes.len()),
        line("actions", was.actions, would_be.actions),
        line("recoveries", was.recoveries, would_be.recoveries),
        line("refusals", was.refusals, would_be.refusals),
        format!("{refused_that_would_run} diagnoses whose remedy was refused would have been treated"),
    ];
    if *guessed > 0 {
        lines.push(format!(
            "{guessed} decisions do not record their policy, as an earlier version of HemoStat made them; the present \
             configuration is taken for theirs"
        ));
    }
    if *unexplained > 0 {
        lines.push(format!(
            "{unexplained} decisions are not what their policy gives now: another was in force, or the rules have changed; \
             they stand as recorded"
        ));
    }
    lines
}
