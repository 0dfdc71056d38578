//! How containers are: `GET /containers` and `GET /containers/{key}`.

use axum::{Json, extract::State};
use hemostat_core::{
    Projection,
    view::{self, containers},
};
use hemostat_history::{Position, Progress, as_of};
use hemostat_schema::{HostName, Subject};

use crate::{
    App,
    ask::{self, Ask, ContainersAsk, Key, OneAsk, parse, word},
    problem::{Document, Problem},
    rows,
    wire::{Container, ContainerDetail, Containers, words},
};

/// All containers.
///
/// How each is, and why it is, or is not, being healed.
#[utoipa::path(
    get,
    path = "/containers",
    operation_id = "list_containers",
    tag = "containers",
    params(ContainersAsk),
    responses(
        (status = 200, description = "The containers, by key.", body = Containers),
        (status = 400, description = "A parameter is not valid.", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "The event log does not answer.", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn list(State(app): State<App>, Ask(ask): Ask<ContainersAsk>) -> Result<Json<Containers>, Problem> {
    let state = word("state", ask.state.as_deref(), words::STATES)?;
    let symptom = word("symptom", ask.symptom.as_deref(), words::SYMPTOMS)?;
    let host: Option<HostName> = parse("host", ask.host.as_deref())?;
    let is_asked_for = |subject: &Subject, row: &containers::Row| {
        state.is_none_or(|state| row.facts.state == state)
            && symptom.is_none_or(|symptom| row.symptoms.iter().any(|standing| standing.symptom == symptom))
            && host.as_ref().is_none_or(|host| subject.host == *host)
    };
    let all = all(&app, ask::as_of(ask.as_of.as_deref())?).await?;
    let asked_for = all.iter().filter(|(subject, row)| is_asked_for(subject, row));
    Ok(Json(Containers {
        containers: asked_for.map(|(subject, row)| Container::new(subject, row, &app.policy)).collect(),
    }))
}

/// One container.
///
/// Why it is, or is not, being healed, what was tried, and what happened to it lately.
#[utoipa::path(
    get,
    path = "/containers/{key}",
    operation_id = "get_container",
    tag = "containers",
    params((
        "key" = String,
        Path,
        description = "`host/name` with the slash written %2F, or the name alone where only one host has it.",
        example = "docker-1%2Fapi-1",
    ), OneAsk),
    responses(
        (status = 200, description = "The container.", body = ContainerDetail),
        (status = 400, description = "That is not a container's key, or not an instant.", body = Document, content_type = "application/problem+json"),
        (status = 404, description = "There is no such container.", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "Several hosts have a container of this name.", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "The event log does not answer.", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn get(
    State(app): State<App>,
    Key(key): Key,
    Ask(ask): Ask<OneAsk>,
) -> Result<Json<ContainerDetail>, Problem> {
    let then = ask::as_of(ask.as_of.as_deref())?;
    let (subject, row) = find(&app, &key, then).await?;
    let (cooldown, breaker, timeline) = tokio::try_join!(
        one::<view::Cooldown>(&app, &subject, then),
        one::<view::Breaker>(&app, &subject, then),
        one::<view::Timeline>(&app, &subject, then),
    )?;
    let container = Container::new(&subject, &row, &app.policy);
    Ok(Json(ContainerDetail::new(container, cooldown, breaker, timeline)))
}

/// The one container that `key` means: in full, or by its name alone.
async fn find(app: &App, key: &str, then: Option<Position>) -> Result<(Subject, containers::Row), Problem> {
    let asked: Subject = parse("key", Some(key))?.ok_or_else(|| Problem::unknown_container(key, &[]))?;
    if asked.container.is_some()
        && let Some(row) = one::<view::Containers>(app, &asked, then).await?
    {
        return Ok((asked, row));
    }
    let all = all(app, then).await?;
    let keys =
        |all: &[(Subject, containers::Row)]| all.iter().map(|(subject, _)| subject.to_string()).collect::<Vec<_>>();
    let known = keys(&all);
    let mut named: Vec<_> =
        all.into_iter().filter(|(subject, _)| asked.container.is_none() && subject.short() == key).collect();
    match named.len() {
        0 | 1 => named.pop().ok_or_else(|| Problem::unknown_container(key, &known)),
        _ => Err(Problem::ambiguous_container(key, keys(&named))),
    }
}

/// The row of one container in the view `P`, at present or as it stood then.
async fn one<P: Projection>(app: &App, subject: &Subject, then: Option<Position>) -> Result<Option<P::Row>, Problem> {
    let key = subject.to_string();
    Ok(match then {
        None => rows::get_of::<P>(&*app.log, &subject.host, &key).await?,
        Some(then) => as_of::row::<P>(&app.history, &key, then, &Progress::default()).await?,
    })
}

/// Every container, by key, at present or as they stood then.
async fn all(app: &App, then: Option<Position>) -> Result<Vec<(Subject, containers::Row)>, Problem> {
    let rows: Vec<(String, containers::Row)> = match then {
        None => rows::all::<view::Containers>(&*app.log).await?,
        Some(then) => {
            as_of::rows::<view::Containers>(&app.history, then, &Progress::default()).await?.into_iter().collect()
        }
    };
    let subject = |(key, row): (String, _)| key.parse().ok().map(|subject| (subject, row));
    let mut all: Vec<(Subject, _)> = rows.into_iter().filter_map(subject).collect();
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(all)
}
