//! `hemostat parked`: deliveries that a part of HemoStat gave up on, and what becomes of them.

use anyhow::bail;
use clap::{Args, Subcommand};
use hemostat_runtime::{
    Context,
    log::{ParkedDelivery, RawEntry},
    parked::{self, Redriven},
};
use hemostat_schema::EventId;

/// As many are listed.
const MOST: usize = 1_000;

/// What to do about them; lists them where nothing is said.
#[derive(Debug, Clone, Args)]
pub struct Options {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Clone, Subcommand)]
enum Command {
    /// Has one (or all) dealt with anew: for when what made it fail is mended. What fails again is parked again.
    Redrive {
        /// Its id in the list.
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        id: Option<EventId>,
        /// All that are listed.
        #[arg(long)]
        all: bool,
    },
    /// Forgets one; its event stays on the log.
    Discard {
        /// Its id in the list.
        id: EventId,
    },
}

/// Lists, redrives or discards.
///
/// # Errors
/// When the log cannot be read or written, or there is no such delivery.
pub async fn run(ctx: &Context, options: Options) -> anyhow::Result<()> {
    match options.command {
        None => list(ctx).await,
        Some(Command::Redrive { id: Some(id), .. }) => redrive(ctx, id).await,
        Some(Command::Redrive { id: None, .. }) => {
            // The oldest first, as they came.
            for delivery in parked::list(&*ctx.log, MOST).await?.into_iter().rev() {
                redrive(ctx, delivery.key).await?;
            }
            Ok(())
        }
        Some(Command::Discard { id }) => match parked::discard(&*ctx.log, known(ctx, id)?).await? {
            Some(delivery) => {
                anstream::println!("{id} is forgotten; its event {} stays on the log", delivery.id);
                Ok(())
            }
            None => bail!("nothing is parked as {id}; `hemostat parked` lists what is"),
        },
    }
}

async fn list(ctx: &Context) -> anyhow::Result<()> {
    let deliveries = parked::list(&*ctx.log, MOST).await?;
    if deliveries.is_empty() {
        anstream::eprintln!("nothing is parked");
        return Ok(());
    }
    let mut rows = vec![["ID", "GROUP", "EVENT", "KIND", "SUBJECT", "WHEN", "ERROR"].map(str::to_owned)];
    for delivery in &deliveries {
        rows.push(row(delivery, parked::event(&ctx.history, delivery).await?.as_ref()));
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..6).map(width).collect();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}  ")).collect::<String>();
        anstream::println!("{cells}{}", row[6]);
    }
    Ok(())
}

fn row(delivery: &ParkedDelivery, event: Option<&RawEntry>) -> [String; 7] {
    let said = |field: Option<&str>| field.unwrap_or("-").to_owned();
    [
        delivery.key.to_string(),
        delivery.group.clone(),
        delivery.id.to_string(),
        said(event.and_then(RawEntry::kind)),
        said(event.and_then(RawEntry::subject)),
        format!("{:.0}", delivery.at),
        // Somebody else's text: nothing in it moves the cursor.
        delivery.error.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(),
    ]
}

async fn redrive(ctx: &Context, id: EventId) -> anyhow::Result<()> {
    let Some((delivery, done)) = parked::redrive(&ctx.history, known(ctx, id)?).await? else {
        bail!("nothing is parked as {id}; `hemostat parked` lists what is");
    };
    let ParkedDelivery { group, id: event, .. } = delivery;
    match done {
        Redriven::Delivered => anstream::println!("{id}: {group} is handed {event} again"),
        Redriven::Refolded => anstream::println!("{id}: {group} folds its state anew and is handed {event} again"),
        Redriven::Refilled(view) => anstream::println!("{id}: {group} is filled anew, as {view}"),
    }
    Ok(())
}

fn known(ctx: &Context, id: EventId) -> anyhow::Result<EventId> {
    if id.partition.0 >= ctx.log.partitions() {
        bail!("nothing is parked as {id}: there is no partition {}", id.partition);
    }
    Ok(id)
}
