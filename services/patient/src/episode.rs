//! One episode of an illness, which ends by time or by request.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// One episode of an illness: over when its duration has passed or when it is ended, whichever comes first.
#[derive(Debug)]
pub(crate) struct Episode {
    ended: AtomicBool,
    began: Instant,
    until: Option<Instant>,
}

impl Episode {
    pub(crate) fn new(duration: Option<Duration>) -> Arc<Self> {
        let began = Instant::now();
        Arc::new(Self { ended: AtomicBool::new(false), began, until: duration.map(|duration| began + duration) })
    }

    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.ended.load(Ordering::Relaxed) || self.until.is_some_and(|until| Instant::now() >= until)
    }

    /// The time since it began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}
