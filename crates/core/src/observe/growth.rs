//! The signal of symptom `memory_leak`: memory grows along a line that will reach the limit soon.
//!
//! Memory is sampled down to the minimum of each short interval, and of these minima only the *lower envelope* counts:
//! what no later value has fallen below. So a garbage collector's saw-tooth and a page cache that comes and goes are
//! judged by their troughs, and a steady leak by itself.
//!
//! ```text
//!   level teeth      /|  /|  /            leak         __/   start-up     ______
//!                   / | / | /                       __/                 /
//!   envelope       _______/   hinge: no line     __/      line        _/         flattens: no line
//! ```
//!
//! A line is a leak if it fits (`r²`), if its first and its second half both rise (one step, one ramp that has
//! flattened or one tooth does not), if memory has not been higher before and come back, and if the line reaches the
//! limit in time. The rate is the lower of that of the whole and of the second half. The first third of `leak_over`
//! after the start of a run is ignored.
//!
//! The first tooth of a run that takes longer than `leak_over` cannot be told from a leak. The symptom is cleared when
//! the memory is given back, and the next tooth is recognised.

use std::collections::VecDeque;

use hemostat_schema::{
    ByteCount, Span, Timestamp,
    observation::{Evidence, Severity},
};

use super::{debounce::MAX_GAP, exceeded::Exceeded};
use crate::policy::Sensitivity;

/// Intervals in the window, which is `leak_over` long.
const WINDOW: usize = 20;
/// Maximum intervals kept.
const MAX_INTERVALS: usize = 4 * WINDOW;
/// Minimum intervals of the window that have a sample.
const MIN_INTERVALS: usize = 8;
/// Memory that was held for this many consecutive intervals and then given back was no leak.
const PLATEAU: usize = 5;

/// How closely growth must resemble a line.
#[derive(Debug, Clone, Copy)]
struct Criteria {
    /// Minimum coefficient of determination.
    fit: f64,
    /// Minimum rate of each half, as a share of the rate of the whole.
    half: f64,
    /// Minimum growth, as a share of the limit.
    gained: f64,
    /// Multiplies the time within which the line must reach the limit.
    patience: u64,
    /// Maximum earlier plateau above the start of the line, as a share of the growth.
    crest: f64,
}

/// Raises the symptom.
const RAISE: Criteria = Criteria { fit: 0.9, half: 0.5, gained: 0.02, patience: 1, crest: 0.25 };
/// Keeps the symptom.
const KEEP: Criteria = Criteria { fit: 0.6, half: 0.1, gained: 0.005, patience: 2, crest: 1.0 };

/// The memory of one run, as one minimum per interval.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Growth {
    past: VecDeque<Interval>,
    /// The interval that is not over yet.
    present: Option<Interval>,
    last: Option<Timestamp>,
    judged: Option<Judged>,
}

/// The minimum of an interval of time.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Interval {
    /// When it began.
    at: Timestamp,
    /// In bytes.
    min: u64,
}

/// The judgement at the end of the last interval.
#[derive(Debug, Clone, PartialEq)]
struct Judged {
    at: Timestamp,
    /// Raise the symptom.
    leak: Option<Exceeded>,
    /// A raised symptom stays.
    keeps: bool,
}

impl Growth {
    /// Adds a sample of the run that began at `started`.
    pub(super) fn add(
        &mut self,
        at: Timestamp,
        (used, limit): (ByteCount, ByteCount),
        started: Option<Timestamp>,
        sensitivity: &Sensitivity,
    ) {
        let interval = Span::from_millis((sensitivity.leak_over.as_millis() / WINDOW as u64).max(1));
        let max_gap = MAX_GAP.max(interval.times(3));
        if self.last.is_some_and(|last| Span::between(last, at) > max_gap) {
            *self = Self::default();
        }
        self.last = Some(at);
        let warm_up = Span::from_millis(sensitivity.leak_over.as_millis() / 3);
        if started.is_some_and(|started| Span::between(started, at) < warm_up) {
            return;
        }
        match &mut self.present {
            Some(present) if Span::between(present.at, at) < interval => present.min = present.min.min(used.0),
            present => {
                let over = present.replace(Interval { at, min: used.0 });
                if let Some(over) = over {
                    self.past.push_back(over);
                    if self.past.len() > MAX_INTERVALS {
                        self.past.pop_front();
                    }
                    self.judged = Some(self.judge(at, limit, sensitivity));
                }
            }
        }
    }

    /// The evidence, if memory leaks.
    pub(super) fn exceeded(&self) -> Option<Exceeded> {
        self.judged.as_ref()?.leak.clone()
    }

