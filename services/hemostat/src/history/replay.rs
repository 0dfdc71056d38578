//! `hemostat replay`: prints past events, one line each, in real time, ten times faster, or at once.

use std::time::Duration;

use clap::{Args, ValueEnum};
use hemostat_core::views::story;
use hemostat_history::{EventJson, Filter, Selected};
use hemostat_runtime::Context;
use hemostat_schema::{EventId, Timestamp};
use jiff::{civil::Date, tz::TimeZone};
use tokio::{
    signal::ctrl_c,
    time::{Instant, sleep_until},
};

use super::{
    Which,
    format::{Format, Out, quietly},
    nothing,
    progress::Shown,
};
use crate::print;

/// Options of `hemostat replay`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    #[command(flatten)]
    which: Which,
    /// Speed: 1 (as it happened), 10, or max (at once).
    #[arg(long, value_enum, default_value_t)]
    speed: Speed,
    /// Also prints samples of CPU and memory.
    #[arg(long)]
    samples: bool,
    /// Output format.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Speed of the replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Speed {
    /// In real time.
    #[value(name = "1")]
    Real,
    /// Ten times faster.
    #[value(name = "10")]
    Ten,
    /// At once.
    #[default]
    Max,
}

/// Prints the selected events until their end or Ctrl-C.
///
/// # Errors
/// When log or archive cannot be read, or standard output does not take it.
pub async fn run(ctx: &Context, options: Options) -> anyhow::Result<()> {
    let Options { which, speed, samples, format } = options;
    let filter = which.filter()?;
    let printed = tokio::select! {
        printed = print(ctx, filter, speed, samples, format) => printed,
        _ = ctrl_c() => Ok(()),
    };
    quietly(printed)
}

async fn print(ctx: &Context, filter: Filter, speed: Speed, samples: bool, format: Format) -> anyhow::Result<()> {
    let shown = Shown::begin(true);
    // A filter by kind includes samples.
    let all = samples || filter.kind.is_some();
    let mut selected = Selected::new(&ctx.history, filter, &shown.progress);
    let mut out = Out::new(format);
    let (mut pace, mut day, mut any) = (None, None, false);
    while let Some(found) = selected.next().await? {
        let entry = found.entry;
        if !all && entry.event.as_ref().is_ok_and(|event| !story::is_notable(event)) {
            continue;
        }
        any = true;
        if speed != Speed::Max {
            out.flush()?;
            sleep_until(pace.get_or_insert_with(|| Pace::new(entry.id, speed)).due(entry.id)).await;
        }
        match (format, &entry.event) {
            (Format::Json | Format::Ndjson, _) => out.value(&EventJson::from(&entry))?,
            (Format::Table, Ok(event)) => {
                let date = date(event.at);
                if day != Some(date) {
                    day = Some(date);
                    out.line(print::day(date))?;
                }
                out.line(print::line(event))?;
            }
            (Format::Table, Err(why)) => out.line(format_args!("event {} cannot be read: {why}", entry.id))?,
        }
    }
    out.finish()?;
    drop(shown);
    if !any {
        nothing("no events match");
    }
    Ok(())
}

/// The local date of a time.
fn date(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::system()).date()
}

/// Computes when each event is due: the original interval, or a tenth of it.
#[derive(Debug)]
struct Pace {
    begun: Instant,
    first: u64,
    times: u32,
}

impl Pace {
    /// Starts now with the first event.
    fn new(first: EventId, speed: Speed) -> Self {
        let times = match speed {
            Speed::Real | Speed::Max => 1,
            Speed::Ten => 10,
        };
        Self { begun: Instant::now(), first: first.ms, times }
    }

    fn due(&self, event: EventId) -> Instant {
        self.begun + Duration::from_millis(event.ms.saturating_sub(self.first)) / self.times
    }
}

#[cfg(test)]
mod tests {
    use hemostat_schema::Partition;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn intervals_are_kept_or_divided_by_ten() {
        let id = |ms| EventId { partition: Partition(0), ms, seq: 0 };
        for (speed, later) in [(Speed::Real, 20_000), (Speed::Ten, 2_000)] {
            let pace = Pace::new(id(1_000), speed);
            assert_eq!(pace.due(id(1_000)), pace.begun);
            assert_eq!(pace.due(id(21_000)) - pace.begun, Duration::from_millis(later));
        }
    }
}
