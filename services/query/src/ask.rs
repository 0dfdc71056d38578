//! Parses path and query parameters. An invalid one is refused, with what would be valid.

use std::{fmt::Display, str::FromStr};

use axum::{
    extract::{FromRequestParts, Path, Query, rejection::PathRejection},
    http::request::Parts,
};
use hemostat_history::{
    Cursor, Filter, Position, Window,
    filter::{ContainerPattern, KindPattern},
    window::Point,
};
use hemostat_log::Order;
use hemostat_schema::{ContainerName, EventId, HostName, KindInfo, Subject};
use jiff::Timestamp;
use serde::{Deserialize, de::DeserializeOwned};
use utoipa::IntoParams;

use crate::{
    problem::Problem,
    wire::enums::{ContainerState, EventOrder, FamilyName, IncidentFilter, Symptom},
};

/// The whole query string. An unknown or repeated parameter is refused, because a misspelt filter would be no filter.
#[derive(Debug)]
pub struct Ask<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Ask<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(parameters)) => Ok(Self(parameters)),
            Err(rejection) => {
                let text = rejection.body_text();
                // It begins with the name of the parameter, if it is about one.
                Err(Problem::parameters(text.trim_start_matches("Failed to deserialize query string: ")))
            }
        }
    }
}

/// The one variable segment of the path, decoded.
#[derive(Debug)]
pub struct Key(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Key {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let rejected = |rejection: PathRejection| Problem::parameter("path", rejection.body_text());
        Path::from_request_parts(parts, state).await.map(|Path(key)| Self(key)).map_err(rejected)
    }
}

/// The query string must be empty.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoParameters {}

/// Parameters of `GET /events`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventsAsk {
    /// Only events of this kind (full name).
    #[param(example = "action.authorised")]
    kind: Option<String>,
    /// Only events of this family.
    #[param(inline, example = "action")]
    family: Option<FamilyName>,
    /// Only events about this container: its name (on any host) or `host/name`.
    #[param(example = "docker-1/api-1")]
    container: Option<String>,
    /// Only events of this incident.
    #[param(example = "inc-01jd9k3q2v8m4t7z", pattern = "^inc-[0-9a-z]{16}$")]
    incident: Option<String>,
    /// Only events of this Docker host.
    #[param(example = "docker-1")]
    host: Option<String>,
    /// Start, inclusive: an RFC 3339 timestamp by the log's clock, or an event id.
    #[param(example = "2026-01-01T00:00:00Z")]
    from: Option<String>,
    /// End, exclusive: an RFC 3339 timestamp by the log's clock, or an event id.
    #[param(example = "2026-01-02T00:00:00Z")]
    to: Option<String>,
    /// Whether the newest or the oldest events come first; default `newest`.
    #[param(inline, example = "oldest")]
    order: Option<EventOrder>,
    /// Maximum events on a page, 1 to 1000; default 100.
    #[param(example = 100, value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// Continues after this event: the `next` of the previous page. (To follow the log, use `/events/stream`.)
    #[param(example = "0.1767225612000-1", pattern = r"^\d+\.\d+-\d+$")]
    cursor: Option<String>,
}

/// Parameters of `GET /events/stream`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StreamAsk {
    /// Only events of this kind (full name).
    #[param(example = "action.authorised")]
    kind: Option<String>,
    /// Only events of this family.
    #[param(inline, example = "action")]
    family: Option<FamilyName>,
    /// Only events about this container: its name (on any host) or `host/name`.
    #[param(example = "docker-1/api-1")]
    container: Option<String>,
    /// Only events of this incident.
    #[param(example = "inc-01jd9k3q2v8m4t7z", pattern = "^inc-[0-9a-z]{16}$")]
    incident: Option<String>,
    /// Only events of this Docker host.
    #[param(example = "docker-1")]
    host: Option<String>,
    /// Begins after this event (the `id` of the stream's last one), or at this RFC 3339 timestamp by the log's clock; default:
    /// now.
    #[param(example = "0.1767225612000-1")]
    after: Option<String>,
}

/// Where a stream begins.
#[derive(Debug)]
pub enum Start {
    /// With the next event.
    Now,
    /// At a point in time.
    At(Position),
    /// After what the client has.
    After(Cursor),
}

