//! The current time: the only place that reads the machine's clock.

use std::{
    fmt::Debug,
    sync::{Mutex, PoisonError},
};

use hemostat_schema::{Span, Timestamp};

/// A source of the current time.
pub trait Clock: Send + Sync + Debug + 'static {
    /// The current time.
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

/// A clock that a test advances by hand.
#[derive(Debug)]
pub struct ManualClock(Mutex<Timestamp>);

impl ManualClock {
    /// A clock that shows `now`.
    pub fn at(now: Timestamp) -> Self {
        Self(Mutex::new(now))
    }

    /// Advances by `span`.
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
