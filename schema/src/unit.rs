//! Units: numbers with a range and a display format.

use std::{fmt, time::Duration};

use jiff::{SignedDuration, Timestamp};
#[cfg(feature = "json-schema")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A number outside the range of its unit.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{value} is not between {min} and {max}")]
pub struct OutOfRange {
    value: f64,
    min: f64,
    max: f64,
}

macro_rules! bounded {
    ($(#[$meta:meta])* $name:ident, $max:literal) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(try_from = "f64", into = "f64")]
        pub struct $name(f64);

        impl $name {
            /// `None` if the value is not a number or outside the range.
            pub fn new(value: f64) -> Option<Self> {
                (0.0..=$max).contains(&value).then_some(Self(value))
            }

            /// The nearest value in the range; not-a-number becomes zero.
            pub fn clamped(value: f64) -> Self {
                Self(if value.is_nan() { 0.0 } else { value.clamp(0.0, $max) })
            }

            /// The plain number.
            pub fn get(self) -> f64 {
                self.0
            }
        }

        impl TryFrom<f64> for $name {
            type Error = OutOfRange;
            fn try_from(value: f64) -> Result<Self, OutOfRange> {
                Self::new(value).ok_or(OutOfRange { value, min: 0.0, max: $max })
            }
        }

        impl From<$name> for f64 {
            fn from(value: $name) -> f64 {
                value.0
            }
        }

        #[cfg(feature = "json-schema")]
        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "number", "minimum": 0, "maximum": $max })
            }
        }
    };
}

bounded!(
    /// A percentage, 0 to 100.
    Percent,
    100.0
);
bounded!(
    /// The confidence of a diagnosis, 0 to 1.
    Confidence,
    1.0
);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} %", self.0)
    }
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2}", self.0)
    }
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
#[serde(transparent)]
pub struct ByteCount(pub u64);

impl fmt::Display for ByteCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
        match UNITS.iter().find(|(_, size)| self.0 >= *size) {
            #[expect(clippy::cast_precision_loss, reason = "shown with one digit after the point")]
            Some((unit, size)) => write!(f, "{:.1} {unit}", self.0 as f64 / *size as f64),
            None => write!(f, "{} B", self.0),
        }
    }
}

/// A length of time, on the log in whole milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
#[serde(transparent)]
pub struct Span(u64);

impl Span {
    /// Zero.
    pub const ZERO: Self = Self(0);

    /// From whole milliseconds.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms)
    }

    /// From whole seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// From one instant to a later one; zero when it is not later.
    pub fn between(from: Timestamp, to: Timestamp) -> Self {
        Self(u64::try_from(to.duration_since(from).as_millis()).unwrap_or(0))
    }

    /// In whole milliseconds.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// In seconds.
    #[expect(clippy::cast_precision_loss, reason = "an age of 285,000 years still has whole milliseconds")]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// `factor` times as long; saturates.
    pub const fn times(self, factor: u64) -> Self {
        Self(self.0.saturating_mul(factor))
    }

    /// The instant this long after `at`; saturates at [`Timestamp::MAX`].
    pub fn after(self, at: Timestamp) -> Timestamp {
        at.checked_add(self.signed()).unwrap_or(Timestamp::MAX)
    }

    /// The instant this long before `at`; saturates at [`Timestamp::MIN`].
    pub fn before(self, at: Timestamp) -> Timestamp {
        at.checked_sub(self.signed()).unwrap_or(Timestamp::MIN)
    }

    fn signed(self) -> SignedDuration {
        SignedDuration::from_millis(i64::try_from(self.0).unwrap_or(i64::MAX))
    }
}

impl From<Duration> for Span {
    fn from(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }
}

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        Self::from_millis(span.0)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.0 / 1000;
        match (secs / 3600, secs / 60 % 60, secs % 60) {
            (0, 0, _) if self.0 < 1000 => write!(f, "{} ms", self.0),
            (0, 0, _) if self.0 < 10_000 => write!(f, "{:.1} s", self.as_secs_f64()),
            (0, 0, s) => write!(f, "{s} s"),
            (0, m, 0) => write!(f, "{m} min"),
            (0, m, s) => write!(f, "{m} min {s} s"),
            (h, 0, _) => write!(f, "{h} h"),
            (h, m, _) => write!(f, "{h} h {m} min"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_outside_its_range_is_refused() {
        for bad in [-0.1, 100.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Percent::new(bad), None, "{bad}");
        }
        assert_eq!(Percent::new(100.0).map(Percent::get), Some(100.0));
        assert_eq!(Confidence::new(1.01), None);
        assert_eq!(Percent::clamped(f64::NAN).get(), 0.0);
        assert_eq!(Percent::clamped(250.0).get(), 100.0);
    }

    #[test]
    fn spans_are_shown_in_readable_units() {
        let shown = |ms| Span::from_millis(ms).to_string();
        assert_eq!([shown(20), shown(1_500), shown(42_000)], ["20 ms", "1.5 s", "42 s"]);
        assert_eq!([shown(60_000), shown(90_000), shown(3_600_000)], ["1 min", "1 min 30 s", "1 h"]);
    }

    #[test]
    fn arithmetic_of_instants_saturates() {
        assert_eq!(Span::from_millis(u64::MAX).after(Timestamp::MAX), Timestamp::MAX);
        assert_eq!(Span::from_millis(u64::MAX).before(Timestamp::MIN), Timestamp::MIN);
        assert_eq!(Span::between(Timestamp::MAX, Timestamp::MIN), Span::ZERO);
    }
}