impl StreamAsk {
    /// Parses the parameters, and the header `Last-Event-ID`, which browsers send when they reconnect.
    ///
    /// # Errors
    /// The first invalid one.
    pub fn parse(self, last_event_id: Option<&str>) -> Result<(Filter, Start), Problem> {
        let Self { kind, family, container, incident, host, after } = self;
        let filter = EventsAsk { kind, family, container, incident, host, ..EventsAsk::default() }.filter()?;
        let start = match (last_event_id, after.as_deref()) {
            (None, None) => Start::Now,
            (None, Some(after)) => match (after.parse(), after.parse::<Timestamp>()) {
                (Ok(cursor), _) => Start::After(cursor),
                (Err(_), Ok(at)) => Start::At(Position::at(at)),
                (Err(_), Err(_)) => {
                    let valid = "an event id such as 0.1732391234567-3, the id of a stream's event, or a timestamp such as \
                                 2026-01-01T00:00:00Z (a + in it is written %2B)";
                    return Err(invalid("after", after, valid));
                }
            },
            (Some(id), _) => Start::After(id.parse().map_err(|error| Problem::parameter("Last-Event-ID", error))?),
        };
        Ok((filter, start))
    }
}

/// Parameters of `GET /containers`.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ContainersAsk {
    /// Only containers in this state.
    #[param(inline, example = "running")]
    pub state: Option<ContainerState>,
    /// Only containers with this symptom.
    #[param(inline, example = "unhealthy")]
    pub symptom: Option<Symptom>,
    /// Only containers of this Docker host.
    #[param(example = "docker-1")]
    pub host: Option<String>,
    /// The state at this point in the past: an RFC 3339 timestamp by the log's clock, or an event id (right after that
    /// event). What depends on the policy is computed with the one that was recorded then, if one was.
    #[param(example = "2026-01-01T00:00:00Z")]
    pub as_of: Option<String>,
}

/// Parameters of `GET /containers/{key}`, `GET /incidents/{id}` and `GET /stats/calibration`.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OneAsk {
    /// The state at this point in the past: an RFC 3339 timestamp by the log's clock, or an event id (right after that
    /// event). What depends on the policy is computed with the one that was recorded then, if one was.
    #[param(example = "2026-01-01T00:00:00Z")]
    pub as_of: Option<String>,
}

/// Parameters of `GET /containers/{key}/metrics`.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct MetricsAsk {
    /// Start, inclusive: an RFC 3339 timestamp; default a day before `to`, at most thirty days.
    #[param(example = "2026-01-01T00:00:00Z")]
    pub from: Option<String>,
    /// End, exclusive: an RFC 3339 timestamp; default now.
    #[param(example = "2026-01-02T00:00:00Z")]
    pub to: Option<String>,
}

/// Parameters of `GET /incidents`.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct IncidentsAsk {
    /// Only open or only ended incidents. An incident that HemoStat gave up on has ended.
    #[param(inline, example = "open")]
    pub state: Option<IncidentFilter>,
    /// Only incidents of this container, as `host/name`.
    #[param(example = "docker-1/api-1")]
    pub container: Option<String>,
    /// Maximum incidents on a page, 1 to 1000; default 100.
    #[param(example = 100, value_type = Option<u32>, minimum = 1, maximum = 1000)]
    pub limit: Option<String>,
    /// The `next` of the previous page.
    #[param(example = "inc-01jd9k3q2v8m4t7z", pattern = "^inc-[0-9a-z]{16}$")]
    pub cursor: Option<String>,
    /// The state at this point in the past: an RFC 3339 timestamp by the log's clock, or an event id (right after that
    /// event).
    #[param(example = "2026-01-01T00:00:00Z")]
    pub as_of: Option<String>,
}

/// [`EventsAsk`], parsed.
#[derive(Debug)]
pub struct EventsRequest {
    /// Selects the events.
    pub filter: Filter,
    /// Their order.
    pub order: Order,
    /// Maximum events on the page.
    pub limit: usize,
}