    /// Since when memory does not leak, or no longer.
    pub(super) fn cleared(&self) -> Option<Timestamp> {
        self.judged.as_ref().filter(|judged| !judged.keeps).map(|judged| judged.at)
    }

    fn judge(&self, at: Timestamp, limit: ByteCount, sensitivity: &Sensitivity) -> Judged {
        let begin = sensitivity.leak_over.before(at);
        let (before, window): (Vec<Interval>, Vec<Interval>) = self.past.iter().partition(|past| past.at < begin);
        // The window is full only once an interval is older than it.
        let is_full = !before.is_empty() && window.len() >= MIN_INTERVALS;
        let line = Some(window).filter(|_| is_full).and_then(|window| Line::through(&window, limit.0));
        let is_leak = |criteria: &Criteria| {
            line.as_ref().is_some_and(|line| line.is_leak(criteria, limit.0, sensitivity.leak_within, &before))
        };
        let leak = line.as_ref().filter(|_| is_leak(&RAISE)).map(|line| line.exceeded(at, limit));
        Judged { at, leak, keeps: is_leak(&KEEP) }
    }
}

/// The line along which memory grows.
#[derive(Debug, Clone, PartialEq)]
struct Line {
    since: Timestamp,
    over: Span,
    first: f64,
    last: f64,
    fit: f64,
    /// In bytes per hour; the lower of the whole and of the second half.
    rate: f64,
    /// The rates of both halves, as shares of the rate of the whole.
    halves: [f64; 2],
    /// When memory reaches the limit at this rate.
    limit_in: Span,
}

impl Line {
    /// The line through the lower envelope; none if memory does not grow.
    fn through(window: &[Interval], limit: u64) -> Option<Self> {
        let (first, last) = (window.first()?, window.last()?);
        let mut points: Vec<(f64, f64)> = window
            .iter()
            .map(|interval| (Span::between(first.at, interval.at).as_secs_f64() / 3600.0, bytes(interval.min)))
            .collect();
        let mut min = f64::INFINITY;
        for (_, value) in points.iter_mut().rev() {
            min = min.min(*value);
            *value = min;
        }
        let (early, late) = points.split_at(points.len() / 2);
        let (rate, fit) = slope(&points)?;
        let halves = [slope(early)?.0, slope(late)?.0];
        let lasting = rate.min(halves[1]);
        if lasting <= 0.0 {
            return None;
        }
        let left = (bytes(limit) - bytes(last.min)).max(0.0) / lasting;
        Some(Self {
            since: first.at,
            over: Span::between(first.at, last.at),
            first: points.first()?.1,
            last: points.last()?.1,
            fit,
            rate: lasting,
            halves: halves.map(|half| half / rate),
            limit_in: span(left),
        })
    }

    fn is_leak(&self, criteria: &Criteria, limit: u64, within: Span, before: &[Interval]) -> bool {
        let gained = self.last - self.first;
        let crest = before
            .windows(PLATEAU)
            .filter_map(|plateau| plateau.iter().map(|interval| interval.min).min())
            .max()
            .map_or(0.0, bytes);
        self.fit >= criteria.fit
            && self.halves.iter().all(|half| *half >= criteria.half)
            && gained >= bytes(limit) * criteria.gained
            && crest <= self.first + gained * criteria.crest
            && self.limit_in < within.times(criteria.patience)
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes, of which there are never 2^63")]
    fn exceeded(&self, at: Timestamp, limit: ByteCount) -> Exceeded {
        let evidence = Evidence::Growth {
            used: ByteCount(self.last as u64),
            limit,
            per_hour: ByteCount(self.rate as u64),
            fit: self.fit,
            over: self.over,
            limit_in: self.limit_in,
        };
        Exceeded { at, since: self.since, severity: Severity::High, evidence }
    }
}

/// The least-squares line through points: its slope and its coefficient of determination, which is 1 for points that
/// are all equally high. None for fewer than two distinct instants.
fn slope(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    let count = bytes(points.len() as u64);
    let mean = |value: fn(&(f64, f64)) -> f64| points.iter().map(value).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
    for point in points {
        let (dx, dy) = (point.0 - x, point.1 - y);
        xx += dx * dx;
        xy += dx * dy;
        yy += dy * dy;
    }
    if points.len() < 2 || xx <= 0.0 {
        return None;
    }
    let fit = if yy > 0.0 { xy * xy / (xx * yy) } else { 1.0 };
    Some((xy / xx, fit))
}

#[expect(clippy::cast_precision_loss, reason = "a trend needs no more than 53 bits")]
fn bytes(count: u64) -> f64 {
    count as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range of a span")]
fn span(hours: f64) -> Span {
    Span::from_millis((hours * 3_600_000.0).clamp(0.0, 1e15) as u64)
}

#[cfg(test)]
mod tests;
