//! Follows the engine's event stream, and reconnects when it breaks.
//!
//! It runs in a task of its own, so that nothing delays it. After a break it continues from the last event it received and
//! drops the events that Docker repeats. A silent stream may be dead, so a regular ping checks that the engine still
//! answers.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use futures::StreamExt;
use hemostat_docker::Error;
use hemostat_schema::Timestamp;
use tokio::{sync::mpsc, time::sleep};
use tracing::debug;

use crate::{
    engine::Engine,
    event::{DockerEvent, DockerEventKind},
    input::Input,
};

/// The interval of pings while the stream is open.
const PING_EVERY: Duration = Duration::from_secs(5);
/// The first and the longest pause between attempts to reach a lost engine.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// Events remembered to detect repeated ones; Docker keeps 256, so it cannot repeat more.
const REMEMBERED: usize = 512;

/// Follows the engine's events from `since` on (or from now), until the receiver is gone.
pub async fn follow(engine: Arc<dyn Engine>, since: Option<Timestamp>, to: mpsc::Sender<Input>) {
    let mut received = ReceivedEvents { last: since, ..ReceivedEvents::default() };
    // Not `backon`: this is no operation that ends with a success, and every failed attempt is reported.
    let mut pause = RETRY.0;
    let mut failed = false;
    loop {
        let lost = match engine.info().await {
            Ok(info) => {
                (pause, failed) = (RETRY.0, false);
                let since = *received.last.get_or_insert(info.now);
                if to.send(Input::EngineFound(Box::new(info))).await.is_err() {
                    return;
                }
                match forward(engine.as_ref(), since, &mut received, &to).await {
                    None => return,
                    Some(why) => debug!("the event stream broke: {why}"),
                }
                // A broken stream alone does not mean a lost engine: the next call shows.
                None
            }
            // One failed call is no loss, unless it was a time-out, which took long enough.
            Err(error) if !failed && !matches!(error, Error::Timeout { .. }) => {
                debug!("retrying: {error}");
                failed = true;
                None
            }
            Err(error) => Some(error),
        };
        if let Some(error) = lost {
            if to.send(Input::EngineLost(error)).await.is_err() {
                return;
            }
            pause = (pause * 2).min(RETRY.1);
        }
        sleep(pause).await;
    }
}

/// Forwards events until the stream breaks (returns why) or the receiver is gone (`None`).
async fn forward(
    engine: &dyn Engine,
    since: Timestamp,
    received: &mut ReceivedEvents,
    to: &mpsc::Sender<Input>,
) -> Option<String> {
    let mut events = engine.events(since);
    let pings = async {
        loop {
            sleep(PING_EVERY).await;
            if let Err(error) = engine.ping().await {
                break error;
            }
        }
    };
    tokio::pin!(pings);
    loop {
        let message = tokio::select! {
            message = events.next() => message,
            error = &mut pings => return Some(error.to_string()),
        };
        match message {
            Some(Ok(message)) => {
                if let Some(event) = DockerEvent::read(&message).filter(|event| received.insert(event))
                    && to.send(Input::EngineEvent(event)).await.is_err()
                {
                    return None;
                }
            }
            Some(Err(error)) => return Some(error.to_string()),
            None => return Some("the engine ended it".to_owned()),
        }
    }
}

/// The last events, to detect repeated ones.
#[derive(Debug, Default)]
struct ReceivedEvents {
    last: Option<Timestamp>,
    order: VecDeque<Key>,
    known: HashSet<Key>,
}

type Key = (Timestamp, String, DockerEventKind);

