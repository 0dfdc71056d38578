//! `GET /events` and `GET /events/{id}`: the log itself.

use axum::{Json, extract::State};
use hemostat_history::select::{self, PageLimits};

use crate::{
    app::App,
    ask::{Ask, EventsAsk, Key, NoParameters},
    problem::{Document, Problem},
    wire::{Event, Events},
};

/// Maximum entries examined per page.
const MAX_SCANNED: usize = 10_000;
/// Entries per read of a partition.
const CHUNK: usize = 500;

/// Lists events, one page at a time.
///
/// An event must match all filters. Samples are events, too; use `family` or `kind` to leave them out.
#[utoipa::path(
    get,
    path = "/events",
    operation_id = "list_events",
    tag = "events",
    params(EventsAsk),
    responses(
        (status = 200, description = "A page of events.", body = Events),
        (status = 400, description = "A parameter is not valid.", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "The event log does not answer.", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn list(State(app): State<App>, Ask(ask): Ask<EventsAsk>) -> Result<Json<Events>, Problem> {
    let request = ask.parse()?;
    let limits = PageLimits { found: request.limit, scanned: MAX_SCANNED, chunk: CHUNK };
    let page = select::page(&app.history, &request.filter, request.order, limits).await?;
    Ok(Json(Events {
        events: page.entries.iter().map(Event::from).collect(),
        next: page.next.map(|next| next.to_string()),
    }))
}

/// Returns one event.
#[utoipa::path(
    get,
    path = "/events/{id}",
    operation_id = "get_event",
    tag = "events",
    params(("id" = String, Path, description = "The event's id.", example = "0.1767225612000-1")),
    responses(
        (status = 200, description = "The event.", body = Event),
        (status = 400, description = "The id is not valid.", body = Document, content_type = "application/problem+json"),
        (status = 404, description = "There is no such event.", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "The event log does not answer.", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn get(State(app): State<App>, Key(key): Key, _: Ask<NoParameters>) -> Result<Json<Event>, Problem> {
    let id = app.id(&key, Problem::unknown_event)?;
    let entry = app.history.get(id).await?.ok_or_else(|| Problem::unknown_event(&key))?;
    Ok(Json(Event::from(&entry)))
}
