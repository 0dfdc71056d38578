//! Dead letters: `GET /parked`, `POST /parked/{id}/redrive` and `POST /parked/{id}/discard`.

use axum::{Json, extract::State};
use hemostat_log::{DeadLetter, Error};
use hemostat_runtime::dead_letters;

use crate::{
    app::App,
    ask::{Ask, Key, NoParameters},
    guard::NotCrossSite,
    problem::{Document, Problem},
    wire,
};

/// Maximum dead letters in a list.
const MAX_LISTED: usize = 1000;

/// Lists dead letters, the newest first.
///
/// A dead letter is an event that one consumer group could not handle and skipped, so that it can process the rest.
#[utoipa::path(
    get,
    path = "/parked",
    operation_id = "list_parked",
    tag = "parked",
    responses(
        (status = 200, description = "The dead letters.", body = wire::DeadLetters),
        (status = 400, description = "A parameter is not valid.", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "The event log does not answer.", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn list(State(app): State<App>, _: Ask<NoParameters>) -> Result<Json<wire::DeadLetters>, Problem> {
    let mut parked = vec![];
    for letter in dead_letters::list(&*app.log, MAX_LISTED).await? {
        parked.push(with_event(&app, &letter).await?);
    }
    Ok(Json(wire::DeadLetters { parked }))
}

/// Delivers a dead letter again.
///
/// Use it after the cause of the failure is fixed. An effect is executed again; a decider rebuilds its state first; a view
/// is rebuilt as a whole. If handling fails again, there is a new dead letter.
#[utoipa::path(
    post,
    path = "/parked/{id}/redrive",
    operation_id = "redrive_parked",
    tag = "parked",
    params(("id" = String, Path, description = "The dead letter's id.", example = "0.1767225612345-0")),
    responses(
        (status = 200, description = "The result.", body = wire::Redriven),
        (status = 400, description = "The id is not valid.", body = Document, content_type = "application/problem+json"),
        (status = 403, description = "The request comes from a page of another site.", body = Document, content_type = "application/problem+json"),
        (status = 404, description = "There is no such dead letter.", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "The event, or history that the group needs to rebuild its state, is gone.", body = Document, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not application/json.", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "The event log does not answer.", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn redrive(
    State(app): State<App>,
    _: NotCrossSite,
    Key(key): Key,
    _: Ask<NoParameters>,
) -> Result<Json<wire::Redriven>, Problem> {
    let id = app.id(&key, Problem::unknown_dead_letter)?;
    let redriven = dead_letters::redrive(&app.history, id).await.map_err(|error| match error {
        Error::Invalid { reason, .. } => Problem::cannot_redrive(reason),
        error => error.into(),
    })?;
    let (letter, result) = redriven.ok_or_else(|| Problem::unknown_dead_letter(&key))?;
    Ok(Json(wire::Redriven::new(with_event(&app, &letter).await?, result)))
}

/// Discards a dead letter.
///
/// The event stays on the log and is not handled by this consumer group.
#[utoipa::path(
    post,
    path = "/parked/{id}/discard",
    operation_id = "discard_parked",
    tag = "parked",
    params(("id" = String, Path, description = "The dead letter's id.", example = "0.1767225612345-0")),
    responses(
        (status = 200, description = "The discarded dead letter.", body = wire::DeadLetter),
        (status = 400, description = "The id is not valid.", body = Document, content_type = "application/problem+json"),
        (status = 403, description = "The request comes from a page of another site.", body = Document, content_type = "application/problem+json"),
        (status = 404, description = "There is no such dead letter.", body = Document, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not application/json.", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "The event log does not answer.", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn discard(
    State(app): State<App>,
    _: NotCrossSite,
    Key(key): Key,
    _: Ask<NoParameters>,
) -> Result<Json<wire::DeadLetter>, Problem> {
    let discarded = dead_letters::discard(&*app.log, app.id(&key, Problem::unknown_dead_letter)?).await?;
    let letter = discarded.ok_or_else(|| Problem::unknown_dead_letter(&key))?;
    Ok(Json(with_event(&app, &letter).await?))
}

async fn with_event(app: &App, letter: &DeadLetter) -> Result<wire::DeadLetter, Problem> {
    let event = dead_letters::event(&app.history, letter).await?;
    Ok(wire::DeadLetter::new(letter, event.as_ref()))
}
