//! `hemostat verify`: recomputes read models and hash chains from log and archive, and compares.

use anyhow::Context as _;
use clap::Args;
use hemostat_archive::Witness;
use hemostat_history::verify::{self, Others, Report};
use hemostat_runtime::Context;
use hemostat_settings::Config;

use super::{
    Verdict,
    format::{Format, Out, quietly},
    progress::Shown,
};

/// Options of `hemostat verify`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Output format.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Checks everything and prints the differences.
///
/// # Errors
/// [`Verdict`]: code 1 if something differs, 2 if something could not be checked.
pub async fn run(ctx: &Context, config: &Config, options: Options) -> anyhow::Result<()> {
    let report = check(ctx, config).await.map_err(|error| Verdict::unknown(format!("{error:#}")))?;
    quietly(print(&report, options.format))?;
    match (report.differences.len(), report.unchecked.len()) {
        (0, 0) => Ok(()),
        (0, unchecked) => Err(Verdict::unknown(format!("{unchecked} checks were not possible")).into()),
        (1, _) => Err(Verdict::bad("1 difference".to_owned()).into()),
        (many, _) => Err(Verdict::bad(format!("{many} differences")).into()),
    }
}

async fn check(ctx: &Context, config: &Config) -> anyhow::Result<Report> {
    let open = |url: String| hemostat_archive::open(&url).context("archive.url cannot be used");
    let archive = config.archive_url().map(open).transpose()?;
    let witness = config.notary.witness.as_deref().map(Witness::open).transpose();
    let witness = witness.context("notary.witness cannot be used")?;
    let shown = Shown::begin(false);
    let others = Others { archive: archive.as_deref(), witness: witness.as_ref() };
    Ok(verify::run(&ctx.history, others, &shown.progress).await?)
}

fn print(report: &Report, format: Format) -> anyhow::Result<()> {
    let mut out = Out::new(format);
    match format {
        Format::Json => out.line(format_args!("{:#}", serde_json::to_value(report)?))?,
        Format::Ndjson => out.value(report)?,
        Format::Table => {
            for difference in &report.differences {
                out.line(difference)?;
            }
            for unchecked in &report.unchecked {
                out.line(format_args!("not checked: {unchecked}"))?;
            }
            for note in &report.notes {
                out.line(format_args!("note: {note}"))?;
            }
            let Report { events, rows, chained, .. } = report;
            let equal = if report.differences.is_empty() { "equal" } else { "not equal" };
            out.line(format_args!("{equal}: {rows} rows, {events} events, {chained} of them in hash chains"))?;
        }
    }
    out.flush()?;
    Ok(())
}
