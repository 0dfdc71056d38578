//! `hemostat dead-messages`: lists, redrives or discards deliveries that failed repeatedly.

use anyhow::bail;
use clap::{Args, Subcommand};
use hemostat_runtime::{
    Context,
    dead_letters::{self, Redriven},
    log::{DeadLetter, RawEntry},
};
use hemostat_schema::EventId;

use crate::history::format::{Format, Out, table};

/// Maximum number of dead letters listed.
const MAX_LISTED: usize = 1_000;

/// What to do with them. Default: list them.
#[derive(Debug, Clone, Args)]
pub struct Options {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Clone, Subcommand)]
enum Command {
    /// Delivers one (or all) again, after the cause of the failure was fixed. If it fails again, it is a dead letter again.
    Redrive {
        /// Its id, as listed.
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        id: Option<EventId>,
        /// All of them.
        #[arg(long)]
        all: bool,
    },
    /// Removes one from the list. Its event stays on the log.
    Discard {
        /// Its id, as listed.
        id: EventId,
    },
}

/// Lists, redrives or discards.
///
/// # Errors
/// When the log cannot be read or written, or there is no such dead letter.
pub async fn run(ctx: &Context, options: Options) -> anyhow::Result<()> {
    match options.command {
        None => list(ctx).await,
        Some(Command::Redrive { id: Some(id), .. }) => redrive(ctx, id).await,
        Some(Command::Redrive { id: None, .. }) => {
            // Oldest first, in their original order.
            for delivery in dead_letters::list(&*ctx.log, MAX_LISTED).await?.into_iter().rev() {
                redrive(ctx, delivery.key).await?;
            }
            Ok(())
        }
        Some(Command::Discard { id }) => match dead_letters::discard(&*ctx.log, known(ctx, id)?).await? {
            Some(delivery) => {
                anstream::println!("discarded {id}; its event {} stays on the log", delivery.id);
                Ok(())
            }
            None => bail!("there is no dead letter {id}; `hemostat dead-letters` lists them"),
        },
    }
}

async fn list(ctx: &Context) -> anyhow::Result<()> {
    let deliveries = dead_letters::list(&*ctx.log, MAX_LISTED).await?;
    if deliveries.is_empty() {
        anstream::eprintln!("there are no dead letters");
        return Ok(());
    }
    let mut rows = vec![];
    for delivery in &deliveries {
        rows.push(row(delivery, dead_letters::event(&ctx.history, delivery).await?.as_ref()));
    }
    let mut out = Out::new(Format::Table);
    table(&mut out, ["id", "group", "event", "kind", "subject", "when", "error"], &rows)?;
    Ok(out.finish()?)
}

fn row(delivery: &DeadLetter, event: Option<&RawEntry>) -> [String; 7] {
    let said = |field: Option<&str>| field.unwrap_or("-").to_owned();
    [
        delivery.key.to_string(),
        delivery.group.clone(),
        delivery.id.to_string(),
        said(event.and_then(RawEntry::kind)),
        said(event.and_then(RawEntry::subject)),
        format!("{:.0}", delivery.at),
        // The error can contain foreign text: control characters must not reach the terminal.
        delivery.error.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(),
    ]
}

async fn redrive(ctx: &Context, id: EventId) -> anyhow::Result<()> {
    let Some((delivery, done)) = dead_letters::redrive(&ctx.history, known(ctx, id)?).await? else {
        bail!("there is no dead letter {id}; `hemostat dead-letters` lists them");
    };
    let DeadLetter { group, id: event, .. } = delivery;
    match done {
        Redriven::Delivered => anstream::println!("{id}: delivered {event} to {group} again"),
        Redriven::Refolded => anstream::println!("{id}: {group} rebuilds its state and gets {event} again"),
        Redriven::Refilled(view) => anstream::println!("{id}: {group} is rebuilt as {view}"),
    }
    Ok(())
}

fn known(ctx: &Context, id: EventId) -> anyhow::Result<EventId> {
    if id.partition.0 >= ctx.log.partitions() {
        bail!("there is no dead letter {id}: there is no partition {}", id.partition);
    }
    Ok(id)
}
