//! Instants in nanoseconds, and how Docker writes them.

use std::{
    fmt,
    ops::Add,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// An instant: nanoseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixNanos(i64);

impl UnixNanos {
    /// An instant from nanoseconds since the Unix epoch.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the Unix epoch.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000_000)
    }

    /// The time since `earlier`; zero if that is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl From<SystemTime> for UnixNanos {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }
}

impl Add<Duration> for UnixNanos {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)))
    }
}

/// In Docker's format: `2026-11-23T19:38:17.322463059Z`.
impl fmt::Display for UnixNanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_nanosecond(i128::from(self.0)) {
            Ok(at) => at.fmt(f),
            Err(_) => f.write_str(NEVER),
        }
    }
}

/// Docker's zero time.
pub(crate) const NEVER: &str = "0001-01-01T00:00:00Z";

/// An instant in Docker's format; `None` becomes the zero time.
pub(crate) fn docker_time(time: Option<UnixNanos>) -> String {
    time.map_or_else(|| NEVER.to_owned(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_written_to_the_nanosecond() {
        assert_eq!(UnixNanos::from_nanos(1_795_462_698_792_223_107).to_string(), "2026-11-23T19:38:18.792223107Z");
        assert_eq!(docker_time(None), "0001-01-01T00:00:00Z");
    }

    #[test]
    fn a_duration_is_never_negative() {
        let (early, late) = (UnixNanos::from_nanos(5), UnixNanos::from_nanos(9));
        assert_eq!((late.since(early), early.since(late)), (Duration::from_nanos(4), Duration::ZERO));
        assert_eq!(early + Duration::from_nanos(4), late);
    }
}
