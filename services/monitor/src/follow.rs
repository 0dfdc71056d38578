//! How is the engine's event stream kept going?
//!
//! It is polled in a task of its own, so that nothing else can make it fall behind. When it is cut, it is taken up again
//! from the last event that was heard; what Docker then tells twice is dropped. A silent stream may be a dead one, so a
//! ping now and then says whether anybody is still there.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use futures::StreamExt;
use hemostat_schema::Timestamp;
use tokio::{sync::mpsc, time::sleep};
use tracing::debug;

use crate::{
    engine::{About, Engine, Error},
    event::{Happening, What},
};

/// How long the stream may be silent before the engine is asked whether it is still there.
const PULSE: Duration = Duration::from_secs(5);
/// Between two tries to reach an engine that is lost: at first, and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// Docker remembers 256 events, so it cannot tell more than these twice.
const REMEMBERED: usize = 512;

/// What is heard of the engine.
#[derive(Debug)]
pub enum Heard {
    /// It answers, and events follow; some may have been missed.
    Up(About),
    /// It does not answer.
    Down(Error),
    /// Something happened to a container.
    Happened(Happening),
}

/// Follows the engine until nobody listens any more; from `since` on, or from now.
pub async fn follow(engine: Arc<dyn Engine>, since: Option<Timestamp>, to: mpsc::Sender<Heard>) {
    let mut memory = Memory { last: since, ..Memory::default() };
    let mut pause = RETRY.0;
    let mut failed = false;
    loop {
        let heard = match engine.about().await {
            Ok(about) => {
                (pause, failed) = (RETRY.0, false);
                let since = *memory.last.get_or_insert(about.now);
                if to.send(Heard::Up(about)).await.is_err() {
                    return;
                }
                match listen(engine.as_ref(), since, &mut memory, &to).await {
                    None => return,
                    Some(why) => debug!("the event stream was cut: {why}"),
                }
                // A cut alone says nothing; whether the engine is lost shows when it is asked again.
                None
            }
            // One answer that broke off is no loss; one that never came has taken long enough.
            Err(error) if !failed && !matches!(error, Error::Hanging { .. }) => {
                debug!("asking again: {error}");
                failed = true;
                None
            }
            Err(error) => Some(Heard::Down(error)),
        };
        if let Some(heard) = heard {
            if to.send(heard).await.is_err() {
                return;
            }
            pause = (pause * 2).min(RETRY.1);
        }
        sleep(pause).await;
    }
}

/// Passes events on until the stream is cut (the reason is given) or nobody listens.
async fn listen(
    engine: &dyn Engine,
    since: Timestamp,
    memory: &mut Memory,
    to: &mpsc::Sender<Heard>,
) -> Option<String> {
    let mut events = engine.events(since);
    let pulse = async {
        loop {
            sleep(PULSE).await;
            if let Err(error) = engine.ping().await {
                break error;
            }
        }
    };
    tokio::pin!(pulse);
    loop {
        let message = tokio::select! {
            message = events.next() => message,
            error = &mut pulse => return Some(error.to_string()),
        };
        match message {
            Some(Ok(message)) => {
                if let Some(happening) = Happening::read(&message).filter(|happening| memory.is_new(happening))
                    && to.send(Heard::Happened(happening)).await.is_err()
                {
                    return None;
                }
            }
            Some(Err(error)) => return Some(error.to_string()),
            None => return Some("the engine ended it".to_owned()),
        }
    }
}

/// Which events were heard lately.
#[derive(Debug, Default)]
struct Memory {
    last: Option<Timestamp>,
    order: VecDeque<Key>,
    known: HashSet<Key>,
}

type Key = (Timestamp, String, What);

