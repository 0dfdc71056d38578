//! From the parameters of a request to what they mean; a parameter that means nothing is refused, with what would be right.

use std::{fmt::Display, str::FromStr};

use axum::{
    extract::{FromRequestParts, Path, Query, rejection::PathRejection},
    http::request::Parts,
};
use hemostat_history::{Position, Window, window::Point};
use hemostat_schema::{ContainerName, Event, EventId, Family, HostName, Subject};
use jiff::Timestamp;
use serde::{Deserialize, de::DeserializeOwned};
use utoipa::IntoParams;

use crate::{history::Filter, log::Order, problem::Problem};

/// The query string, all of it: an unknown or repeated parameter is refused, so that a misspelt filter is not no filter.
#[derive(Debug)]
pub struct Ask<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Ask<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let said = |text: String| text.trim_start_matches("Failed to deserialize query string: ").to_owned();
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(asked)) => Ok(Self(asked)),
            Err(rejection) => Err(Problem::parameter("query string", said(rejection.body_text()))),
        }
    }
}

/// The one variable part of the path, decoded.
#[derive(Debug)]
pub struct Key(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Key {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let rejected = |rejection: PathRejection| Problem::parameter("path", rejection.body_text());
        Path::from_request_parts(parts, state).await.map(|Path(key)| Self(key)).map_err(rejected)
    }
}

/// Nothing may be asked of this path.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// Parameters of `GET /events`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventsAsk {
    /// Only this kind, in full.
    #[param(example = "action.authorised")]
    kind: Option<String>,
    /// Only this family: `observation`, `diagnosis`, `action` or `alert`.
    #[param(example = "action", pattern = "^(observation|diagnosis|action|alert)$")]
    family: Option<String>,
    /// Only about this container: its name (on any host) or `host/name`.
    #[param(example = "docker-1/api-1")]
    container: Option<String>,
    /// Only of this incident.
    #[param(example = "inc-01jd9k3q2v8m4t7z", pattern = "^inc-[0-9a-z]{16}$")]
    incident: Option<String>,
    /// Only of this Docker host.
    #[param(example = "docker-1")]
    host: Option<String>,
    /// From here on: an RFC 3339 instant by the log's clock, or the id of an event, which is then the first.
    #[param(example = "2026-01-01T00:00:00Z")]
    from: Option<String>,
    /// Up to here: an RFC 3339 instant by the log's clock, or the id of an event, which is then left out.
    #[param(example = "2026-01-02T00:00:00Z")]
    to: Option<String>,
    /// `newest` (first) or `oldest` (first).
    #[param(example = "oldest", pattern = "^(newest|oldest)$")]
    order: Option<String>,
    /// At most so many on a page, 1 to 1000; 100 where nothing is said.
    #[param(example = 100, value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// Goes on after this event: the `next` of the page before, or, to follow the log with `order=oldest`, the id of the
    /// last event that you have.
    #[param(example = "0.1767225612000-1", pattern = r"^\d+\.\d+-\d+$")]
    cursor: Option<String>,
}

/// Parameters of `GET /containers`.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ContainersAsk {
    /// Only in this state: created, running, paused, restarting, removing, exited or dead.
    #[param(example = "running", pattern = "^(created|running|paused|restarting|removing|exited|dead)$")]
    pub state: Option<String>,
    /// Only with this symptom: unhealthy, exited, oom_killed, restart_loop, cpu_high or memory_high.
    #[param(example = "unhealthy", pattern = "^(unhealthy|exited|oom_killed|restart_loop|cpu_high|memory_high)$")]
    pub symptom: Option<String>,
    /// Only on this Docker host.
    #[param(example = "docker-1")]
    pub host: Option<String>,
    /// As it stood then: an RFC 3339 instant by the log's clock, or right after an event, by its id. What is said to be
    /// decided by the policy follows from the present one.
    #[param(example = "2026-01-01T00:00:00Z")]
    pub as_of: Option<String>,
}

/// Parameters of `GET /containers/{key}`, `GET /incidents/{id}` and `GET /stats/calibration`.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OneAsk {
    /// As it stood then: an RFC 3339 instant by the log's clock, or right after an event, by its id. What is said to be
    /// decided by the policy follows from the present one.
    #[param(example = "2026-01-01T00:00:00Z")]
    pub as_of: Option<String>,
}

/// Parameters of `GET /incidents`.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct IncidentsAsk {
    /// Only `open` or only `ended` ones. An incident that HemoStat gave up on has ended.
    #[param(example = "open", pattern = "^(open|ended)$")]
    pub state: Option<String>,
    /// Only of this container, as `host/name`.
    #[param(example = "docker-1/api-1")]
    pub container: Option<String>,
    /// At most so many on a page, 1 to 1000; 100 where nothing is said.
    #[param(example = 100, value_type = Option<u32>, minimum = 1, maximum = 1000)]
    pub limit: Option<String>,
    /// The `next` of the page before.
    #[param(example = "inc-01jd9k3q2v8m4t7z", pattern = "^inc-[0-9a-z]{16}$")]
    pub cursor: Option<String>,
    /// As they stood then: an RFC 3339 instant by the log's clock, or right after an event, by its id.
    #[param(example = "2026-01-01T00:00:00Z")]
    pub as_of: Option<String>,
}

