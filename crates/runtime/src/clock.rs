//! What time it is: the only place that asks the machine.

use std::{
    fmt::Debug,
    sync::{Mutex, PoisonError},
};

use hemostat_schema::{Span, Timestamp};

/// Tells the time.
pub trait Clock: Send + Sync + Debug + 'static {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that stands still until it is told to go on, for tests.
#[derive(Debug)]
pub struct ManualClock(Mutex<Timestamp>);

impl ManualClock {
    /// Stands at `now`.
    pub fn at(now: Timestamp) -> Self {
        Self(Mutex::new(now))
    }

    /// Goes on by `span`.
    pub fn advance(&self, span: Span) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now = span.after(*now);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
