//! `GET /incidents` and `GET /incidents/{id}`.

use axum::{Json, extract::State};
use futures::{StreamExt, TryStreamExt, stream};
use hemostat_core::views::{self, incidents};
use hemostat_history::{Progress, as_of};
use hemostat_runtime::read_model;
use hemostat_schema::{IncidentId, Subject};

use crate::{
    app::App,
    ask::{self, Ask, IncidentsAsk, Key, OneAsk, limit, parse},
    problem::{Document, Problem},
    wire::{Event, Incident, IncidentDetail, Incidents, enums::IncidentFilter},
};

/// Maximum concurrent reads of an incident's events.
const CONCURRENT_READS: usize = 16;

/// Lists incidents, the latest first, one page at a time.
#[utoipa::path(
    get,
    path = "/incidents",
    operation_id = "list_incidents",
    tag = "incidents",
    params(IncidentsAsk),
    responses(
        (status = 200, description = "A page of incidents.", body = Incidents),
        (status = 400, description = "A parameter is not valid.", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "The event log does not answer.", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn list(State(app): State<App>, Ask(ask): Ask<IncidentsAsk>) -> Result<Json<Incidents>, Problem> {
    let container: Option<Subject> = parse("container", ask.container.as_deref())?;
    let cursor: Option<IncidentId> = parse("cursor", ask.cursor.as_deref())?;
    let limit = limit(ask.limit.as_deref())?;

    let matches = |id: &IncidentId, row: &incidents::Row| {
        let is_open = row.state == incidents::State::Open;
        ask.state.is_none_or(|state| is_open == (state == IncidentFilter::Open))
            && container.as_ref().is_none_or(|container| row.subject == *container)
            && cursor.as_ref().is_none_or(|cursor| id < cursor)
    };
    let rows = app.rows::<views::Incidents>(ask::as_of(ask.as_of.as_deref())?).await?;
    let rows = rows.into_iter().filter_map(|(key, row)| key.parse().ok().map(|id: IncidentId| (id, row)));
    let mut found: Vec<_> = rows.filter(|(id, row)| matches(id, row)).collect();
    // Ids sort by the begin of the incident.
    found.sort_by(|(a, _), (b, _)| b.cmp(a));
    let more = found.len() > limit;
    found.truncate(limit);
    Ok(Json(Incidents {
        next: found.last().filter(|_| more).map(|(id, _)| id.to_string()),
        incidents: found.iter().map(|(id, row)| Incident::new(id, row)).collect(),
    }))
}

/// Returns one incident with its events.
#[utoipa::path(
    get,
    path = "/incidents/{id}",
    operation_id = "get_incident",
    tag = "incidents",
    params(("id" = String, Path, description = "The incident's id.", example = "inc-01jd9k3q2v8m4t7z"), OneAsk),
    responses(
        (status = 200, description = "The incident.", body = IncidentDetail),
        (status = 400, description = "The id or a parameter is not valid.", body = Document, content_type = "application/problem+json"),
        (status = 404, description = "There is no such incident.", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "The event log does not answer.", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn get(
    State(app): State<App>,
    Key(key): Key,
    Ask(ask): Ask<OneAsk>,
) -> Result<Json<IncidentDetail>, Problem> {
    let id: IncidentId = parse("id", Some(&key))?.ok_or_else(|| Problem::unknown_incident(&key))?;
    let row = match ask::as_of(ask.as_of.as_deref())? {
        None => read_model::get::<views::Incidents>(&*app.log, &key).await?,
        Some(then) => as_of::row::<views::Incidents>(&app.history, &key, then, &Progress::default()).await?,
    };
    let row = row.ok_or_else(|| Problem::unknown_incident(&key))?;
    let read = |event| {
        let history = &app.history;
        async move { history.get(event).await.map(|entry| (event, entry)) }
    };
    let chain: Vec<_> =
        stream::iter(row.events.iter().copied()).map(read).buffered(CONCURRENT_READS).try_collect().await?;
    Ok(Json(IncidentDetail {
        incident: Incident::new(&id, &row),
        events: chain.iter().filter_map(|(_, entry)| entry.as_ref()).map(Event::from).collect(),
        omitted: row.omitted,
        trimmed: chain.iter().filter(|(_, entry)| entry.is_none()).map(|(event, _)| event.to_string()).collect(),
    }))
}
