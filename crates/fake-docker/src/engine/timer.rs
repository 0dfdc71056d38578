//! Scheduled state transitions.

use crate::time::UnixNanos;

/// A state transition that happens at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Transition {
    HealthCheck { round: u32 },
    Exit { code: u8 },
    Kill,
    Restart,
    FailureBegins { number: u32 },
    FailureEnds { number: u32 },
    MemoryFull,
}

/// A scheduled transition; ordered by time, then by the order of scheduling.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Timer {
    pub(super) at: UnixNanos,
    pub(super) order: u64,
    pub(super) index: u32,
    pub(super) epoch: u32,
    pub(super) transition: Transition,
}
