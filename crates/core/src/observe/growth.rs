//! Whether memory leaks: whether it grows along a line that will meet the limit before long.
//!
//! What counts is what a container never gives back. Of each short stretch of time only the least value is kept, and of
//! these only the *lower envelope*: what no later value has fallen below. So a garbage collector's saw-tooth or a page
//! cache that comes and goes is judged by its troughs, and a steady leak by itself.
//!
//! ```text
//!   level teeth      /|  /|  /            leak         __/   start-up     ______
//!                   / | / | /                       __/                 /
//!   envelope       _______/   hinge: no line     __/      line        _/         flattens: no line
//! ```
//!
//! A line is a leak when it fits (`r²`), when its first and its second half both rise (one step, one ramp that has
//! flattened or one tooth does not), when memory has not been higher before and come back, and when it meets the limit in
//! time. The rate is the lesser of that of the whole and of its second half. What a container does in the first third of
//! `leak_over` after its start is not looked at.
//!
//! A single tooth that takes longer than `leak_over`, the first of its run, cannot be told from a leak; it is over when
//! memory is given back, and the next is known for what it is.

use std::collections::VecDeque;

use hemostat_schema::{
    ByteCount, Span, Timestamp,
    observation::{Evidence, Severity},
};

use super::{hold::LONGEST_GAP, signals::High};
use crate::policy::Sensitivity;

/// `leak_over` is so many stretches.
const WINDOW: usize = 20;
/// So many stretches are remembered.
const REMEMBERED: usize = 4 * WINDOW;
/// At least so many stretches of the window must have a sample.
const LEAST: usize = 8;
/// What was held without a break for so many stretches, and given back, was no leak.
const PLATEAU: usize = 5;

/// How much like a line growth must be.
#[derive(Debug, Clone, Copy)]
struct Strictness {
    /// The coefficient of determination, at least.
    fit: f64,
    /// The rate of each half, at least, as a share of that of the whole.
    half: f64,
    /// How much must have been gained, as a share of the limit.
    gained: f64,
    /// The limit may be so many times further away than is asked.
    patience: u64,
    /// How much of the gain memory may have been above its present trough before.
    crest: f64,
}

/// What begins to be told.
const RAISE: Strictness = Strictness { fit: 0.9, half: 0.5, gained: 0.02, patience: 1, crest: 0.25 };
/// What goes on being told.
const KEEP: Strictness = Strictness { fit: 0.6, half: 0.1, gained: 0.005, patience: 2, crest: 1.0 };

/// The memory of one run, thinned out.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Growth {
    past: VecDeque<Stretch>,
    /// The stretch that is not over yet.
    present: Option<Stretch>,
    last: Option<Timestamp>,
    judged: Option<Judged>,
}

/// The least value of a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Stretch {
    /// When it began.
    at: Timestamp,
    least: u64,
}

/// What was thought when the last stretch was over.
#[derive(Debug, Clone, PartialEq)]
struct Judged {
    at: Timestamp,
    leak: Option<High>,
    goes_on: bool,
}

impl Growth {
    /// Takes a sample of the run that began at `started` in.
    pub(super) fn take(
        &mut self,
        at: Timestamp,
        (used, limit): (ByteCount, ByteCount),
        started: Option<Timestamp>,
        sensitivity: &Sensitivity,
    ) {
        let stretch = Span::from_millis((sensitivity.leak_over.as_millis() / WINDOW as u64).max(1));
        let longest_gap = LONGEST_GAP.max(stretch.times(3));
        if self.last.is_some_and(|last| Span::between(last, at) > longest_gap) {
            *self = Self::default();
        }
        self.last = Some(at);
        let warm_up = Span::from_millis(sensitivity.leak_over.as_millis() / 3);
        if started.is_some_and(|started| Span::between(started, at) < warm_up) {
            return;
        }
        match &mut self.present {
            Some(present) if Span::between(present.at, at) < stretch => present.least = present.least.min(used.0),
            present => {
                let over = present.replace(Stretch { at, least: used.0 });
                if let Some(over) = over {
                    self.past.push_back(over);
                    if self.past.len() > REMEMBERED {
                        self.past.pop_front();
                    }
                    self.judged = Some(self.judge(at, limit, sensitivity));
                }
            }
        }
    }

