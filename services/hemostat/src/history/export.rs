//! `hemostat export`: writes events to a file or to standard output.

use std::{
    fs::File,
    io::{BufWriter, IsTerminal as _, Write, stdout},
    path::PathBuf,
};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use hemostat_history::{
    Selected,
    export::{self, Writer},
};
use hemostat_runtime::Context;

use super::{Which, format::quietly, nothing, progress::Shown};

/// What to export, in which format, and where to.
#[derive(Debug, Clone, Args)]
pub struct Options {
    #[command(flatten)]
    which: Which,
    /// Output format.
    #[arg(long, value_enum)]
    format: Format,
    /// File to write, replaced atomically when complete. Default: standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Format of the export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One JSON object per line, in the form of the REST API.
    Ndjson,
    /// Comma-separated values with a header line.
    Csv,
    /// Parquet with zstd, like the segments of the archive.
    Parquet,
}

/// Exports the selected events.
///
/// # Errors
/// When log or archive cannot be read, or the output does not take it.
pub async fn run(ctx: &Context, options: Options) -> anyhow::Result<()> {
    let Options { which, format, output } = options;
    let format = match format {
        Format::Ndjson => export::Format::Ndjson,
        Format::Csv => export::Format::Csv,
        Format::Parquet if output.is_none() && stdout().is_terminal() => {
            bail!("Parquet is binary: name a file with --output FILE, or redirect standard output")
        }
        Format::Parquet => export::Format::Parquet,
    };
    let shown = Shown::begin(output.is_none());
    let selected = Selected::new(&ctx.history, which.filter()?, &shown.progress);
    let Some(path) = output else {
        let written = write(selected, format, BufWriter::new(stdout())).await;
        drop(shown);
        return quietly(written.map(|(_, events)| told(events, None)));
    };

    // Written beside the target and renamed, so that the target is replaced atomically.
    let mut name = path.file_name().with_context(|| format!("{} is not a file name", path.display()))?.to_owned();
    name.push(".part");
    let part = path.with_file_name(name);
    let doing = || format!("could not write {}", path.display());
    let file = File::create(&part).with_context(doing)?;
    let written = async {
        let (writer, events) = write(selected, format, BufWriter::new(file)).await?;
        writer.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
        std::fs::rename(&part, &path)?;
        anyhow::Ok(events)
    };
    let written = written.await.with_context(doing);
    drop(shown);
    if written.is_err() {
        // The incomplete file is useless; the error that matters is the one of the write.
        let _ = std::fs::remove_file(&part);
    }
    told(written?, Some(&path));
    Ok(())
}

async fn write<W: Write + Send>(mut selected: Selected<'_>, format: export::Format, to: W) -> anyhow::Result<(W, u64)> {
    let mut writer = Writer::new(format, to)?;
    let mut events = 0;
    while let Some(found) = selected.next().await? {
        writer.write(&found)?;
        events += 1;
    }
    Ok((writer.finish()?, events))
}

fn told(events: u64, path: Option<&PathBuf>) {
    match (events, path) {
        (0, _) => nothing("no events match"),
        (_, None) => {}
        (1, Some(path)) => nothing(&format!("1 event written to {}", path.display())),
        (_, Some(path)) => nothing(&format!("{events} events written to {}", path.display())),
    }
}
