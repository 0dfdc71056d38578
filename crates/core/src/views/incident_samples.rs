//! The view `incident_samples`: every sample of a container in the hour around an incident, which outlives the samples on
//! the log.
//!
//! ```text
//!           half an hour            incident             half an hour
//!    ├────────────────────────┼───────────────────┼────────────────────────┤
//!      kept once it begins      its samples name it   kept once it has ended
//! ```
//!
//! A row is ten minutes of one container, `host/name@<ten minutes since the epoch>`. It is written as samples come, as an
//! incident may begin within half an hour; a row near no incident is deleted soon afterwards.

use hemostat_schema::{Event, EventId, Family, Observation, Recorded, Span, Subject, Timestamp};
use serde::{Deserialize, Serialize};

use super::metrics::{Change, Figures, Reading};
use crate::projection::{IsExpired, Projection};

/// The view itself.
#[derive(Debug, Clone, Copy)]
pub struct IncidentSamples;

/// How long before its begin and after its end the samples of an incident are kept.
pub const AROUND: Span = Span::from_secs(1800);
/// How long the samples of an incident are kept: as long as its events by default.
pub const KEPT: Span = Span::from_secs(90 * 24 * 3600);
/// How long samples that belong to no incident are kept, so that an incident finds them.
const CANDIDATES_KEPT: Span = Span::from_secs(2 * 3600);
/// How long before its symptom was raised an incident may have begun, at most, for its earlier samples to be found.
const MAX_DEBOUNCE: Span = Span::from_secs(3600);
/// Maximum samples in a row.
const MAX_SAMPLES: usize = 200;

const CHUNK: i64 = 600_000;

/// The samples of ten minutes of a container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The samples, oldest first. One without figures says that nothing was measured from then on.
    pub samples: Vec<Reading>,
    /// Whether they belong to an incident.
    pub kept: bool,
    /// The last event applied.
    pub last: EventId,
}

/// The row of `subject` for ten minutes, counted since the epoch.
fn key(subject: &Subject, chunk: i64) -> String {
    format!("{subject}@{chunk}")
}

fn chunk(at: Timestamp) -> i64 {
    at.as_millisecond().div_euclid(CHUNK)
}

/// The time with which an incident is kept, if it began and ended so.
pub fn around(begun: Timestamp, ended: Timestamp) -> (Timestamp, Timestamp) {
    (AROUND.before(begun), AROUND.after(ended))
}

/// The keys of the rows of `subject` between two instants, oldest first.
pub fn keys_between(subject: &Subject, from: Timestamp, to: Timestamp) -> Vec<String> {
    (chunk(from)..=chunk(to)).map(|chunk| key(subject, chunk)).collect()
}

/// The time around a symptom of an incident that begins or ends.
fn neighbourhood(event: &Recorded) -> Option<(Timestamp, Timestamp)> {
    event.incident.as_ref()?;
    let Some(Event::Observation(observation)) = event.event() else { return None };
    let (begun, ended) = match observation {
        Observation::SymptomRaised(raised) => (raised.since.max(MAX_DEBOUNCE.before(event.at)), event.at),
        Observation::SymptomCleared(_) => (event.at, event.at),
        _ => return None,
    };
    Some(around(begun.min(ended), ended))
}

fn chunk_of(key: &str) -> Option<i64> {
    key.rsplit_once('@')?.1.parse().ok()
}

fn is_expired(key: &str, row: &Row, now: Timestamp) -> bool {
    let kept = if row.kept { KEPT } else { CANDIDATES_KEPT };
    chunk_of(key).is_some_and(|of| of < chunk(kept.before(now)))
}

impl Projection for IncidentSamples {
    const NAME: &'static str = "incident_samples";
    const VERSION: u16 = 1;
    const READS: &'static [Family] = &[Family::Observation, Family::Sample];
    const IS_EXPIRED: Option<IsExpired<Row>> = Some(is_expired);
    type Row = Row;

    fn keys(event: &Recorded) -> Vec<String> {
        if event.subject.container.is_none() {
            return vec![];
        }
        match (neighbourhood(event), Change::of(event)) {
            (Some((from, to)), _) => keys_between(&event.subject, from, to),
            (None, Some(Change::Measured(reading))) => vec![key(&event.subject, reading.at.div_euclid(CHUNK))],
            (None, Some(Change::Ended(at))) => vec![key(&event.subject, at.div_euclid(CHUNK))],
            (None, None) => vec![],
        }
    }

    fn evolve(row: Option<Row>, key: &str, event: &Recorded) -> Option<Row> {
        if row.as_ref().is_some_and(|row| event.id <= row.last) {
            return row;
        }
        if neighbourhood(event).is_some() {
            return kept(row, key, event);
        }
        let sample = match Change::of(event) {
            Some(Change::Measured(reading)) => reading,
            Some(Change::Ended(at)) if row.is_some() => Reading { at, until: at, figures: Figures::new() },
            Some(Change::Ended(_)) | None => return row,
        };
        // In an incident, a sample is an observation too.
        if row.as_ref().and_then(|row| row.samples.last()).is_some_and(|last| last.at == sample.at) {
            return row;
        }
        let mut row = row.unwrap_or_else(|| Row::new(event.id));
        row.kept |= event.incident.is_some();
        if row.samples.len() < MAX_SAMPLES {
            row.samples.push(sample);
        }
        row.last = event.id;
        Some(row)
    }
}

