//! How safe an event must be before something is done in the world because of it.

use std::{fmt, num::NonZeroU8, str::FromStr};

/// How safe an event must be before something is done because of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Durability {
    /// As safe as the store makes it by itself: of a Redis that appends every second, a crash of the machine loses the
    /// last second.
    #[default]
    Everysec,
    /// On the disk of the server.
    Always,
    /// In the memory of so many replicas, too.
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

/// It is none of `everysec`, `always` and `replicas:1` (to `replicas:255`).
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

/// Whether an event is as safe as was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmed {
    /// It is.
    Safe,
    /// It was not in time: so many replicas had it.
    Short {
        /// So many; 0 also where the server's own disk is what was waited for.
        replicas: u32,
    },
    /// The event is not on the log any more: a failover has lost it.
    Lost,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_durability_is_read_as_it_is_written() {
        for text in ["everysec", "always", "replicas:1", "replicas:255"] {
            assert_eq!(text.parse::<Durability>().unwrap().to_string(), text);
        }
        for text in ["", "never", "replicas", "replicas:", "replicas:0", "replicas:256", "replicas:-1", "Always"] {
            assert_eq!(text.parse::<Durability>(), Err(UnknownDurability), "{text}");
        }
    }
}
