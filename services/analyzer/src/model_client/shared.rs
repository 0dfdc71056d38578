//! What all questions of a client share: the provider, the ledger and the limits.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hemostat_runtime::Clock;
use tokio::sync::Semaphore;

use super::config::ClientConfig;
use crate::{breaker::BreakerState, provider::Provider, usage_ledger::UsageLedger};

/// What all questions of a client share.
pub(super) struct Shared {
    pub provider: Box<dyn Provider>,
    pub config: ClientConfig,
    pub clock: Arc<dyn Clock>,
    ledger: Mutex<UsageLedger>,
    /// Limits concurrent questions.
    pub slots: Semaphore,
    /// Lets one question at a time probe a provider whose breaker tripped.
    pub probe: Semaphore,
}

impl Shared {
    pub fn new(provider: Box<dyn Provider>, config: ClientConfig, clock: Arc<dyn Clock>) -> Self {
        let ledger = Mutex::new(UsageLedger::new(config.prices, config.max_tokens, config.cache));
        let slots = Semaphore::new(config.concurrency);
        Self { provider, config, clock, ledger, slots, probe: Semaphore::new(1) }
    }

    pub fn ledger(&self) -> MutexGuard<'_, UsageLedger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn breaker_state(&self) -> BreakerState {
        let failures = self.ledger().failures();
        self.config.breaker.state(failures, self.clock.now())
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("provider", &self.provider).field("config", &self.config).finish_non_exhaustive()
    }
}
