//! The tools for history: they read archive and log as one, and change nothing.

pub mod backtest;
pub mod explain;
pub mod export;
pub mod format;
pub mod fsck;
mod progress;
pub mod replay;
pub mod show;
pub mod verify;

use clap::Args;
use hemostat_history::{
    Filter,
    filter::{ContainerPattern, KindPattern},
    window::{InvalidPoint, Point, Position, Window},
};
use hemostat_runtime::Context;
use hemostat_schema::{HostName, IncidentId, Timestamp};

/// Selects events; an event must match all of the filters.
#[derive(Debug, Clone, Args)]
pub struct Which {
    #[command(flatten)]
    when: When,
    /// Only these containers: a name, host/name, or a glob of either (api-*).
    #[arg(long, value_name = "NAME")]
    container: Option<ContainerPattern>,
    /// Only this Docker host.
    #[arg(long)]
    host: Option<HostName>,
    /// Only this incident.
    #[arg(long, value_name = "ID")]
    incident: Option<IncidentId>,
    /// Only this kind (action.authorised), family (action) or glob of kinds (*.failed).
    #[arg(long)]
    kind: Option<KindPattern>,
}

/// Selects a time window.
#[derive(Debug, Clone, Args)]
pub struct When {
    /// Start: a time (2026-01-01T08:00:00Z), an age (30m, 2h, 3d) or an event id.
    #[arg(long, value_name = "WHEN", value_parser = point)]
    since: Option<Point>,
    /// End, in the same forms as --since.
    #[arg(long, value_name = "WHEN", value_parser = point)]
    until: Option<Point>,
}

impl Which {
    fn filter(self) -> anyhow::Result<Filter> {
        let Self { when, container, host, incident, kind } = self;
        Ok(Filter { window: when.window()?, container, host, incident, kind, ..Filter::ALL })
    }
}

impl When {
    fn window(&self) -> anyhow::Result<Window> {
        let window = Window {
            from: self.since.map_or(Position::START, Point::first),
            to: self.until.map_or(Position::END, Point::last),
        };
        anyhow::ensure!(window.from < window.to, "--since is after --until");
        Ok(window)
    }
}

fn point(text: &str) -> Result<Point, InvalidPoint> {
    Point::parse(text, Timestamp::now())
}

/// Suggests names for one that does not exist: those that resemble it, else some that exist.
fn known(asked: &str, names: impl IntoIterator<Item = String>) -> String {
    const SHOWN: usize = 8;
    let asked = asked.to_lowercase();
    let resembles = |name: &str| {
        let short = name.rsplit('/').next().unwrap_or(name).to_lowercase();
        let wanted = asked.rsplit('/').next().unwrap_or(&asked);
        short.contains(wanted) || wanted.contains(&short) || strsim::levenshtein(&short, wanted) <= 2
    };
    let names: Vec<String> = names.into_iter().collect();
    let near: Vec<&String> = names.iter().filter(|name| resembles(name)).collect();
    let (word, shown) = if near.is_empty() { ("there are", names.iter().collect()) } else { ("similar are", near) };
    let more = shown.len().saturating_sub(SHOWN);
    let text = shown.into_iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match (text.is_empty(), more) {
        (true, _) => "none is known".to_owned(),
        (false, 0) => format!("{word} {text}"),
        (false, more) => format!("{word} {text} and {more} more"),
    }
}

/// A failed check, with the exit code of the process.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{says}")]
pub struct Verdict {
    /// 1: the check failed. 2: the check was not possible.
    pub code: u8,
    says: String,
}

impl Verdict {
    /// The check failed.
    pub fn bad(says: String) -> Self {
        Self { code: 1, says }
    }

    fn unknown(says: String) -> Self {
        Self { code: 2, says }
    }
}

/// Prints a note on standard error, so that the output stays parseable.
fn nothing(what: &str) {
    anstream::eprintln!("hemostat: {what}");
}

/// The keys of all known containers.
async fn containers(ctx: &Context) -> anyhow::Result<Vec<String>> {
    let rows = hemostat_runtime::read_model::all::<hemostat_core::views::Containers>(&*ctx.log).await?;
    Ok(rows.into_iter().map(|(key, _)| key).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_gets_suggestions() {
        let there = || ["docker-1/api-1", "docker-1/api-2", "docker-2/db"].map(str::to_owned);
        for (asked, told) in [
            ("api", "similar are docker-1/api-1, docker-1/api-2"),
            ("docker-9/dv", "similar are docker-2/db"),
            ("cache", "there are docker-1/api-1, docker-1/api-2, docker-2/db"),
        ] {
            assert_eq!(known(asked, there()), told, "{asked}");
        }
        assert_eq!(known("api", []), "none is known");
        let many = (0..20).map(|n| format!("h/api-{n}"));
        assert!(known("api", many).ends_with("and 12 more"));
    }
}
