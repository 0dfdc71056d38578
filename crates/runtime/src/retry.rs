//! Exponential backoff with jitter.
//!
//! Not backon, which the analyzer uses: these loops run for ever, reset after a success and wait in a `select!`
//! beside the shutdown; backon has no reset, and its jitter exceeds the cap.

use std::time::Duration;

/// Delays that double up to a cap, with jitter, so that many processes do not retry at the same time.
#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
    attempts: u32,
}

impl Backoff {
    /// For a connection: from 100 ms to 5 s.
    pub fn connection() -> Self {
        Self::between(Duration::from_millis(100), Duration::from_secs(5))
    }

    /// From `first`, at most `cap`.
    pub fn between(first: Duration, cap: Duration) -> Self {
        Self { first, cap, attempts: 0 }
    }

    /// As [`between`](Self::between), after this number of delays: for a series that another process began.
    pub fn resumed(first: Duration, cap: Duration, delays: u32) -> Self {
        Self { first, cap, attempts: delays }
    }

    /// The next delay: between half of the full length and all of it.
    pub fn next_delay(&mut self) -> Duration {
        let full = self.first.saturating_mul(2_u32.saturating_pow(self.attempts)).min(self.cap);
        self.attempts = self.attempts.saturating_add(1);
        full.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// Starts again with the first delay.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_cap_and_never_vanish() {
        let mut backoff = Backoff::connection();
        for full in [100, 200, 400, 800, 1600, 3200, 5000, 5000] {
            let delay = backoff.next_delay();
            let full = Duration::from_millis(full);
            assert!(delay >= full / 2 && delay <= full, "{delay:?} of {full:?}");
        }
        for _ in 0..100 {
            assert!(backoff.next_delay() <= Duration::from_secs(5));
        }
        backoff.reset();
        assert!(backoff.next_delay() <= Duration::from_millis(100));
    }
}
