//! Queues inspections, and limits how many run at the same time.
//!
//! The monitor inspects all containers regularly, which may be ten thousand. A waiting request is an entry in a queue and
//! not a task, which would cost memory.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use backon::{ExponentialBuilder, Retryable as _};
use hemostat_docker::Error;
use hemostat_redact::redact;
use hemostat_schema::ContainerId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{debug, warn};

use crate::{
    engine::Engine,
    facts::{self, Inspected},
    host_state::InspectRequest,
};

/// Maximum concurrent inspections.
const MAX_CONCURRENT: usize = 16;
/// The first and the longest pause before an inspection is repeated that failed, as an event may wait for it.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(800));
/// Maximum retries of an inspection.
const MAX_RETRIES: usize = 4;

/// Containers to inspect: those that an event waits for first, each group in order of request.
#[derive(Debug)]
pub struct InspectQueue {
    awaited: VecDeque<InspectRequest>,
    others: VecDeque<InspectRequest>,
    slots: Arc<Semaphore>,
}

impl Default for InspectQueue {
    fn default() -> Self {
        let slots = Arc::new(Semaphore::new(MAX_CONCURRENT));
        Self { awaited: VecDeque::new(), others: VecDeque::new(), slots }
    }
}

impl InspectQueue {
    /// Adds a request.
    pub fn push(&mut self, request: InspectRequest) {
        if request.awaited { self.awaited.push_back(request) } else { self.others.push_back(request) }
    }

    /// The next request and its slot, which is free again when dropped; `None` while all slots are taken.
    pub fn pop(&mut self) -> Option<(InspectRequest, OwnedSemaphorePermit)> {
        let slot = self.slots.clone().try_acquire_owned().ok()?;
        let request = self.awaited.pop_front().or_else(|| self.others.pop_front())?;
        Some((request, slot))
    }
}

/// Inspects a container; `None` if it is gone or the engine does not answer. A failed inspection is repeated, except after
/// a time-out, which took long enough.
pub async fn inspect(engine: &dyn Engine, id: &ContainerId) -> Option<Inspected> {
    let backoff =
        ExponentialBuilder::default().with_min_delay(RETRY.0).with_max_delay(RETRY.1).with_max_times(MAX_RETRIES);
    let is_worth_a_retry = |error: &Error| match error {
        Error::Unreachable { .. } | Error::Refused { .. } | Error::InvalidAnswer { .. } => true,
        Error::Gone(_) | Error::Timeout { .. } => false,
    };
    match (|| engine.inspect(id)).retry(backoff).when(is_worth_a_retry).await {
        Ok(inspect) => facts::read(inspect).inspect_err(|error| warn!("{error}")).ok(),
        Err(error @ (Error::Gone(_) | Error::Unreachable { .. } | Error::Timeout { .. })) => {
            debug!("{error}");
            None
        }
        Err(error @ (Error::Refused { .. } | Error::InvalidAnswer { .. })) => {
            warn!("{}", redact(&error.to_string()));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(token: u64, awaited: bool) -> InspectRequest {
        InspectRequest { id: "0123456789ab".parse().unwrap(), token, delay: Duration::ZERO, awaited }
    }

    #[test]
    fn awaited_inspections_come_before_the_regular_ones() {
        let mut queue = InspectQueue::default();
        for (token, awaited) in [(1, false), (2, false), (3, true), (4, false), (5, true)] {
            queue.push(request(token, awaited));
        }
        let order: Vec<u64> = std::iter::from_fn(|| queue.pop()).map(|(request, _slot)| request.token).collect();
        assert_eq!(order, [3, 5, 1, 2, 4]);
    }

    #[test]
    fn the_number_of_concurrent_inspections_is_limited() {
        let mut queue = InspectQueue::default();
        for token in 0..20 {
            queue.push(request(token, false));
        }
        let running: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(running.len(), MAX_CONCURRENT);
        drop(running);
        assert_eq!(queue.pop().map(|(request, _slot)| request.token), Some(16));
    }
}
