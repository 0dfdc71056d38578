//! `hemostat replay`: history as it happened, a line an event, as fast as then, ten times as fast, or at once.

use std::time::Duration;

use clap::{Args, ValueEnum};
use hemostat_core::view::story;
use hemostat_history::{Filter, Selected, export::Line};
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

/// What to print, and how fast.
#[derive(Debug, Clone, Args)]
pub struct Options {
    #[command(flatten)]
    which: Which,
    /// How fast.
    #[arg(long, value_enum, default_value_t)]
    speed: Speed,
    /// Also the samples of CPU and memory.
    #[arg(long)]
    samples: bool,
    /// In which form.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// How fast history is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Speed {
    /// As fast as it happened.
    #[value(name = "1")]
    Real,
    /// Ten times as fast.
    #[value(name = "10")]
    Ten,
    /// At once.
    #[default]
    Max,
}

/// Prints until the end of what is asked for, or Ctrl-C.
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
    // Who asks for samples by their kind gets them.
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
            (Format::Json | Format::Ndjson, _) => out.value(&Line::from(&entry))?,
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
        nothing("history holds no such event");
    }
    Ok(())
}

/// The day on which something happened, where the reader is.
fn date(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::system()).date()
}

/// When each event is due, so that the time between two is as it was, or a tenth of it.
#[derive(Debug)]
struct Pace {
    begun: Instant,
    first: u64,
    times: u32,
}

impl Pace {
    /// Beginning now, with this event.
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
    async fn the_time_between_two_events_is_as_it_was_or_a_tenth_of_it() {
        let id = |ms| EventId { partition: Partition(0), ms, seq: 0 };
        for (speed, later) in [(Speed::Real, 20_000), (Speed::Ten, 2_000)] {
            let pace = Pace::new(id(1_000), speed);
            assert_eq!(pace.due(id(1_000)), pace.begun);
            assert_eq!(pace.due(id(21_000)) - pace.begun, Duration::from_millis(later));
        }
    }
}
