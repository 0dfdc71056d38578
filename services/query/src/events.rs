//! The log itself: `GET /events` and `GET /events/{id}`.

use axum::{Json, extract::State};
use hemostat_schema::EventId;

use crate::{
    App,
    ask::{Ask, EventsAsk, Key, Nothing, parse},
    history::{self, Cost},
    problem::{Document, Problem},
    wire::{Event, Events},
};

/// So many events are looked at for one page.
const SCANNED: usize = 10_000;
/// So many are read at once.
const CHUNK: usize = 500;

/// Events, a page at a time.
///
/// What happened, as it stands on the log. Filters are combined: an event must meet all of them. Samples are events, too;
/// ask for `family` or `kind` to leave them out.
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
    let asked = ask.meant()?;
    let cost = Cost { found: asked.limit, scanned: SCANNED, chunk: CHUNK };
    let page = history::page(&app.history, &asked.filter, asked.window, asked.order, cost).await?;
    Ok(Json(Events {
        events: page.entries.iter().map(Event::from).collect(),
        next: page.next.map(|next| next.to_string()),
    }))
}

/// One event.
#[utoipa::path(
    get,
    path = "/events/{id}",
    operation_id = "get_event",
    tag = "events",
    params(("id" = String, Path, description = "The event's id.", example = "0.1767225612000-1")),
    responses(
        (status = 200, description = "The event.", body = Event),
        (status = 400, description = "That is not an event's id.", body = Document, content_type = "application/problem+json"),
        (status = 404, description = "There is no such event.", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "The event log does not answer.", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn get(State(app): State<App>, Key(key): Key, _: Ask<Nothing>) -> Result<Json<Event>, Problem> {
    let id: EventId = parse("id", Some(&key))?.ok_or_else(|| Problem::unknown_event(&key))?;
    if id.partition.0 >= app.log.partitions() {
        return Err(Problem::unknown_event(&key));
    }
    let entry = app.history.get(id).await?.ok_or_else(|| Problem::unknown_event(&key))?;
    Ok(Json(Event::from(&entry)))
}
