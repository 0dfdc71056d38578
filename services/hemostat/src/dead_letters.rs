//! `hemostat dead-letters`: lists, redrives or discards deliveries that failed repeatedly.

use std::env;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use hemostat_core::views::story;
use hemostat_runtime::{
    Context,
    commands::CommandError,
    dead_letters::{self, Command as Order, What},
    log::{DeadLetter, RawEntry},
};
use hemostat_schema::{EventId, HostName, Operator};

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
        #[command(flatten)]
        who: Who,
    },
    /// Removes one from the list. Its event stays on the log.
    Discard {
        /// Its id, as listed.
        id: EventId,
        #[command(flatten)]
        who: Who,
    },
}

/// Who orders it and why; both are part of the event.
#[derive(Debug, Clone, Args)]
struct Who {
    /// Why, for the log.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Your name, for the log. Default: user@host. Nothing verifies it.
    #[arg(long, value_name = "NAME", value_parser = Operator::claimed)]
    by: Option<Operator>,
}

/// Lists, redrives or discards.
///
/// # Errors
/// When the log cannot be read or written, or there is no such dead letter.
pub async fn run(ctx: &Context, host: &HostName, options: Options) -> anyhow::Result<()> {
    let (letters, what, who) = match options.command {
        None => return list(ctx).await,
        Some(Command::Redrive { id: Some(id), who, .. }) => (vec![id], What::Redrive, who),
        Some(Command::Redrive { id: None, who, .. }) => {
            // Oldest first, in their original order.
            let all = dead_letters::list(&*ctx.log, MAX_LISTED).await?.into_iter().rev();
            (all.map(|letter| letter.key).collect(), What::Redrive, who)
        }
        Some(Command::Discard { id, who }) => (vec![id], What::Discard, who),
    };
    let by = who.by.map_or_else(|| user_at(host), Ok)?;
    for letter in letters {
        execute(ctx, Order { letter, what, by: by.clone(), reason: who.reason.clone() }).await?;
    }
    Ok(())
}

async fn execute(ctx: &Context, order: Order) -> anyhow::Result<()> {
    let letter = order.letter;
    let key = format!("cli:{:032x}", fastrand::u128(..));
    match dead_letters::execute(&ctx.history, &order, &key, ctx.clock.now()).await {
        Ok(executed) => {
            anstream::println!("{}", story::line(&executed.event));
            Ok(())
        }
        Err(CommandError::Unknown) => bail!("there is no dead letter {letter}; `hemostat dead-letters` lists them"),
        Err(error) => Err(error).with_context(|| format!("dead letter {letter}")),
    }
}

/// The user and the host, such as `ann@laptop`.
fn user_at(host: &HostName) -> anyhow::Result<Operator> {
    let user = ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(|name| env::var(name).ok());
    let user = user.filter(|user| !user.is_empty()).unwrap_or_else(|| "unknown".to_owned());
    Operator::claimed(&format!("{user}@{host}"))
        .context("the name of the user is no name for the log; give one with --by")
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
