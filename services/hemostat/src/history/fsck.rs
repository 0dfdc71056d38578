//! `hemostat fsck`: do streams, groups, heads, timers, leases and views agree?

use clap::Args;
use hemostat_history::fsck;
use hemostat_runtime::Context;

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

/// Inspects every partition and prints what is not sound.
///
/// # Errors
/// When log or archive cannot be read; [`Verdict`] where something is not sound.
pub async fn run(ctx: &Context, options: Options) -> anyhow::Result<()> {
    let shown = Shown::begin(false);
    let findings = fsck::run(&ctx.history, &shown.progress).await?;
    drop(shown);
    quietly(print(&findings, options.format))?;
    match findings.len() {
        0 => Ok(()),
        1 => Err(Verdict::bad("something is not sound".to_owned()).into()),
        many => Err(Verdict::bad(format!("{many} things are not sound")).into()),
    }
}

fn print(findings: &[fsck::Finding], format: Format) -> anyhow::Result<()> {
    let mut out = Out::new(format);
    for finding in findings {
        match format {
            Format::Table => out.line(finding)?,
            Format::Json | Format::Ndjson => out.value(finding)?,
        }
    }
    if format == Format::Table && findings.is_empty() {
        out.line("streams, groups, heads, timers, leases and views agree")?;
    }
    out.finish()?;
    Ok(())
}
