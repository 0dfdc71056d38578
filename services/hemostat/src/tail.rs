//! `hemostat tail`: prints recent events and follows the log, one line per event.

use clap::Args;
use hemostat_history::{
    Cursor, EventJson, Filter, History,
    filter::{ContainerPattern, KindPattern},
    select::{self, PageLimits},
};
use hemostat_runtime::{Context, log::Order};
use hemostat_schema::{IncidentId, Recorded};
use tokio::signal::ctrl_c;
use tracing::warn;

use crate::{follow, print};

/// Selects what to print.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Number of past events to print first.
    #[arg(long, short = 'n', default_value_t = 20, value_name = "COUNT")]
    lines: usize,
    /// Exit after the past events instead of waiting for new ones.
    #[arg(long)]
    no_follow: bool,
    /// Only these containers: a name, host/name, or a glob of either (api-*).
    #[arg(long, value_name = "NAME")]
    container: Option<ContainerPattern>,
    /// Only this incident.
    #[arg(long, value_name = "ID")]
    incident: Option<IncidentId>,
    /// Only this kind (action.refused), family (action) or glob of kinds (*.failed).
    #[arg(long)]
    kind: Option<KindPattern>,
    /// Print samples and disk measurements, too.
    #[arg(long)]
    samples: bool,
    /// Print JSON, one object per line, with the fields of the API's events.
    #[arg(long)]
    json: bool,
}

/// Prints events until Ctrl-C.
///
/// # Errors
/// When the past events cannot be read.
pub async fn run(ctx: &Context, options: Options) -> anyhow::Result<()> {
    let Options { lines, no_follow, container, incident, kind, samples, json } = options;
    let filter = Filter { container, incident, kind, notable_only: !samples, ..Filter::ALL };

    // Every later event has a higher id than the clock has now, so this is where the past ends and following begins.
    let present = Cursor::now(&ctx.history, &filter).await?;
    let log_only = History::new(ctx.log.clone(), None);
    let limits = PageLimits { found: lines, scanned: usize::MAX, chunk: 500 };
    let past = select::page(&log_only, &filter, Order::NewestFirst, limits).await?.entries;
    for entry in past.iter().rev().filter(|entry| entry.id <= present.of(entry.id.partition)) {
        match &entry.event {
            Ok(event) => print(event, json),
            Err(reason) => warn!("could not decode event {}: {reason}", entry.id),
        }
    }
    if no_follow {
        return Ok(());
    }
    tokio::select! {
        () = follow::follow(ctx, filter, &present, |event| print(event, json)) => {}
        _ = ctrl_c() => {}
    }
    Ok(())
}

fn print(event: &Recorded, json: bool) {
    if json {
        // Serialising strings and JSON values to a string cannot fail.
        let line = serde_json::to_string(&EventJson::from(event)).unwrap_or_default();
        anstream::println!("{line}");
    } else {
        anstream::println!("{}", print::line(event));
    }
}
