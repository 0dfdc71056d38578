//! `hemostat show`: a read model, as it is or as it was at a point in time.

use anyhow::bail;
use clap::{Args, ValueEnum};
use hemostat_core::{
    Projection,
    remedy::breaker,
    views::{
        Breaker, Calibration, Containers, Cooldown, Dedup, Incidents, Metrics, Timeline,
        breaker::Row as BreakerRow,
        calibration,
        cooldown::Why,
        metrics::{self, Figure},
    },
};
use hemostat_history::{as_of, window::Point};
use hemostat_runtime::{Context, read_model};
use hemostat_schema::{IncidentId, Span, Timestamp};
use serde::Serialize;

use super::{
    format::{Format, Out, quietly, table},
    known, nothing, point,
    progress::Shown,
};

/// What to show.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// The read model.
    view: View,
    /// Only this row: a container (host/name, or its name if it is unique) or an incident id.
    key: Option<String>,
    /// Point in time: a time (2026-01-01T08:00:00Z), an age (2h, 3d) or an event id.
    #[arg(long, value_name = "WHEN", value_parser = point)]
    as_of: Option<Point>,
    /// Output format; JSON contains every field.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// The read models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum View {
    /// The state of each container, and why it is or is not being healed.
    Containers,
    /// What happened in each incident, and how it ended.
    Incidents,
    /// Recent events of each container and host.
    Timeline,
    /// Containers in cooldown after an incident.
    Cooldown,
    /// The circuit breaker of each container.
    Breaker,
    /// The open alert of each incident.
    Dedup,
    /// Stated confidence of rules and models against verified outcomes.
    Calibration,
    /// What each container used, as the mean of five minutes; the key is container@hour.
    Metrics,
}

/// Prints the rows.
///
/// # Errors
/// When there is no such row, or rows, log, archive or standard output fail.
pub async fn run(ctx: &Context, options: Options) -> anyhow::Result<()> {
    match options.view {
        View::Containers => show::<Containers, 3>(ctx, &options).await,
        View::Incidents => show::<Incidents, 6>(ctx, &options).await,
        View::Timeline => show::<Timeline, 3>(ctx, &options).await,
        View::Cooldown => show::<Cooldown, 4>(ctx, &options).await,
        View::Breaker => show::<Breaker, 4>(ctx, &options).await,
        View::Dedup => show::<Dedup, 5>(ctx, &options).await,
        View::Calibration => show::<Calibration, 8>(ctx, &options).await,
        View::Metrics => show::<Metrics, 5>(ctx, &options).await,
    }
}

/// A row with its key, for programs.
#[derive(Serialize)]
struct Keyed<'a, R> {
    key: &'a str,
    #[serde(flatten)]
    row: &'a R,
}

async fn show<P: Lines<N>, const N: usize>(ctx: &Context, options: &Options) -> anyhow::Result<()> {
    let rows = read::<P>(ctx, options).await?;
    if rows.is_empty() {
        nothing(&format!("the read model {} has no rows{}", P::NAME, when(options.as_of)));
    }
    let mut out = Out::new(options.format);
    let print = || {
        match options.format {
            Format::Json | Format::Ndjson => rows.iter().try_for_each(|(key, row)| out.value(&Keyed { key, row }))?,
            Format::Table if rows.is_empty() => {}
            Format::Table => {
                let lines: Vec<[String; N]> = rows.iter().flat_map(|(key, row)| P::lines(key, row)).collect();
                table(&mut out, P::COLUMNS, &lines)?;
            }
        }
        out.finish()
    };
    quietly(print().map_err(Into::into))
}

/// The selected rows, ordered by key.
async fn read<P: Projection>(ctx: &Context, options: &Options) -> anyhow::Result<Vec<(String, P::Row)>> {
    let shown = Shown::begin(false);
    let exact = options.key.as_deref().filter(|key| key.contains('/') || key.parse::<IncidentId>().is_ok());
    if let Some(key) = exact {
        let row = match options.as_of {
            None => read_model::get::<P>(&*ctx.log, key).await?,
            Some(point) => as_of::row::<P>(&ctx.history, key, point.last(), &shown.progress).await?,
        };
        if let Some(row) = row {
            return Ok(vec![(key.to_owned(), row)]);
        }
    }
    let mut all: Vec<(String, P::Row)> = match options.as_of {
        None => read_model::all::<P>(&*ctx.log).await?,
        Some(point) => as_of::rows::<P>(&ctx.history, point.last(), &shown.progress).await?.into_iter().collect(),
    };
    drop(shown);
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    let Some(key) = &options.key else { return Ok(all) };
    let is_meant = |row: &str| row == key || row.split_once('/').is_some_and(|(_, name)| name == key);
    let (meant, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|(row, _)| is_meant(row));
    let keys = |rows: Vec<(String, P::Row)>| rows.into_iter().map(|(key, _)| key);
    match meant.len() {
        0 => {
            let known = known(key, keys(others));
            bail!("the read model {} has no row {key:?}{}; {known}", P::NAME, when(options.as_of))
        }
        1 => Ok(meant),
        _ => {
            bail!("several hosts have a container {key:?}: name one of {}", keys(meant).collect::<Vec<_>>().join(", "))
        }
    }
}

