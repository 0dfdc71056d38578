//! The view `metrics`: what each container used and how full each host's disk was, as minimum, mean and maximum of five
//! minutes, for thirty days.
//!
//! Samples are sparse: a value holds until the next sample, or until the promise of its sample ends (see
//! `observe::sampling`), so the mean is weighted by time. What was not measured is in no bucket. Counters of bytes become
//! rates; the growth between two readings is spread evenly over the time between them, and a counter that begins again
//! with a new run gives none.
//!
//! A row is one subject and one hour, `host/name@<hours since the epoch>`: about 0.5 kB of an idle container, so 20
//! containers take 8 MB in thirty days. The last reading of an hour is also put into the row of the next one, as a row
//! knows nothing but its own events.

use std::collections::{BTreeMap, HashMap};

use hemostat_schema::{EventId, Family, Recorded, Span, Subject, Timestamp};
use serde::{Deserialize, Serialize};

use crate::projection::{IsExpired, Projection};

mod bucket;
mod reading;
#[cfg(test)]
mod tests;

use bucket::Open;
pub use bucket::{Bucket, Digest};
pub(in crate::views) use reading::Change;
pub use reading::{Figure, Figures, Reading};

/// The view itself.
#[derive(Debug, Clone, Copy)]
pub struct Metrics;

/// The length of a bucket.
pub const BUCKET: Span = Span::from_secs(300);
/// How long rows are kept.
pub const KEPT: Span = Span::from_secs(30 * 24 * 3600);

const HOUR: i64 = 3_600_000;
const BUCKET_MILLIS: i64 = 300_000;

/// One hour of a container or of a host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The complete buckets, by their number within the hour.
    buckets: BTreeMap<u8, Bucket>,
    /// The bucket to which values are still added.
    open: Option<Open>,
    /// The last reading, while it may hold in this hour.
    held: Option<Reading>,
    /// The last event that changed the row.
    pub last: EventId,
}

/// The row of `subject` for an hour, counted since the epoch.
pub fn key(subject: &Subject, hour: i64) -> String {
    format!("{subject}@{hour}")
}

/// The subject and the hour of a row.
pub fn parse_key(key: &str) -> Option<(Subject, i64)> {
    let (subject, hour) = key.rsplit_once('@')?;
    Some((subject.parse().ok()?, hour.parse().ok()?))
}

/// The readings among these rows that still hold, or that held last: one of each subject.
pub fn held(rows: impl IntoIterator<Item = (String, Row)>) -> HashMap<Subject, Reading> {
    let mut held: HashMap<Subject, Reading> = HashMap::new();
    for (key, row) in rows {
        let (Some((subject, _)), Some(reading)) = (parse_key(&key), row.held) else { continue };
        if held.get(&subject).is_none_or(|other| other.at < reading.at) {
            held.insert(subject, reading);
        }
    }
    held
}

/// The hour of an instant, counted since the epoch.
pub fn hour(at: Timestamp) -> i64 {
    at.as_millisecond().div_euclid(HOUR)
}

impl Row {
    /// The buckets of this `hour` up to `now`, each with its beginning.
    pub fn buckets(&self, hour: i64, now: Timestamp) -> Vec<(Timestamp, Bucket)> {
        let mut row = self.clone();
        row.end(hour, now.as_millisecond());
        row.close();
        let begin = |slot: u8| Timestamp::from_millisecond(hour * HOUR + i64::from(slot) * BUCKET_MILLIS).ok();
        row.buckets.into_iter().filter_map(|(slot, bucket)| Some((begin(slot)?, bucket))).collect()
    }

    fn apply(&mut self, hour: i64, change: &Change) {
        match change {
            Change::Ended(at) => self.end(hour, *at),
            // It arrived late.
            Change::Measured(next) if self.held.as_ref().is_some_and(|held| next.at <= held.at) => {}
            Change::Measured(next) => {
                match self.held.take() {
                    Some(held) if next.at <= held.until => {
                        let values: Vec<_> = held.gauges().chain(held.rates(next)).collect();
                        self.fill(hour, (held.at, next.at), &values);
                    }
                    held => {
                        self.held = held;
                        self.end(hour, next.at);
                    }
                }
                match may_hold(next, hour) {
                    true => self.held = Some(next.clone()),
                    false => self.close(),
                }
            }
        }
    }

    /// The last reading holds until `at`, or until its promise ends.
    fn end(&mut self, hour: i64, at: i64) {
        if let Some(held) = self.held.take() {
            let values: Vec<_> = held.gauges().collect();
            self.fill(hour, (held.at, at.min(held.until)), &values);
        }
    }

    /// Adds values that held for that time.
    fn fill(&mut self, hour: i64, (from, to): (i64, i64), values: &[(Figure, u64)]) {
        let begin = hour * HOUR;
        let (mut at, to) = (from.max(begin), to.min(begin + HOUR));
        while at < to {
            let slot = (at - begin) / BUCKET_MILLIS;
            let end = to.min(begin + (slot + 1) * BUCKET_MILLIS);
            let slot = u8::try_from(slot).unwrap_or(u8::MAX);
            if self.open.as_ref().is_none_or(|open| open.slot != slot) {
                self.close();
            }
            let open = self.open.get_or_insert_with(|| Open::new(slot));
            for (figure, value) in values {
                open.add(*figure, *value, (end - at).unsigned_abs());
            }
            at = end;
        }
    }

    fn close(&mut self) {
        if let Some(open) = self.open.take() {
            self.buckets.entry(open.slot).or_insert_with(|| open.close());
        }
    }
}

/// Whether the reading may hold at an instant of the hour.
fn may_hold(reading: &Reading, hour: i64) -> bool {
    reading.at < (hour + 1) * HOUR && reading.until > hour * HOUR
}

/// Whether the row of this key is older than [`KEPT`].
fn is_expired(key: &str, _: &Row, now: Timestamp) -> bool {
    parse_key(key).is_some_and(|(_, of)| of < hour(KEPT.before(now)))
}

impl Projection for Metrics {
    const NAME: &'static str = "metrics";
    const VERSION: u16 = 1;
    const READS: &'static [Family] = &[Family::Observation, Family::Sample];
    const IS_EXPIRED: Option<IsExpired<Row>> = Some(is_expired);
    type Row = Row;

    fn keys(event: &Recorded) -> Vec<String> {
        let hours = match Change::of(event) {
            None => return vec![],
            // The reading before may be in the row of the hour before.
            Some(Change::Measured(reading)) => reading.at.div_euclid(HOUR) - 1..=reading.until.div_euclid(HOUR),
            Some(Change::Ended(at)) => at.div_euclid(HOUR)..=at.div_euclid(HOUR) + 1,
        };
        hours.map(|hour| key(&event.subject, hour)).collect()
    }

    fn evolve(row: Option<Row>, key: &str, event: &Recorded) -> Option<Row> {
        let (Some(change), Some((_, hour))) = (Change::of(event), parse_key(key)) else { return row };
        let mut new = match (row.clone(), &change) {
            (Some(row), _) if event.id <= row.last => return Some(row),
            (Some(row), _) => row,
            (None, Change::Measured(reading)) if may_hold(reading, hour) => {
                Row { buckets: BTreeMap::new(), open: None, held: None, last: event.id }
            }
            (None, _) => return None,
        };
        new.apply(hour, &change);
        if row.as_ref() != Some(&new) {
            new.last = event.id;
        }
        // A reading was to hold in this hour, and the run ended before.
        let is_empty = new.buckets.is_empty() && new.open.is_none() && new.held.is_none();
        (!is_empty).then_some(new)
    }
}