impl EventsAsk {
    /// Parses the parameters.
    ///
    /// # Errors
    /// The first invalid one.
    pub fn parse(&self) -> Result<EventsRequest, Problem> {
        let mut filter = self.filter()?;
        let order = match self.order {
            None | Some(EventOrder::Newest) => Order::NewestFirst,
            Some(EventOrder::Oldest) => Order::OldestFirst,
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
        filter.window = window;
        Ok(EventsRequest { filter, order, limit: limit(self.limit.as_deref())? })
    }

    /// Without the window.
    fn filter(&self) -> Result<Filter, Problem> {
        let mut filter = Filter {
            kind: self.kind()?,
            host: parse("host", self.host.as_deref())?,
            incident: parse("incident", self.incident.as_deref())?,
            ..Filter::ALL
        };
        if let Some(container) = &self.container {
            let (host, name) = parse_container(container)?;
            if let (Some(host), Some(other)) = (&host, &filter.host)
                && host != other
            {
                return Err(Problem::parameter("container", format!("it is on {host}, but host is {other}")));
            }
            filter.host = filter.host.or(host);
            filter.container = Some(ContainerPattern::from(&name));
        }
        Ok(filter)
    }

    fn kind(&self) -> Result<Option<KindPattern>, Problem> {
        let family = self.family.map(|FamilyName(family)| family);
        let Some(kind) = &self.kind else { return Ok(family.map(KindPattern::from)) };
        let Some(known) = KindInfo::find(kind) else {
            let valid = "a kind such as action.authorised (use family for kinds of a later version)";
            return Err(invalid("kind", kind, valid));
        };
        if family.is_some_and(|family| family != known.family) {
            let why = format!("{kind} is of the family {}, not the requested one", known.family);
            return Err(Problem::parameter("kind", why));
        }
        Ok(Some(known.into()))
    }
}

/// The number of items on a page.
pub fn limit(text: Option<&str>) -> Result<usize, Problem> {
    const MAX: usize = 1000;
    let Some(text) = text else { return Ok(100) };
    let limit = text.parse().ok().filter(|limit| (1..=MAX).contains(limit));
    limit.ok_or_else(|| invalid("limit", text, "a number from 1 to 1000"))
}

/// Parses a parameter whose type describes what is valid.
pub fn parse<T: FromStr<Err: Display>>(parameter: &str, text: Option<&str>) -> Result<Option<T>, Problem> {
    text.map(str::parse).transpose().map_err(|error| Problem::parameter(parameter, error))
}

fn invalid(parameter: &str, text: &str, valid: &str) -> Problem {
    let text: String = text.chars().take(120).collect();
    Problem::parameter(parameter, format!("{text:?} is not {valid}"))
}

fn parse_container(text: &str) -> Result<(Option<HostName>, ContainerName), Problem> {
    match text.parse() {
        Ok(Subject { host, container: Some(name) }) => Ok((Some(host), name)),
        Ok(Subject { container: None, .. }) | Err(_) => match text.parse() {
            Ok(name) => Ok((None, name)),
            Err(_) => {
                let valid = "a container's name such as api-1, or host/name such as docker-1/api-1";
                Err(invalid("container", text, valid))
            }
        },
    }
}

/// The position up to which the log is folded; none for the present.
pub fn as_of(text: Option<&str>) -> Result<Option<Position>, Problem> {
    Ok(point("as_of", text)?.map(Point::last))
}

fn position(parameter: &str, text: Option<&str>) -> Result<Option<Position>, Problem> {
    Ok(point(parameter, text)?.map(Point::first))
}

/// A time.
pub fn instant(parameter: &str, text: Option<&str>) -> Result<Option<Timestamp>, Problem> {
    let valid = "a timestamp such as 2026-01-01T00:00:00Z (a + in it is written %2B)";
    text.map(|text| text.parse().map_err(|_| invalid(parameter, text, valid))).transpose()
}

/// Unlike the CLI's points, those of the API are absolute: an age would give another answer to every request.
fn point(parameter: &str, text: Option<&str>) -> Result<Option<Point>, Problem> {
    let Some(text) = text else { return Ok(None) };
    if let Ok(id) = text.parse::<EventId>() {
        return Ok(Some(Point::Event(id)));
    }
    match text.parse::<Timestamp>() {
        Ok(at) => Ok(Some(Point::Instant(at))),
        Err(_) => Err(invalid(
            parameter,
            text,
            "a timestamp such as 2026-01-01T00:00:00Z (a + in it is written %2B) or an event id such as 0.1732391234567-3",
        )),
    }
}
