//! Which container is inspected next, and what does the engine say of it?
//!
//! Of ten thousand containers all are asked for now and then. So what waits for its turn is a line in a queue and not a
//! task, which would cost memory.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use hemostat_redact::redact;
use hemostat_schema::ContainerId;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};
use tracing::{debug, warn};

use crate::{
    engine::{Engine, Error},
    facts::{self, Inspected},
    watch::Ask,
};

/// So many containers are inspected at once.
const INSPECTIONS: usize = 16;
/// After which pauses an inspection that broke off or was refused is made again, as an event may wait for it: the first,
/// and the longest.
const INSPECT_AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(800));

/// Containers that are to be inspected: first those for whose inspection events wait, each in the order of asking.
#[derive(Debug)]
pub struct Asks {
    awaited: VecDeque<Ask>,
    others: VecDeque<Ask>,
    turns: Arc<Semaphore>,
}

impl Default for Asks {
    fn default() -> Self {
        let turns = Arc::new(Semaphore::new(INSPECTIONS));
        Self { awaited: VecDeque::new(), others: VecDeque::new(), turns }
    }
}

impl Asks {
    /// This one, too.
    pub fn push(&mut self, ask: Ask) {
        if ask.awaited { self.awaited.push_back(ask) } else { self.others.push_back(ask) }
    }

    /// The next, and its turn, which lasts until that is dropped; none while as many have theirs as the engine bears.
    pub fn pop(&mut self) -> Option<(Ask, OwnedSemaphorePermit)> {
        let turn = self.turns.clone().try_acquire_owned().ok()?;
        let ask = self.awaited.pop_front().or_else(|| self.others.pop_front())?;
        Some((ask, turn))
    }
}

/// What the engine says of a container; none where that is gone or the engine does not say. Events wait for this answer, so
/// one that broke off is asked for again.
pub async fn inspected(engine: &dyn Engine, id: &ContainerId) -> Option<Inspected> {
    let mut pause = INSPECT_AGAIN.0;
    loop {
        match engine.inspect(id).await {
            Ok(inspect) => return facts::read(inspect).inspect_err(|error| warn!("{error}")).ok(),
            Err(Error::Unreachable { .. } | Error::Refused { .. }) if pause <= INSPECT_AGAIN.1 => {
                sleep(pause).await;
                pause *= 2;
            }
            Err(error @ (Error::Gone(_) | Error::Unreachable { .. } | Error::Hanging { .. })) => {
                debug!("{error}");
                return None;
            }
            Err(error) => {
                warn!("{}", redact(&error.to_string()));
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_awaited_does_not_wait_behind_a_round() {
        let mut asks = Asks::default();
        for (token, awaited) in [(1, false), (2, false), (3, true), (4, false), (5, true)] {
            asks.push(Ask { id: "0123456789ab".parse().unwrap(), token, after: Duration::ZERO, awaited });
        }
        let order: Vec<u64> = std::iter::from_fn(|| asks.pop()).map(|(ask, _turn)| ask.token).collect();
        assert_eq!(order, [3, 5, 1, 2, 4]);
    }

    #[test]
    fn only_so_many_have_their_turn_at_once() {
        let mut asks = Asks::default();
        for token in 0..20 {
            asks.push(Ask { id: "0123456789ab".parse().unwrap(), token, after: Duration::ZERO, awaited: false });
        }
        let turns: Vec<_> = std::iter::from_fn(|| asks.pop()).collect();
        assert_eq!(turns.len(), INSPECTIONS);
        drop(turns);
        assert_eq!(asks.pop().map(|(ask, _turn)| ask.token), Some(16));
    }
}
