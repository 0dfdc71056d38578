//! `hemostat tail`: the log as it grows, a line an event.

use std::collections::BTreeMap;

use clap::Args;
use hemostat_core::view::story;
use hemostat_runtime::{
    Context,
    log::{Order, Range},
};
use hemostat_schema::{EventId, Family, IncidentId, Recorded};
use tokio::signal::ctrl_c;

use crate::{follow, print};

/// What to print.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// So many events of the past first.
    #[arg(long, short = 'n', default_value_t = 20, value_name = "COUNT")]
    lines: usize,
    /// End after the past instead of waiting for more.
    #[arg(long)]
    no_follow: bool,
    /// Only about this container (its name, or host/name).
    #[arg(long)]
    container: Option<String>,
    /// Only of this incident.
    #[arg(long)]
    incident: Option<IncidentId>,
    /// Only of this kind (action.refused) or family (action).
    #[arg(long)]
    kind: Option<String>,
    /// Also the samples of CPU and memory.
    #[arg(long)]
    samples: bool,
    /// As JSON, an object a line.
    #[arg(long)]
    json: bool,
}

/// Prints until Ctrl-C.
///
/// # Errors
/// When the log cannot be read at the start.
pub async fn run(ctx: &Context, options: Options) -> anyhow::Result<()> {
    let mut past = vec![];
    let mut newest = BTreeMap::new();
    for partition in ctx.partitions() {
        let mut before = Range::ALL;
        let mut found = 0;
        loop {
            let page = ctx.log.read(partition, &Family::ALL, before, Order::NewestFirst, 500).await?;
            let Some(oldest) = page.last().map(|entry| entry.id) else { break };
            newest.entry(partition).or_insert_with(|| page[0].id);
            let wanted = page.into_iter().filter_map(|entry| entry.event.ok()).filter(|event| options.wants(event));
            let before_count = past.len();
            past.extend(wanted.take(options.lines - found));
            found += past.len() - before_count;
            if found >= options.lines {
                break;
            }
            before = Range::before(oldest);
        }
    }
    past.sort_by_key(|event: &Recorded| event.id);
    for event in past.iter().skip(past.len().saturating_sub(options.lines)) {
        options.print(event);
    }
    if options.no_follow {
        return Ok(());
    }
    let after = move |partition| newest.get(&partition).copied().unwrap_or_else(|| EventId::start(partition));
    let follow = follow::follow_from(ctx.clone(), after, move |event| {
        if options.wants(event) {
            options.print(event);
        }
    });
    tokio::select! {
        () = follow => {}
        _ = ctrl_c() => {}
    }
    Ok(())
}

impl Options {
    fn wants(&self, event: &Recorded) -> bool {
        let container = self
            .container
            .as_deref()
            .is_none_or(|wanted| event.subject.short() == wanted || event.subject.to_string() == wanted);
        let incident = self.incident.as_ref().is_none_or(|wanted| event.incident.as_ref() == Some(wanted));
        let kind = self.kind.as_deref().is_none_or(|wanted| event.kind() == wanted || event.family().name() == wanted);
        container && incident && kind && (self.samples || story::is_notable(event))
    }

    fn print(&self, event: &Recorded) {
        if self.json {
            let line = serde_json::json!({
                "id": event.id,
                "at": event.at,
                "kind": event.kind(),
                "subject": event.subject,
                "incident": event.incident,
                "cause": event.cause,
                "trace": event.trace,
                "data": event.data(),
            });
            anstream::println!("{line}");
        } else {
            anstream::println!("{}", print::line(event));
        }
    }
}