impl Memory {
    fn is_new(&mut self, happening: &Happening) -> bool {
        let key = (happening.at, happening.id.as_str().to_owned(), happening.what);
        if !self.known.insert(key.clone()) {
            return false;
        }
        self.order.push_back(key);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.last = self.last.max(Some(happening.at));
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use bollard::{
        container::LogOutput,
        models::{ContainerInspectResponse, ContainerStatsResponse, ContainerTopResponse, EventMessage},
    };
    use futures::stream::{self, BoxStream};
    use hemostat_schema::{ByteCount, ContainerId, observation::EngineFound};

    use super::*;
    use crate::disk::Usage;

    const ID: &str = "ef1ff59165b9fed19d914ad5062fedf9a3d4b61300b5a0bb702fa6d29375851f";

    /// What the engine does from one connection to the next: it is down, or tells these events and cuts.
    #[derive(Debug)]
    enum Turn {
        Down,
        Tells(Vec<(i64, &'static str)>),
        /// Tells nothing and does not answer pings.
        Mute,
    }

    #[derive(Debug)]
    struct Script {
        turns: Mutex<VecDeque<Turn>>,
        asked_since: Mutex<Vec<i64>>,
    }

    fn lost() -> Error {
        Error::Refused { host: "here".into(), doing: "answer", reason: "down".into() }
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
    impl Engine for Script {
        async fn about(&self) -> Result<About, Error> {
            let mut turns = self.turns.lock().unwrap();
            if let Some(Turn::Down) = turns.front() {
                turns.pop_front();
                return Err(lost());
            }
            let engine =
                EngineFound { version: "20".into(), api_version: "1.41".into(), cpus: 2, memory: ByteCount(1) };
            Ok(About { engine, now: at(0), root: None })
        }
        async fn ping(&self) -> Result<(), Error> {
            Err(lost())
        }
        async fn list(&self) -> Result<Vec<ContainerId>, Error> {
            Err(lost())
        }
        async fn inspect(&self, _: &ContainerId) -> Result<ContainerInspectResponse, Error> {
            Err(lost())
        }
        async fn stats(&self, _: &ContainerId) -> Result<ContainerStatsResponse, Error> {
            Err(lost())
        }
        async fn output(&self, _: &ContainerId, _: Option<Timestamp>, _: u32) -> Result<Vec<LogOutput>, Error> {
            Err(lost())
        }
        async fn processes(&self, _: &ContainerId) -> Result<ContainerTopResponse, Error> {
            Err(lost())
        }
        async fn disk_usage(&self, _: Duration) -> Result<Vec<Usage>, Error> {
            Err(lost())
        }
        fn events(&self, since: Timestamp) -> BoxStream<'static, Result<EventMessage, Error>> {
            self.asked_since.lock().unwrap().push(since.as_second() - at(0).as_second());
            match self.turns.lock().unwrap().pop_front() {
                Some(Turn::Tells(events)) => {
                    let told: Vec<_> = events.into_iter().map(|(second, action)| Ok(message(second, action))).collect();
                    stream::iter(told).chain(stream::once(async { Err(lost()) })).boxed()
                }
                Some(Turn::Mute | Turn::Down) | None => stream::pending().boxed(),
            }
        }
    }

    /// What is heard until the script is at its end, and from when on the engine was asked.
    async fn heard(turns: Vec<Turn>, count: usize) -> (Vec<String>, Vec<i64>) {
        let script = Arc::new(Script { turns: Mutex::new(turns.into()), asked_since: Mutex::default() });
        let (to, mut from) = mpsc::channel(64);
        let task = tokio::spawn(follow(script.clone(), None, to));
        let mut told = vec![];
        while told.len() < count {
            told.push(match from.recv().await.unwrap() {
                Heard::Up(_) => "up".to_owned(),
                Heard::Down(_) => "down".to_owned(),
                Heard::Happened(it) => format!("{} {:?}", it.at.as_second() - at(0).as_second(), it.what),
            });
        }
        task.abort();
        let since = script.asked_since.lock().unwrap().clone();
        (told, since)
    }

    #[tokio::test(start_paused = true)]
    async fn a_cut_stream_goes_on_where_it_was_and_repeats_nothing() {
        let turns = vec![
            Turn::Tells(vec![(1, "start"), (3, "pause"), (2, "oom")]),
            Turn::Tells(vec![(3, "pause"), (3, "unpause"), (4, "stop")]),
        ];
        let (told, since) = heard(turns, 7).await;
        assert_eq!(told, ["up", "1 Started", "3 Paused", "2 OutOfMemory", "up", "3 Unpaused", "4 Stopped"]);
        assert_eq!(since, [0, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_engine_is_asked_again_until_it_answers() {
        let turns = vec![Turn::Down, Turn::Down, Turn::Down, Turn::Tells(vec![(1, "start")])];
        assert_eq!(heard(turns, 4).await.0, ["down", "down", "up", "1 Started"]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_answer_that_breaks_off_is_no_loss() {
        let turns = vec![Turn::Tells(vec![(1, "start")]), Turn::Down, Turn::Tells(vec![(2, "pause")]), Turn::Down];
        assert_eq!(heard(turns, 4).await.0, ["up", "1 Started", "up", "2 Paused"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_behind_which_nobody_is_left_is_given_up() {
        let turns = vec![Turn::Mute, Turn::Tells(vec![(1, "start")])];
        assert_eq!(heard(turns, 3).await.0, ["up", "up", "1 Started"]);
    }
}
