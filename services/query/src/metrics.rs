//! `GET /containers/{key}/metrics` and `GET /incidents/{id}/samples`: what was measured.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use hemostat_core::views::{
    self, incident_samples,
    metrics::{self, Bucket, Reading},
};
use hemostat_runtime::read_model;
use hemostat_schema::{IncidentId, Partition, Span, Subject};
use jiff::Timestamp;

use crate::{
    app::App,
    ask::{self, Ask, Key, MetricsAsk, NoParameters, parse},
    containers,
    problem::{Document, Problem},
    wire::{ContainerMetrics, IncidentSample, IncidentSamples, MetricsBucket},
};

/// The time of a request that does not say any.
const DEFAULT_TIME: Span = Span::from_secs(24 * 3600);
/// Maximum first and last samples of an incident.
const ENDS: usize = 1000;

/// Returns what a container used.
///
/// Minimum, mean and maximum of five minutes, for thirty days.
#[utoipa::path(
    get,
    path = "/containers/{key}/metrics",
    operation_id = "get_container_metrics",
    tag = "containers",
    params((
        "key" = String,
        Path,
        description = "`host/name` with the slash encoded as %2F, or the name alone if only one host has it.",
        example = "docker-1%2Fapi-1",
    ), MetricsAsk),
    responses(
        (status = 200, description = "What the container used.", body = ContainerMetrics),
        (status = 400, description = "The key or a parameter is not valid.", body = Document, content_type = "application/problem+json"),
        (status = 404, description = "There is no such container.", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "Several hosts have a container of this name.", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "The event log does not answer.", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn of_container(
    State(app): State<App>,
    Key(key): Key,
    Ask(ask): Ask<MetricsAsk>,
) -> Result<Json<ContainerMetrics>, Problem> {
    let now = Timestamp::now();
    let to = ask::instant("to", ask.to.as_deref())?.unwrap_or(now);
    let from = ask::instant("from", ask.from.as_deref())?.unwrap_or(DEFAULT_TIME.before(to));
    if from > to {
        return Err(Problem::parameter("from", "it comes after to"));
    }
    if Span::between(from, to) > metrics::KEPT {
        return Err(Problem::parameter("from", format!("it is more than {} before to", metrics::KEPT)));
    }
    // A removed container is no longer listed, and its metrics are still there.
    let (subject, is_listed) = match containers::find(&app, &key, None).await {
        Ok((subject, _)) => (subject, true),
        Err(unknown) => match parse::<Subject>("key", Some(&key))? {
            Some(subject) if subject.container.is_some() => (subject, false),
            _ => return Err(unknown),
        },
    };
    let host = Subject::host(subject.host.clone());
    let (own, host) =
        tokio::try_join!(buckets(&app, &subject, (from, to), now), buckets(&app, &host, (from, to), now),)?;
    if own.is_empty() && !is_listed {
        return Err(Problem::unknown_container(&key, &[]));
    }
    Ok(Json(ContainerMetrics {
        container: subject.to_string(),
        bucket_seconds: metrics::BUCKET.as_millis() / 1000,
        buckets: own.iter().map(|(at, bucket)| MetricsBucket::new(*at, bucket, host.get(at))).collect(),
    }))
}

/// The buckets of a container or host that begin between two instants, by when they begin.
async fn buckets(
    app: &App,
    subject: &Subject,
    (from, to): (Timestamp, Timestamp),
    now: Timestamp,
) -> Result<BTreeMap<Timestamp, Bucket>, Problem> {
    let hours: Vec<i64> = (metrics::hour(from)..=metrics::hour(to)).collect();
    let keys: Vec<String> = hours.iter().map(|hour| metrics::key(subject, *hour)).collect();
    let rows = read_model::some_of::<views::Metrics>(&*app.log, &subject.host, &keys).await?;
    let rows = hours.into_iter().zip(rows).filter_map(|(hour, row)| Some((hour, row?)));
    let buckets = rows.flat_map(|(hour, row)| row.buckets(hour, now));
    Ok(buckets.filter(|(at, _)| (from..to).contains(at)).collect())
}

/// Returns what was measured around an incident.
///
/// Every sample of its container from half an hour before its beginning to half an hour after its end. They are kept for
/// ninety days, longer than the samples on the log.
#[utoipa::path(
    get,
    path = "/incidents/{id}/samples",
    operation_id = "get_incident_samples",
    tag = "incidents",
    params(("id" = String, Path, description = "The incident's id.", example = "inc-01jd9k3q2v8m4t7z")),
    responses(
        (status = 200, description = "The samples.", body = IncidentSamples),
        (status = 400, description = "The id is not valid.", body = Document, content_type = "application/problem+json"),
        (status = 404, description = "There is no such incident.", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "The event log does not answer.", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn of_incident(
    State(app): State<App>,
    Key(key): Key,
    _: Ask<NoParameters>,
) -> Result<Json<IncidentSamples>, Problem> {
    let id: IncidentId = parse("id", Some(&key))?.ok_or_else(|| Problem::unknown_incident(&key))?;
    let row = read_model::get::<views::Incidents>(&*app.log, &key).await?;
    let row = row.ok_or_else(|| Problem::unknown_incident(&key))?;
    let now = app.log.clock(Partition::of(&row.subject.host, app.log.partitions())).await?.appended_at();
    let (from, to) = incident_samples::around(row.begun, row.ended.unwrap_or(now));
    let keys = incident_samples::keys_between(&row.subject, from, to);
    let rows = read_model::some_of::<views::IncidentSamples>(&*app.log, &row.subject.host, &keys).await?;
    let is_near = |sample: &Reading| (from.as_millisecond()..=to.as_millisecond()).contains(&sample.at);
    let samples: Vec<Reading> = rows.into_iter().flatten().flat_map(|row| row.samples).filter(is_near).collect();
    let omitted = samples.len().saturating_sub(2 * ENDS);
    let shown = samples.iter().enumerate().filter(|(n, _)| *n < ENDS || *n >= ENDS + omitted);
    Ok(Json(IncidentSamples {
        incident: id.to_string(),
        container: row.subject.to_string(),
        samples: shown.map(|(_, sample)| IncidentSample::from(sample)).collect(),
        omitted,
    }))
}
