//! From where on a signal that is judged over time is too much.
//!
//! CPU, memory and health are each container's own matter, and its labels may bend them (`Care`). What stands here holds
//! for all: these signals are shares, rates and counts that mean the same for a small container and for a large one.

use hemostat_schema::{Percent, Span};

/// From where on a signal is too much.
#[derive(Debug, Clone, PartialEq)]
pub struct Sensitivity {
    /// A CPU limit may stop a container in so large a share of the scheduler's periods (default 25 %).
    pub throttled: Percent,
    /// It may wait for CPU, memory or disk for so large a share of the time (default 40 %).
    pub pressure: Percent,
    /// It may have so large a share of the processes and threads that it is allowed (default 90 %).
    pub pids: Percent,
    /// Memory must grow steadily for so long to be a leak (default 15 min).
    pub leak_over: Span,
    /// A leak is worth telling when it reaches the limit within this time (default 1 h).
    pub leak_within: Span,
    /// So many changes of mind of a health check within `flaps_within` are flapping (default 6).
    pub flaps: u32,
    /// See `flaps` (default 10 min).
    pub flaps_within: Span,
    /// A disk may be so full before whoever writes to it is looked for (default 90 %).
    pub disk: Percent,
    /// Whether a container is also measured by what is usual for it (default yes).
    pub adaptive: bool,
}

impl Sensitivity {
    /// So many changes of mind are remembered, so flapping cannot be defined by more.
    pub const MOST_FLAPS: u32 = 64;
}

impl Default for Sensitivity {
    fn default() -> Self {
        Self {
            throttled: Percent::clamped(25.0),
            pressure: Percent::clamped(40.0),
            pids: Percent::clamped(90.0),
            leak_over: Span::from_secs(900),
            leak_within: Span::from_secs(3600),
            flaps: 6,
            flaps_within: Span::from_secs(600),
            disk: Percent::clamped(90.0),
            adaptive: true,
        }
    }
}
