//! What could not be handled: `GET /parked`, `POST /parked/{id}/redrive` and `POST /parked/{id}/discard`.

use axum::{Json, extract::State};
use hemostat_runtime::parked;
use hemostat_schema::EventId;

use crate::{
    App,
    ask::{Ask, Key, Nothing, parse},
    guard::Deliberate,
    log::{Error, ParkedDelivery},
    problem::{Document, Problem},
    wire,
};

/// At most so many are listed.
const MOST: usize = 1000;

/// What could not be handled, the newest first.
///
/// Each was put aside by one part of HemoStat, so that the rest could go on.
#[utoipa::path(
    get,
    path = "/parked",
    operation_id = "list_parked",
    tag = "parked",
    responses(
        (status = 200, description = "The deliveries.", body = wire::ParkedList),
        (status = 400, description = "A parameter is not valid.", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "The event log does not answer.", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn list(State(app): State<App>, _: Ask<Nothing>) -> Result<Json<wire::ParkedList>, Problem> {
    let mut shown = vec![];
    for delivery in parked::list(&*app.log, MOST).await? {
        shown.push(show(&app, &delivery).await?);
    }
    Ok(Json(wire::ParkedList { parked: shown }))
}

/// Has a parked delivery dealt with anew.
///
/// For when what made it fail is mended. An effect is tried again; a decider first folds its state anew; a view is filled
/// anew as a whole. What fails again is parked again.
#[utoipa::path(
    post,
    path = "/parked/{id}/redrive",
    operation_id = "redrive_parked",
    tag = "parked",
    params(("id" = String, Path, description = "The delivery's id in the list of those that are parked.", example = "0.1767225612345-0")),
    responses(
        (status = 200, description = "What is done about it.", body = wire::Redriven),
        (status = 400, description = "That is not an id.", body = Document, content_type = "application/problem+json"),
        (status = 403, description = "A page of another site asks.", body = Document, content_type = "application/problem+json"),
        (status = 404, description = "Nothing is parked by this id.", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "Its event, or what its group needs of the past, is gone.", body = Document, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not application/json.", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "The event log does not answer.", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn redrive(
    State(app): State<App>,
    _: Deliberate,
    Key(key): Key,
    _: Ask<Nothing>,
) -> Result<Json<wire::Redriven>, Problem> {
    let id = of_log(&app, &key)?;
    let redriven = parked::redrive(&app.history, id).await.map_err(|error| match error {
        Error::Invalid { reason, .. } => Problem::cannot_redrive(reason),
        error => error.into(),
    })?;
    let (delivery, done) = redriven.ok_or_else(|| Problem::unknown_parked(&key))?;
    Ok(Json(wire::Redriven::new(show(&app, &delivery).await?, done)))
}

/// Forgets a parked delivery.
///
/// Its event stays on the log; only that it could not be handled is not remembered any more.
#[utoipa::path(
    post,
    path = "/parked/{id}/discard",
    operation_id = "discard_parked",
    tag = "parked",
    params(("id" = String, Path, description = "The delivery's id in the list of those that are parked.", example = "0.1767225612345-0")),
    responses(
        (status = 200, description = "What it was.", body = wire::Parked),
        (status = 400, description = "That is not an id.", body = Document, content_type = "application/problem+json"),
        (status = 403, description = "A page of another site asks.", body = Document, content_type = "application/problem+json"),
        (status = 404, description = "Nothing is parked by this id.", body = Document, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not application/json.", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "The event log does not answer.", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn discard(
    State(app): State<App>,
    _: Deliberate,
    Key(key): Key,
    _: Ask<Nothing>,
) -> Result<Json<wire::Parked>, Problem> {
    let discarded = parked::discard(&*app.log, of_log(&app, &key)?).await?;
    let delivery = discarded.ok_or_else(|| Problem::unknown_parked(&key))?;
    Ok(Json(show(&app, &delivery).await?))
}

fn of_log(app: &App, key: &str) -> Result<EventId, Problem> {
    let id: EventId = parse("id", Some(key))?.ok_or_else(|| Problem::unknown_parked(key))?;
    if id.partition.0 < app.log.partitions() { Ok(id) } else { Err(Problem::unknown_parked(key)) }
}

async fn show(app: &App, delivery: &ParkedDelivery) -> Result<wire::Parked, Problem> {
    let event = parked::event(&app.history, delivery).await?;
    Ok(wire::Parked::new(delivery, event.as_ref()))
}
