//! Five minutes of one subject: the minimum, mean and maximum of each figure, weighted by time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::reading::Figure;

/// A bucket to which values are still added.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Open {
    pub(super) slot: u8,
    sums: BTreeMap<Figure, Sum>,
}

/// Minimum, maximum, the sum of value times milliseconds, and the milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Sum(u64, u64, u64, u64);

impl Open {
    pub(super) fn new(slot: u8) -> Self {
        Self { slot, ..Self::default() }
    }

    /// `value` held for this many milliseconds.
    pub(super) fn add(&mut self, figure: Figure, value: u64, millis: u64) {
        let Sum(min, max, area, over) = self.sums.entry(figure).or_insert(Sum(u64::MAX, 0, 0, 0));
        (*min, *max) = ((*min).min(value), (*max).max(value));
        *area = area.saturating_add(value.saturating_mul(millis));
        *over += millis;
    }

    pub(super) fn close(&self) -> Bucket {
        let measured = self.sums.values().map(|Sum(.., over)| *over).max().unwrap_or(0);
        let digest = |(figure, Sum(min, max, area, over)): (&Figure, &Sum)| {
            let mean = area.checked_div(*over)?.clamp(*min, *max);
            Some((*figure, Digest { min: *min, mean, max: *max }))
        };
        Bucket { measured, figures: self.sums.iter().filter_map(digest).collect() }
    }
}

/// A complete bucket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "(u64, BTreeMap<Figure, Stored>)", into = "(u64, BTreeMap<Figure, Stored>)")]
pub struct Bucket {
    /// For how many milliseconds of it something was measured.
    pub measured: u64,
    /// The figures; counters in bytes per second.
    pub figures: BTreeMap<Figure, Digest>,
}

/// A figure over some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest {
    /// The minimum.
    pub min: u64,
    /// The mean, weighted by time.
    pub mean: u64,
    /// The maximum.
    pub max: u64,
}

/// A [`Digest`] in a row: one number if the figure did not change.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(untagged)]
enum Stored {
    Constant(u64),
    Varied(u64, u64, u64),
}

impl From<(u64, BTreeMap<Figure, Stored>)> for Bucket {
    fn from((measured, stored): (u64, BTreeMap<Figure, Stored>)) -> Self {
        let digest = |stored| match stored {
            Stored::Constant(value) => Digest { min: value, mean: value, max: value },
            Stored::Varied(min, mean, max) => Digest { min, mean, max },
        };
        Self { measured, figures: stored.into_iter().map(|(figure, it)| (figure, digest(it))).collect() }
    }
}

impl From<Bucket> for (u64, BTreeMap<Figure, Stored>) {
    fn from(Bucket { measured, figures }: Bucket) -> Self {
        let stored = |Digest { min, mean, max }| match min == max {
            true => Stored::Constant(min),
            false => Stored::Varied(min, mean, max),
        };
        (measured, figures.into_iter().map(|(figure, digest)| (figure, stored(digest))).collect())
    }
}