/// What [`EventsAsk`] means.
#[derive(Debug, PartialEq, Eq)]
pub struct EventsAsked {
    /// What.
    pub filter: Filter,
    /// Where.
    pub window: Window,
    /// In which order.
    pub order: Order,
    /// How many.
    pub limit: usize,
}

impl EventsAsk {
    /// What is meant, or the first parameter that means nothing.
    pub fn meant(&self) -> Result<EventsAsked, Problem> {
        let mut filter = Filter {
            host: parse("host", self.host.as_deref())?,
            incident: parse("incident", self.incident.as_deref())?,
            ..Filter::all()
        };
        self.families(&mut filter)?;
        if let Some(container) = &self.container {
            let (host, name) = container_of(container)?;
            if let (Some(host), Some(other)) = (&host, &filter.host)
                && host != other
            {
                return Err(Problem::parameter("container", format!("it is on {host}, but host is {other}")));
            }
            filter.host = filter.host.or(host);
            filter.container = Some(name);
        }

        let order = match self.order.as_deref() {
            None | Some("newest") => Order::NewestFirst,
            Some("oldest") => Order::OldestFirst,
            Some(other) => return Err(not("order", other, "newest or oldest")),
        };
        let mut window = Window {
            from: position("from", self.from.as_deref())?.unwrap_or(Window::ALL.from),
            to: position("to", self.to.as_deref())?.unwrap_or(Window::ALL.to),
        };
        if window.from > window.to {
            return Err(Problem::parameter("from", "it comes after to"));
        }
        if let Some(cursor) = parse::<EventId>("cursor", self.cursor.as_deref())? {
            match order {
                Order::OldestFirst => window.from = window.from.max(Position::after(cursor)).min(window.to),
                Order::NewestFirst => window.to = window.to.min(Position::before(cursor)).max(window.from),
            }
        }
        Ok(EventsAsked { filter, window, order, limit: limit(self.limit.as_deref())? })
    }

    fn families(&self, filter: &mut Filter) -> Result<(), Problem> {
        let family: Option<Family> = parse("family", self.family.as_deref())?;
        filter.families = family.map_or(Family::ALL.to_vec(), |family| vec![family]);
        let Some(kind) = &self.kind else { return Ok(()) };
        let Some(known) = Event::kinds().find(|info| info.kind() == *kind) else {
            return Err(not(
                "kind",
                kind,
                "a kind such as action.authorised (for kinds of a later version ask by family)",
            ));
        };
        if family.is_some_and(|family| family != known.family) {
            return Err(Problem::parameter(
                "kind",
                format!("{kind} is of the family {}, not the one asked for", known.family),
            ));
        }
        filter.families = vec![known.family];
        filter.kind = Some(kind.clone());
        Ok(())
    }
}

/// A number of things on a page.
pub fn limit(said: Option<&str>) -> Result<usize, Problem> {
    const MOST: usize = 1000;
    let Some(said) = said else { return Ok(100) };
    let limit = said.parse().ok().filter(|limit| (1..=MOST).contains(limit));
    limit.ok_or_else(|| not("limit", said, "a number from 1 to 1000"))
}

/// A parameter of a type that says itself what is right.
pub fn parse<T: FromStr<Err: Display>>(parameter: &str, said: Option<&str>) -> Result<Option<T>, Problem> {
    said.map(str::parse).transpose().map_err(|error| Problem::parameter(parameter, error))
}

/// One of a few words.
pub fn word<T: Copy>(parameter: &str, said: Option<&str>, words: &[(&'static str, T)]) -> Result<Option<T>, Problem> {
    let Some(said) = said else { return Ok(None) };
    let found = words.iter().find(|(word, _)| *word == said).map(|(_, meant)| Some(*meant));
    found.ok_or_else(|| {
        let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        not(parameter, said, &format!("one of {}", words.join(", ")))
    })
}

fn not(parameter: &str, said: &str, right: &str) -> Problem {
    let said: String = said.chars().take(120).collect();
    Problem::parameter(parameter, format!("{said:?} is not {right}"))
}

fn container_of(said: &str) -> Result<(Option<HostName>, ContainerName), Problem> {
    match said.parse() {
        Ok(Subject { host, container: Some(name) }) => Ok((Some(host), name)),
        _ => match said.parse() {
            Ok(name) => Ok((None, name)),
            Err(_) => {
                Err(not("container", said, "a container's name such as api-1, or host/name such as docker-1/api-1"))
            }
        },
    }
}

/// Up to where what stood then was known; none for the present.
pub fn as_of(said: Option<&str>) -> Result<Option<Position>, Problem> {
    Ok(point("as_of", said)?.map(Point::last))
}

fn position(parameter: &str, said: Option<&str>) -> Result<Option<Position>, Problem> {
    Ok(point(parameter, said)?.map(Point::first))
}

fn point(parameter: &str, said: Option<&str>) -> Result<Option<Point>, Problem> {
    let Some(said) = said else { return Ok(None) };
    if let Ok(id) = said.parse::<EventId>() {
        return Ok(Some(Point::Event(id)));
    }
    match said.parse::<Timestamp>() {
        Ok(at) => Ok(Some(Point::Instant(at))),
        Err(_) => Err(not(
            parameter,
            said,
            "an instant such as 2026-01-01T00:00:00Z (a + in it is written %2B) or an event id such as 0.1732391234567-3",
        )),
    }
}