    /// What says that it leaks.
    pub(super) fn high(&self) -> Option<High> {
        self.judged.as_ref()?.leak.clone()
    }

    /// Since when it is clear that it does not, or not any more.
    pub(super) fn low(&self) -> Option<Timestamp> {
        self.judged.as_ref().filter(|judged| !judged.goes_on).map(|judged| judged.at)
    }

    fn judge(&self, at: Timestamp, limit: ByteCount, sensitivity: &Sensitivity) -> Judged {
        let begin = sensitivity.leak_over.before(at);
        let (before, window): (Vec<Stretch>, Vec<Stretch>) = self.past.iter().partition(|stretch| stretch.at < begin);
        // As long as nothing is older than the window, the window is not full.
        let whole = !before.is_empty() && window.len() >= LEAST;
        let line = Some(window).filter(|_| whole).and_then(|window| Line::through(&window, limit.0));
        let is_leak = |strictness: &Strictness| {
            line.as_ref().is_some_and(|line| line.is_leak(strictness, limit.0, sensitivity.leak_within, &before))
        };
        let leak = line.as_ref().filter(|_| is_leak(&RAISE)).map(|line| line.told(at, limit));
        Judged { at, leak, goes_on: is_leak(&KEEP) }
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
    /// In bytes an hour, of the whole and of its halves.
    rate: f64,
    halves: [f64; 2],
    limit_in: Span,
}

impl Line {
    /// None where memory does not grow at all.
    fn through(window: &[Stretch], limit: u64) -> Option<Self> {
        let (first, last) = (window.first()?, window.last()?);
        let mut points: Vec<(f64, f64)> = window
            .iter()
            .map(|stretch| (Span::between(first.at, stretch.at).as_secs_f64() / 3600.0, bytes(stretch.least)))
            .collect();
        let mut least = f64::INFINITY;
        for (_, value) in points.iter_mut().rev() {
            least = least.min(*value);
            *value = least;
        }
        let (early, late) = points.split_at(points.len() / 2);
        let (rate, fit) = slope(&points)?;
        let halves = [slope(early)?.0, slope(late)?.0];
        let lasting = rate.min(halves[1]);
        if lasting <= 0.0 {
            return None;
        }
        let left = (bytes(limit) - bytes(last.least)).max(0.0) / lasting;
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

    fn is_leak(&self, strictness: &Strictness, limit: u64, within: Span, before: &[Stretch]) -> bool {
        let gained = self.last - self.first;
        let crest = before
            .windows(PLATEAU)
            .filter_map(|plateau| plateau.iter().map(|stretch| stretch.least).min())
            .max()
            .map_or(0.0, bytes);
        self.fit >= strictness.fit
            && self.halves.iter().all(|half| *half >= strictness.half)
            && gained >= bytes(limit) * strictness.gained
            && crest <= self.first + gained * strictness.crest
            && self.limit_in < within.times(strictness.patience)
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes, of which there are never 2^63")]
    fn told(&self, at: Timestamp, limit: ByteCount) -> High {
        let evidence = Evidence::Growth {
            used: ByteCount(self.last as u64),
            limit,
            per_hour: ByteCount(self.rate as u64),
            fit: self.fit,
            over: self.over,
            limit_in: self.limit_in,
        };
        High { at, since: self.since, severity: Severity::High, evidence }
    }
}

/// The least-squares line through points: its slope, and how well it fits (the coefficient of determination).
///
/// None where there is no line: with fewer than two instants. A line through points that are all equally high fits.
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

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what a span can tell")]
fn span(hours: f64) -> Span {
    Span::from_millis((hours * 3_600_000.0).clamp(0.0, 1e15) as u64)
}

#[cfg(test)]
mod tests;
