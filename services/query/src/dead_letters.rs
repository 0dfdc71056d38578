//! Dead letters: `GET /parked`, `POST /parked/{id}/redrive` and `POST /parked/{id}/discard`.

use axum::{Json, extract::State};
use hemostat_runtime::{
    commands::CommandError,
    dead_letters::{self, What},
};

use crate::{
    app::App,
    ask::{Ask, Key, NoParameters},
    command::{Answer, Command, CommandHeaders, Reason},
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
        let event = dead_letters::event(&app.history, &letter).await?;
        parked.push(wire::DeadLetter::new(&letter, event.as_ref()));
    }
    Ok(Json(wire::DeadLetters { parked }))
}

/// Delivers a dead letter again.
///
/// Use it after the cause of the failure is fixed. An effect is executed again; a decider rebuilds its state first; a view
/// is rebuilt as a whole, and its dead letter stays listed until that begins. If handling fails again, there is a new dead
/// letter. The answer is the event `action.dead_letter_redriven`.
#[utoipa::path(
    post,
    path = "/parked/{id}/redrive",
    operation_id = "redrive_parked",
    tag = "parked",
    params(("id" = String, Path, description = "The dead letter's id.", example = "0.1767225612345-0"), CommandHeaders),
    request_body = Option<Reason>,
    responses(
        (status = 200, description = "The event of the command.", body = wire::Event),
        (status = 400, description = "The id, a header or the JSON is not valid.", body = Document, content_type = "application/problem+json"),
        (status = 403, description = "The request comes from a page of another site.", body = Document, content_type = "application/problem+json"),
        (status = 404, description = "There is no such dead letter.", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "The event, or history that the group needs to rebuild its state, is gone.", body = Document, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large.", body = Document, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not application/json.", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "The body is not what this command takes, or the key belongs to another command.", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "The event log does not answer.", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn redrive(
    State(app): State<App>,
    Key(id): Key,
    _: Ask<NoParameters>,
    command: Command<Reason>,
) -> Result<Answer, Problem> {
    execute(&app, &id, What::Redrive, command).await
}

/// Discards a dead letter.
///
/// The event stays on the log and is not handled by this consumer group. The answer is the event
/// `action.dead_letter_discarded`.
#[utoipa::path(
    post,
    path = "/parked/{id}/discard",
    operation_id = "discard_parked",
    tag = "parked",
    params(("id" = String, Path, description = "The dead letter's id.", example = "0.1767225612345-0"), CommandHeaders),
    request_body = Option<Reason>,
    responses(
        (status = 200, description = "The event of the command.", body = wire::Event),
        (status = 400, description = "The id, a header or the JSON is not valid.", body = Document, content_type = "application/problem+json"),
        (status = 403, description = "The request comes from a page of another site.", body = Document, content_type = "application/problem+json"),
        (status = 404, description = "There is no such dead letter.", body = Document, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large.", body = Document, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not application/json.", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "The body is not what this command takes, or the key belongs to another command.", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "The event log does not answer.", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn discard(
    State(app): State<App>,
    Key(id): Key,
    _: Ask<NoParameters>,
    command: Command<Reason>,
) -> Result<Answer, Problem> {
    execute(&app, &id, What::Discard, command).await
}

async fn execute(app: &App, id: &str, what: What, command: Command<Reason>) -> Result<Answer, Problem> {
    let letter = app.id(id, Problem::unknown_dead_letter)?;
    let Command { key, by, order: Reason { reason } } = command;
    let order = dead_letters::Command { letter, what, by, reason };
    let executed = dead_letters::execute(&app.history, &order, &format!("api:{key}"), app.clock.now()).await;
    match executed {
        Ok(executed) => Ok(Answer::new(key, executed)),
        Err(CommandError::Unknown) => Err(Problem::unknown_dead_letter(id)),
        Err(error) => Err(Problem::command(error)),
    }
}