/// The row belongs to an incident.
fn kept(row: Option<Row>, key: &str, event: &Recorded) -> Option<Row> {
    match row {
        Some(row) if row.kept => Some(row),
        Some(row) => Some(Row { kept: true, last: event.id, ..row }),
        // No sample was written in a time that is over.
        None if chunk_of(key)? < chunk(event.at) => None,
        None => Some(Row { kept: true, ..Row::new(event.id) }),
    }
}

impl Row {
    fn new(last: EventId) -> Self {
        Self { samples: vec![], kept: false, last }
    }
}

#[cfg(test)]
mod tests {
    use hemostat_schema::{
        NewEvent,
        observation::Symptom,
        sample::{Container, Unmeasured},
    };

    use super::*;
    use crate::{
        fold::{Rows, existing, fold_all},
        testing::{at, cleared, container, event, id, incident_event, raised, run, vitals},
    };

    /// A sample of this second, whose CPU use is that number of hundredths of a per cent.
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    fn sample(second: i64) -> Container {
        Container { vitals: vitals((second % 10_000) as f64 / 100.0, 1.0, 1), holds: Span::from_secs(360) }
    }

    /// The rows after these events; an expired row counts as deleted.
    fn rows(events: Vec<NewEvent>, now: i64) -> Vec<Row> {
        let log: Vec<_> = (1..).zip(events).map(|(n, event)| event.recorded(id(n), &[])).collect();
        let mut rows = Rows::<IncidentSamples>::new();
        fold_all::<IncidentSamples>(&mut rows, &log);
        existing(rows).into_iter().filter(|(key, row)| !is_expired(key, row, at(now))).map(|(_, row)| row).collect()
    }

    fn seconds(rows: &[Row]) -> Vec<i64> {
        let begin = at(0).as_millisecond();
        rows.iter().flat_map(|row| &row.samples).map(|sample| (sample.at - begin) / 1000).collect()
    }

    const DAY: i64 = 24 * 3600;

    #[test]
    fn an_incident_keeps_its_samples_and_those_of_half_an_hour_around_it() {
        let begun = 20_000;
        let mut log: Vec<NewEvent> = (0..begun).step_by(300).map(|second| event(second, sample(second))).collect();
        log.push(raised(begun, Symptom::CpuHigh, run(0)));
        log.extend((begun + 30..begun + 600).step_by(30).map(|second| incident_event(second, sample(second))));
        log.push(cleared(begun + 600, Symptom::CpuHigh));
        log.extend((begun + 900..begun + 10_000).step_by(300).map(|second| event(second, sample(second))));
        let kept = rows(log, 2 * DAY);
        let found = seconds(&kept);
        let (first, last) = (*found.first().unwrap(), *found.last().unwrap());
        // To the ten minutes in which the half hours begin and end.
        assert!((begun - 1800 - 600..=begun - 1800).contains(&first), "{first}");
        assert!((begun + 2400..begun + 2400 + 600).contains(&last), "{last}");
        assert_eq!(found.iter().filter(|second| (begun..begun + 600).contains(second)).count(), 19, "{found:?}");
        let figures =
            &kept.iter().flat_map(|row| &row.samples).find(|sample| sample.at == at(begun + 60).as_millisecond());
        assert_eq!(figures.unwrap().figures[&super::super::metrics::Figure::Cpu], 60);
    }

    #[test]
    fn samples_near_no_incident_are_deleted() {
        let log = || (0..40_000).step_by(300).map(|second| event(second, sample(second))).collect();
        assert!(rows(log(), DAY).is_empty());
        assert!(seconds(&rows(log(), 40_000)).into_iter().all(|second| second >= 40_000 - 7200 - 600));
    }

    #[test]
    fn a_failed_measurement_and_the_end_of_a_run_are_told_among_the_samples() {
        let since = Unmeasured { since: at(40) };
        let log = vec![incident_event(10, sample(10)), incident_event(60, since), incident_event(90, sample(90))];
        let samples: Vec<_> = rows(log, 100).into_iter().flat_map(|row| row.samples).collect();
        assert_eq!(samples.iter().map(|sample| sample.figures.is_empty()).collect::<Vec<_>>(), [false, true, false]);
        assert_eq!(samples[1].at, at(40).as_millisecond());
    }

    #[test]
    fn a_row_is_bounded() {
        let log = (0..500).map(|n| incident_event(10 + n, sample(n))).collect();
        assert_eq!(rows(log, 100)[0].samples.len(), MAX_SAMPLES);
        assert_eq!(keys_between(&container("api"), at(0), at(3600)).len(), 7);
    }
}
