//! How durable an event must be before HemoStat executes a side effect because of it.

use std::{fmt, num::NonZeroU8, str::FromStr};

/// How durable an event must be before HemoStat executes a side effect because of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Durability {
    /// As durable as the store makes it by default: with `appendfsync everysec`, a crash of the machine loses the last
    /// second.
    #[default]
    Everysec,
    /// Written to the disk of the server.
    Always,
    /// Also in the memory of this many replicas.
    Replicas(NonZeroU8),
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everysec => f.write_str("everysec"),
            Self::Always => f.write_str("always"),
            Self::Replicas(count) => write!(f, "replicas:{count}"),
        }
    }
}

/// The text is none of `everysec`, `always` and `replicas:1` (to `replicas:255`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is none of everysec, always and replicas:N")]
pub struct UnknownDurability;

impl FromStr for Durability {
    type Err = UnknownDurability;

    fn from_str(text: &str) -> Result<Self, UnknownDurability> {
        match text {
            "everysec" => Ok(Self::Everysec),
            "always" => Ok(Self::Always),
            _ => {
                let count = text.strip_prefix("replicas:").and_then(|count| count.parse().ok());
                count.map(Self::Replicas).ok_or(UnknownDurability)
            }
        }
    }
}

/// The result of [`Log::confirm`](crate::Log::confirm).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmed {
    /// The event is as durable as requested.
    Durable,
    /// It was not durable in time.
    NotInTime {
        /// How many replicas had it; 0 if the server's own disk was waited for.
        replicas: u32,
    },
    /// The event is no longer on the log: a failover has lost it.
    EventMissing,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_durability_is_parsed_as_it_is_written() {
        for text in ["everysec", "always", "replicas:1", "replicas:255"] {
            assert_eq!(text.parse::<Durability>().unwrap().to_string(), text);
        }
        for text in ["", "never", "replicas", "replicas:", "replicas:0", "replicas:256", "replicas:-1", "Always"] {
            assert_eq!(text.parse::<Durability>(), Err(UnknownDurability), "{text}");
        }
    }
}
