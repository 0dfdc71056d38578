//! `hemostat verify`: are rows, log and archive what they say they are?

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

/// How it is told.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// In which form.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Checks everything and prints what differs.
///
/// # Errors
/// [`Verdict`]: 1 where something differs, 2 where something could not be checked.
pub async fn run(ctx: &Context, config: &Config, options: Options) -> anyhow::Result<()> {
    let report = check(ctx, config).await.map_err(|error| Verdict::unknown(format!("{error:#}")))?;
    quietly(print(&report, options.format))?;
    match (report.differences.len(), report.unchecked.len()) {
        (0, 0) => Ok(()),
        (0, unchecked) => Err(Verdict::unknown(format!("{unchecked} things could not be checked")).into()),
        (1, _) => Err(Verdict::bad("something is not what it should be".to_owned()).into()),
        (many, _) => Err(Verdict::bad(format!("{many} things are not what they should be")).into()),
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
            out.line(format_args!("{equal}: {rows} rows, {events} events, {chained} of them in chains of hashes"))?;
        }
    }
    out.flush()?;
    Ok(())
}