fn when(as_of: Option<Point>) -> String {
    match as_of {
        None => String::new(),
        Some(Point::Instant(at)) => format!(" as of {at:.0}"),
        Some(Point::Event(id)) => format!(" as of the event {id}"),
    }
}

/// Renders a row as lines of a table.
trait Lines<const N: usize>: Projection {
    const COLUMNS: [&str; N];
    fn lines(key: &str, row: &Self::Row) -> Vec<[String; N]>;
}

/// A time to the second.
fn second(at: Timestamp) -> String {
    format!("{at:.0}")
}

fn or_dash<T>(value: Option<T>, text: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| "-".to_owned(), text)
}

impl Lines<3> for Containers {
    const COLUMNS: [&str; 3] = ["container", "incident", "state"];

    fn lines(key: &str, row: &Self::Row) -> Vec<[String; 3]> {
        vec![[key.to_owned(), or_dash(row.incident.as_ref(), ToString::to_string), row.attention().to_string()]]
    }
}

impl Lines<5> for Metrics {
    const COLUMNS: [&str; 5] = ["about", "at", "measured", "cpu", "memory"];

    fn lines(key: &str, row: &Self::Row) -> Vec<[String; 5]> {
        let Some((subject, hour)) = metrics::parse_key(key) else { return vec![] };
        let line = |(at, bucket): (Timestamp, metrics::Bucket)| {
            let mean = |figure| {
                let digest = bucket.figures.get(&figure);
                or_dash(digest, |digest| format!("{}.{:02} %", digest.mean / 100, digest.mean % 100))
            };
            let measured = Span::from_millis(bucket.measured).to_string();
            [subject.to_string(), second(at), measured, mean(Figure::Cpu), mean(Figure::Memory)]
        };
        row.buckets(hour, Timestamp::now()).into_iter().map(line).collect()
    }
}

impl Lines<6> for Incidents {
    const COLUMNS: [&str; 6] = ["incident", "container", "begun", "ended", "attempts", "state"];

    fn lines(key: &str, row: &Self::Row) -> Vec<[String; 6]> {
        let state = <&str>::from(row.state).replace('_', " ");
        let (subject, attempts) = (row.subject.to_string(), row.attempts.len().to_string());
        vec![[key.to_owned(), subject, second(row.begun), or_dash(row.ended, second), attempts, state]]
    }
}

impl Lines<3> for Timeline {
    const COLUMNS: [&str; 3] = ["about", "at", "what"];

    fn lines(key: &str, row: &Self::Row) -> Vec<[String; 3]> {
        row.lines.iter().map(|line| [key.to_owned(), second(line.at), line.text.clone()]).collect()
    }
}

impl Lines<4> for Cooldown {
    const COLUMNS: [&str; 4] = ["container", "since", "incident", "why"];

    fn lines(key: &str, row: &Self::Row) -> Vec<[String; 4]> {
        let why = match row.why {
            Why::Healed => "a remedy helped",
            Why::GivenUp => "HemoStat gave up",
        };
        let incident = or_dash(row.cooldown.incident.as_ref(), ToString::to_string);
        vec![[key.to_owned(), second(row.cooldown.since), incident, why.to_owned()]]
    }
}

impl Lines<4> for Breaker {
    const COLUMNS: [&str; 4] = ["container", "breaker", "until", "last attempt"];

    fn lines(key: &str, row: &BreakerRow) -> Vec<[String; 4]> {
        let until = match row.breaker {
            breaker::Breaker::Tripped { until } => Some(until),
            breaker::Breaker::Passing | breaker::Breaker::Probing => None,
        };
        let last = or_dash(row.attempts.last(), |attempt| second(attempt.at));
        vec![[key.to_owned(), <&str>::from(row.breaker).to_owned(), or_dash(until, second), last]]
    }
}

impl Lines<5> for Dedup {
    const COLUMNS: [&str; 5] = ["incident", "container", "since", "suppressed", "alert"];

    fn lines(key: &str, row: &Self::Row) -> Vec<[String; 5]> {
        let (subject, suppressed) = (row.subject.to_string(), row.suppressed.to_string());
        vec![[key.to_owned(), subject, second(row.since), suppressed, row.title.clone()]]
    }
}

impl Lines<8> for Calibration {
    const COLUMNS: [&str; 8] = ["container", "by", "reached", "judged", "recovered", "inconclusive", "stated", "brier"];

    fn lines(key: &str, row: &Self::Row) -> Vec<[String; 8]> {
        let line = |(by, record): (&String, &calibration::Record)| {
            let (total, count) = (record.total(), |number: u64| number.to_string());
            let hundredth = |value: Option<f64>| or_dash(value, |value| format!("{value:.2}"));
            [
                key.to_owned(),
                by.clone(),
                count(record.reached),
                count(total.judged),
                count(total.recovered),
                count(record.inconclusive),
                hundredth(total.stated()),
                hundredth(record.brier()),
            ]
        };
        row.methods.iter().map(line).collect()
    }
}
