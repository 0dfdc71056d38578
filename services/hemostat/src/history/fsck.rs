//! `hemostat fsck`: checks that streams, groups, versions, timers, leases and read models agree.

use clap::Args;
use hemostat_history::fsck;
use hemostat_runtime::Context;

use super::{
    Verdict,
    format::{Format, Out, quietly},
    progress::Shown,
};

/// Options of `hemostat fsck`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Output format.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Inspects every partition and prints the inconsistencies.
///
/// # Errors
/// When log or archive cannot be read; [`Verdict`] if there is an inconsistency.
pub async fn run(ctx: &Context, options: Options) -> anyhow::Result<()> {
    let shown = Shown::begin(false);
    let findings = fsck::run(&ctx.history, &shown.progress).await?;
    drop(shown);
    quietly(print(&findings, options.format))?;
    match findings.len() {
        0 => Ok(()),
        1 => Err(Verdict::bad("1 inconsistency".to_owned()).into()),
        many => Err(Verdict::bad(format!("{many} inconsistencies")).into()),
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
        out.line("sound: streams, groups, versions, timers, leases and read models agree")?;
    }
    out.finish()?;
    Ok(())
}
