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
    filter::{Kinds, Whom},
    window::{NoPoint, Point, Position, Window},
};
use hemostat_runtime::Context;
use hemostat_schema::{HostName, IncidentId, Timestamp};

/// Which events of history are meant; an event must meet all of it.
#[derive(Debug, Clone, Args)]
pub struct Which {
    #[command(flatten)]
    when: When,
    /// Only about these containers: a name, host/name, or a glob of either (api-*).
    #[arg(long, value_name = "NAME")]
    container: Option<Whom>,
    /// Only of this Docker host.
    #[arg(long)]
    host: Option<HostName>,
    /// Only of this incident.
    #[arg(long, value_name = "ID")]
    incident: Option<IncidentId>,
    /// Only of this kind (action.authorised), family (action) or glob of kinds (*.failed).
    #[arg(long)]
    kind: Option<Kinds>,
}

/// Which stretch of history is meant.
#[derive(Debug, Clone, Args)]
pub struct When {
    /// From here on: an instant (2026-01-01T08:00:00Z), an age (30m, 2h, 3d) or an event's id.
    #[arg(long, value_name = "WHEN", value_parser = point)]
    since: Option<Point>,
    /// Up to here and no further; as --since.
    #[arg(long, value_name = "WHEN", value_parser = point)]
    until: Option<Point>,
}

impl Which {
    fn filter(self) -> anyhow::Result<Filter> {
        let Self { when, container, host, incident, kind } = self;
        Ok(Filter { window: when.window()?, container, host, incident, kind })
    }
}

impl When {
    fn window(&self) -> anyhow::Result<Window> {
        let window = Window {
            from: self.since.map_or(Position::START, Point::first),
            to: self.until.map_or(Position::END, Point::last),
        };
        anyhow::ensure!(window.from < window.to, "--since comes after --until: nothing can lie between them");
        Ok(window)
    }
}

fn point(text: &str) -> Result<Point, NoPoint> {
    Point::parse(text, Timestamp::now())
}

/// What a person may have meant who asked for something that is not there: those names that resemble it, or else some.
fn known(asked: &str, names: impl IntoIterator<Item = String>) -> String {
    const SHOWN: usize = 8;
    let asked = asked.to_lowercase();
    let resembles = |name: &str| {
        let short = name.rsplit('/').next().unwrap_or(name).to_lowercase();
        let wanted = asked.rsplit('/').next().unwrap_or(&asked);
        short.contains(wanted) || wanted.contains(&short) || distance(&short, wanted) <= 2
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

/// So many letters must be changed, added or left out to make one name of the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, of_a) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, of_b) in b.iter().enumerate() {
            let changed = diagonal + usize::from(of_a != *of_b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// What a check found, where that is not that all is well; it is the process' exit code.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// 1: it is not well. 2: that could not be found out.
    pub code: u8,
    says: String,
}

impl Verdict {
    /// It is not well.
    pub fn bad(says: String) -> Self {
        Self { code: 1, says }
    }

    fn unknown(says: String) -> Self {
        Self { code: 2, says }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.says)
    }
}

impl std::error::Error for Verdict {}

/// How every tool says that there is nothing, where a person looks and a program does not.
fn nothing(what: &str) {
    anstream::eprintln!("hemostat: {what}");
}

/// The keys of all containers that have a row.
async fn containers(ctx: &Context) -> anyhow::Result<Vec<String>> {
    let rows = hemostat_runtime::rows::all::<hemostat_core::view::Containers>(&*ctx.log).await?;
    Ok(rows.into_iter().map(|(key, _)| key).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_for_what_is_not_there_is_told_what_is() {
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

    #[test]
    fn a_distance_is_the_number_of_slips() {
        for (a, b, slips) in [("api", "api", 0), ("api", "apu", 1), ("api", "ai", 1), ("", "api", 3), ("abc", "cab", 2)]
        {
            assert_eq!((distance(a, b), distance(b, a)), (slips, slips), "{a} {b}");
        }
    }
}