impl ReceivedEvents {
    /// Adds an event; `false` if it is a repeated one.
    fn insert(&mut self, event: &DockerEvent) -> bool {
        let key = (event.at, event.id.as_str().to_owned(), event.what);
        if !self.known.insert(key.clone()) {
            return false;
        }
        self.order.push_back(key);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.last = self.last.max(Some(event.at));
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use futures::stream::{self, BoxStream};
    use hemostat_docker::{EngineInfo, models::EventMessage};
    use hemostat_schema::{ByteCount, observation::EngineFound};

    use super::*;

    const ID: &str = "ef1ff59165b9fed19d914ad5062fedf9a3d4b61300b5a0bb702fa6d29375851f";

    /// What the engine does at one connection.
    #[derive(Debug)]
    enum Connection {
        /// It does not answer.
        Down,
        /// It sends these events and breaks.
        Sends(Vec<(i64, &'static str)>),
        /// It sends nothing and does not answer pings.
        Silent,
    }

    #[derive(Debug)]
    struct ScriptedEngine {
        connections: Mutex<VecDeque<Connection>>,
        requested_since: Mutex<Vec<i64>>,
    }

    fn down() -> Error {
        Error::Unreachable { host: "here".into(), reason: "down".into(), remedy: "start it" }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_795_462_000 + second).unwrap()
    }

    fn message(second: i64, action: &str) -> EventMessage {
        serde_json::from_value(serde_json::json!({
            "Type": "container", "Action": action, "timeNano": at(second).as_nanosecond() as i64,
            "Actor": {"ID": ID, "Attributes": {"name": "api-1"}}
        }))
        .unwrap()
    }

    #[async_trait]
    impl Engine for ScriptedEngine {
        async fn info(&self) -> Result<EngineInfo, Error> {
            let mut connections = self.connections.lock().unwrap();
            if let Some(Connection::Down) = connections.front() {
                connections.pop_front();
                return Err(down());
            }
            let engine =
                EngineFound { version: "20".into(), api_version: "1.41".into(), cpus: 2, memory: ByteCount(1) };
            Ok(EngineInfo { engine, now: at(0), root: None })
        }

        fn events(&self, since: Timestamp) -> BoxStream<'static, Result<EventMessage, Error>> {
            self.requested_since.lock().unwrap().push(since.as_second() - at(0).as_second());
            match self.connections.lock().unwrap().pop_front() {
                Some(Connection::Sends(events)) => {
                    let sent: Vec<_> = events.into_iter().map(|(second, action)| Ok(message(second, action))).collect();
                    stream::iter(sent).chain(stream::once(async { Err(down()) })).boxed()
                }
                Some(Connection::Silent | Connection::Down) | None => stream::pending().boxed(),
            }
        }
    }

    /// The first `count` inputs of this script, and from when on events were requested.
    async fn inputs(connections: Vec<Connection>, count: usize) -> (Vec<String>, Vec<i64>) {
        let engine =
            Arc::new(ScriptedEngine { connections: Mutex::new(connections.into()), requested_since: Mutex::default() });
        let (to, mut from) = mpsc::channel(64);
        let task = tokio::spawn(follow(engine.clone(), None, to));
        let mut inputs = vec![];
        while inputs.len() < count {
            inputs.push(match from.recv().await.unwrap() {
                Input::EngineFound(_) => "found".to_owned(),
                Input::EngineLost(_) => "lost".to_owned(),
                Input::EngineEvent(event) => format!("{} {:?}", event.at.as_second() - at(0).as_second(), event.what),
                other => panic!("{other:?}"),
            });
        }
        task.abort();
        let since = engine.requested_since.lock().unwrap().clone();
        (inputs, since)
    }

    #[tokio::test(start_paused = true)]
    async fn a_broken_stream_continues_where_it_was_without_repeated_events() {
        let connections = vec![
            Connection::Sends(vec![(1, "start"), (3, "pause"), (2, "oom")]),
            Connection::Sends(vec![(3, "pause"), (3, "unpause"), (4, "stop")]),
        ];
        let (inputs, since) = inputs(connections, 7).await;
        assert_eq!(inputs, ["found", "1 Started", "3 Paused", "2 OutOfMemory", "found", "3 Unpaused", "4 Stopped"]);
        assert_eq!(since, [0, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_engine_is_retried_until_it_answers() {
        let connections =
            vec![Connection::Down, Connection::Down, Connection::Down, Connection::Sends(vec![(1, "start")])];
        assert_eq!(inputs(connections, 4).await.0, ["lost", "lost", "found", "1 Started"]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_failed_call_is_no_loss() {
        let connections = vec![
            Connection::Sends(vec![(1, "start")]),
            Connection::Down,
            Connection::Sends(vec![(2, "pause")]),
            Connection::Down,
        ];
        assert_eq!(inputs(connections, 4).await.0, ["found", "1 Started", "found", "2 Paused"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_stream_without_an_engine_behind_it_is_abandoned() {
        let connections = vec![Connection::Silent, Connection::Sends(vec![(1, "start")])];
        assert_eq!(inputs(connections, 3).await.0, ["found", "found", "1 Started"]);
    }
}
