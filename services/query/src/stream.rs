//! `GET /events/stream`: the events as they are appended, as Server-Sent Events.
//!
//! The client pulls: a page of the log is read when it has taken the page before, so a slow client costs no memory. But it
//! holds one of the group's slots, so one that takes nothing for long while events wait is ended. It continues where it
//! stopped by the cursor of the last event that it has.

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use axum::{
    extract::State,
    http::HeaderMap,
    response::{
        IntoResponse,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::StreamExt as _;
use hemostat_history::{Cursor, EventJson, Follower, follow::RETRY_AFTER};
use hemostat_log::Entry;
use serde_json::json;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::{
    app::App,
    ask::{Ask, Start, StreamAsk},
    problem::{Document, Problem},
    wire,
};

/// Interval of comments, which keep connections alive and show that the API is there.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Tells a proxy (nginx and those that follow it) to pass each event on at once.
const UNBUFFERED: [(&str, &str); 1] = [("x-accel-buffering", "no")];
/// How long a client may take nothing while events wait.
const PATIENCE: Duration = Duration::from_secs(30);

/// Streams events as they are appended.
///
/// The response is a stream of Server-Sent Events without end: `event` is the kind, `data` the event, and `id` the place to
/// continue from: the event's id and, if the log has several partitions, the last ids of the others. Comments are heartbeats,
/// every 15 seconds. A client that reconnects with `Last-Event-ID`, as browsers do, misses nothing and gets nothing twice. The
/// last event is `end` with a reason: `shutdown`, `too_slow` (the client took nothing for 30 seconds while events waited) or
/// `failed`; then reconnect.
#[utoipa::path(
    get,
    path = "/events/stream",
    operation_id = "stream_events",
    tag = "events",
    params(
        StreamAsk,
        ("Last-Event-ID" = Option<String>, Header, description = "Continues after the event with this `id`; overrides `after`.", example = "0.1767225612000-1"),
    ),
    responses(
        (status = 200, description = "The events; the schema is that of `data`.", body = wire::Event, content_type = "text/event-stream"),
        (status = 400, description = "A parameter is not valid.", body = Document, content_type = "application/problem+json"),
        (status = 410, description = "Events after that place were trimmed, and there is no archive.", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "The event log does not answer, or there are too many streams.", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn stream(
    State(app): State<App>,
    headers: HeaderMap,
    Ask(ask): Ask<StreamAsk>,
) -> Result<impl IntoResponse, Problem> {
    let last_event_id = headers.get("last-event-id").map(|id| id.to_str().unwrap_or("(not text)"));
    let (filter, start) = ask.parse(last_event_id)?;
    let partitions = app.log.partitions();
    let cursor = match start {
        Start::Now => Cursor::now(&app.history, &filter).await?,
        Start::At(position) => Cursor::at(position, partitions),
        Start::After(cursor) => {
            let cursor = cursor.complete(partitions);
            if let Some(missing) = cursor.missing(&app.history, &filter).await? {
                return Err(Problem::events_gone(missing));
            }
            cursor
        }
    };
    let follower = Follower::new(&app.history, filter, &cursor);
    let events = Events {
        follower,
        ready: VecDeque::new(),
        first: Some(Event::default().comment("following").id(cursor.to_string())),
        cursor,
        taken_at: Instant::now(),
        shutdown: app.shutdown.clone(),
    };
    let stream = futures::stream::unfold(Some(events), async |events| {
        let mut events = events?;
        Some(match events.next().await {
            Ok(event) => (event, Some(events)),
            Err(end) => (end.event(), None),
        })
    });
    let stream = stream.map(Ok::<_, Infallible>);
    Ok((UNBUFFERED, Sse::new(stream).keep_alive(KeepAlive::new().interval(HEARTBEAT).text("heartbeat"))))
}

/// The events of one client.
struct Events {
    follower: Follower,
    /// Read, and not taken by the client yet.
    ready: VecDeque<Entry>,
    /// Tells the client where the stream begins, so that it misses nothing if it is cut before the first event.
    first: Option<Event>,
    cursor: Cursor,
    /// When the client took the last event.
    taken_at: Instant,
    shutdown: CancellationToken,
}

/// Why a stream ended.
#[derive(Debug, Clone, Copy)]
enum End {
    Shutdown,
    TooSlow,
    Failed,
}

impl Events {
    /// The next event. It is called when the client has taken the one before.
    async fn next(&mut self) -> Result<Event, End> {
        if let Some(first) = self.first.take() {
            self.taken_at = Instant::now();
            return Ok(first);
        }
        if self.taken_at.elapsed() > PATIENCE {
            return Err(End::TooSlow);
        }
        let entry = loop {
            if self.shutdown.is_cancelled() {
                return Err(End::Shutdown);
            }
            if let Some(entry) = self.ready.pop_front() {
                break entry;
            }
            let found = tokio::select! {
                found = self.follower.next() => found,
                () = self.shutdown.cancelled() => continue,
            };
            match found {
                Ok(entries) => self.ready = entries.into(),
                // A browser would not reconnect after an error response, so it waits here until the log is back.
                Err(error) if error.is_transient() => {
                    debug!("could not follow the log, retrying: {error}");
                    tokio::select! {
                        () = sleep(RETRY_AFTER) => {}
                        () = self.shutdown.cancelled() => {}
                    }
                }
                Err(error) => {
                    warn!("could not follow the log: {error}");
                    return Err(End::Failed);
                }
            }
        };
        self.taken_at = Instant::now();
        self.cursor.advance(entry.id);
        Ok(event(&entry, &self.cursor))
    }
}

fn event(entry: &Entry, cursor: &Cursor) -> Event {
    let json = EventJson::from(entry);
    let event = Event::default().id(cursor.to_string());
    // Only a later or a broken program writes other characters, and they would break the format.
    let event = match json.kind.as_deref().filter(|kind| kind.bytes().all(|byte| byte.is_ascii_graphic())) {
        Some(kind) => event.event(kind),
        None => event,
    };
    // Serialising strings and JSON values to a string cannot fail.
    event.data(serde_json::to_string(&json).unwrap_or_default())
}

impl End {
    fn event(self) -> Event {
        let (reason, detail) = match self {
            Self::Shutdown => ("shutdown", "HemoStat is stopping; reconnect later with Last-Event-ID"),
            Self::TooSlow => (
                "too_slow",
                "the client took nothing for 30 seconds while events were waiting; reconnect with Last-Event-ID",
            ),
            Self::Failed => ("failed", "the log cannot be read; see the log of HemoStat"),
        };
        Event::default().event("end").data(json!({ "reason": reason, "detail": detail }).to_string())
    }
}
