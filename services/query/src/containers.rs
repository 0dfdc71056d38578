//! `GET /containers` and `GET /containers/{key}`.

use axum::{Json, extract::State};
use hemostat_core::{
    Projection,
    views::{self, containers},
};
use hemostat_history::{Position, Progress, as_of};
use hemostat_runtime::read_model;
use hemostat_schema::{HostName, Subject};

use crate::{
    app::App,
    ask::{self, Ask, ContainersAsk, Key, OneAsk, parse},
    held,
    problem::{Document, Problem},
    wire::{
        Container, ContainerDetail, Containers,
        enums::{ContainerState, Symptom},
    },
};

/// Lists containers.
///
/// The state of each, and why HemoStat heals it or does not.
#[utoipa::path(
    get,
    path = "/containers",
    operation_id = "list_containers",
    tag = "containers",
    params(ContainersAsk),
    responses(
        (status = 200, description = "The containers, sorted by key.", body = Containers),
        (status = 400, description = "A parameter is not valid.", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "The event log does not answer.", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn list(State(app): State<App>, Ask(ask): Ask<ContainersAsk>) -> Result<Json<Containers>, Problem> {
    let host: Option<HostName> = parse("host", ask.host.as_deref())?;
    let matches = |subject: &Subject, row: &containers::Row| {
        ask.state.is_none_or(|ContainerState(state)| row.facts.state == state)
            && ask.symptom.is_none_or(|Symptom(symptom)| row.symptoms.iter().any(|active| active.symptom == symptom))
            && host.as_ref().is_none_or(|host| subject.host == *host)
    };
    let then = ask::as_of(ask.as_of.as_deref())?;
    let all = all(&app, then).await?;
    let matching: Vec<_> = all.iter().filter(|(subject, row)| matches(subject, row)).collect();
    let held = held::held(&app, matching.iter().map(|(subject, _)| subject), then).await?;
    let policies = app.policies(matching.iter().map(|(subject, _)| subject), then).await?;
    let container = |(subject, row): &(Subject, containers::Row)| {
        Container::new(subject, row, held.get(subject), policies.policy(subject))
    };
    Ok(Json(Containers { containers: matching.into_iter().map(container).collect() }))
}

/// Returns one container.
///
/// Its state, why HemoStat heals it or does not, what was tried, and its recent history.
#[utoipa::path(
    get,
    path = "/containers/{key}",
    operation_id = "get_container",
    tag = "containers",
    params((
        "key" = String,
        Path,
        description = "`host/name` with the slash encoded as %2F, or the name alone if only one host has it.",
        example = "docker-1%2Fapi-1",
    ), OneAsk),
    responses(
        (status = 200, description = "The container.", body = ContainerDetail),
        (status = 400, description = "The key or a parameter is not valid.", body = Document, content_type = "application/problem+json"),
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
    let (held, cooldown, breaker, timeline) = tokio::try_join!(
        held::held(&app, [&subject], then),
        one::<views::Cooldown>(&app, &subject, then),
        one::<views::Breaker>(&app, &subject, then),
        one::<views::Timeline>(&app, &subject, then),
    )?;
    let policies = app.policies([&subject], then).await?;
    let container = Container::new(&subject, &row, held.get(&subject), policies.policy(&subject));
    Ok(Json(ContainerDetail::new(container, cooldown, breaker, timeline)))
}

/// The container that `key` identifies: by host and name, or by name alone.
pub async fn find(app: &App, key: &str, then: Option<Position>) -> Result<(Subject, containers::Row), Problem> {
    let wanted: Subject = parse("key", Some(key))?.ok_or_else(|| Problem::unknown_container(key, &[]))?;
    if wanted.container.is_some()
        && let Some(row) = one::<views::Containers>(app, &wanted, then).await?
    {
        return Ok((wanted, row));
    }
    let all = all(app, then).await?;
    let keys =
        |all: &[(Subject, containers::Row)]| all.iter().map(|(subject, _)| subject.to_string()).collect::<Vec<_>>();
    let known = keys(&all);
    let mut named: Vec<_> =
        all.into_iter().filter(|(subject, _)| wanted.container.is_none() && subject.short() == key).collect();
    match named.len() {
        0 | 1 => named.pop().ok_or_else(|| Problem::unknown_container(key, &known)),
        _ => Err(Problem::ambiguous_container(key, keys(&named))),
    }
}

/// The row of one container in the view `P`, at present or as of `then`.
async fn one<P: Projection>(app: &App, subject: &Subject, then: Option<Position>) -> Result<Option<P::Row>, Problem> {
    let key = subject.to_string();
    Ok(match then {
        None => read_model::get_of::<P>(&*app.log, &subject.host, &key).await?,
        Some(then) => as_of::row::<P>(&app.history, &key, then, &Progress::default()).await?,
    })
}

/// All containers, sorted by key, at present or as of `then`.
async fn all(app: &App, then: Option<Position>) -> Result<Vec<(Subject, containers::Row)>, Problem> {
    let rows = app.rows::<views::Containers>(then).await?;
    let subject = |(key, row): (String, _)| key.parse().ok().map(|subject| (subject, row));
    let mut all: Vec<(Subject, _)> = rows.into_iter().filter_map(subject).collect();
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(all)
}
