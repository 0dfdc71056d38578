//! A reliability table: how often a stated confidence came true, and the Brier score.
//!
//! The Brier score is the mean of (confidence - outcome)², the outcome being 1 where the container recovered and 0
//! where it relapsed (G. W. Brier, "Verification of forecasts expressed in terms of probability", 1950). 0 is perfect;
//! always stating 0.5 scores 0.25. Inconclusive outcomes are counted separately.

use hemostat_schema::{Confidence, action::Outcome};
use serde::{Deserialize, Serialize};

/// Number of bins of equal width into which confidence is sorted.
pub const BINS: usize = 10;

/// The diagnoses of one rule or model, and their outcomes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Record {
    /// Diagnoses, with or without a remedy.
    pub reached: u64,
    /// Attempts whose outcome was inconclusive.
    pub inconclusive: u64,
    /// How it did as a model.
    pub opinions: Opinions,
    bins: [Bin; BINS],
    /// The sum of all (confidence - outcome)².
    squares: f64,
}

/// The answers of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Opinions {
    /// Answers that were compared with the rules.
    pub answered: u64,
    /// Answers that agreed with the rules.
    pub agreed: u64,
    /// Requests without a usable answer.
    pub failed: u64,
}

/// Attempts with about the same stated confidence.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Bin {
    /// Judged attempts.
    pub judged: u64,
    /// Judged attempts that helped.
    pub recovered: u64,
    /// The sum of the stated confidences.
    stated: f64,
}

impl Bin {
    /// The mean stated confidence; none without judged attempts.
    pub fn stated(&self) -> Option<f64> {
        share(self.stated, self.judged)
    }

    /// The share of judged attempts that helped; none without any.
    pub fn came_true(&self) -> Option<f64> {
        share(float(self.recovered), self.judged)
    }

    fn add(&mut self, other: &Self) {
        self.judged += other.judged;
        self.recovered += other.recovered;
        self.stated += other.stated;
    }
}

impl Record {
    /// Adds the outcome of an attempt with this stated confidence.
    pub(super) fn judge(&mut self, confidence: Confidence, outcome: Outcome) {
        let came_true = match outcome {
            Outcome::Recovered => 1.0,
            Outcome::Relapsed => 0.0,
            Outcome::Inconclusive => {
                self.inconclusive += 1;
                return;
            }
        };
        let bin = &mut self.bins[bin_of(confidence)];
        bin.judged += 1;
        bin.recovered += u64::from(outcome == Outcome::Recovered);
        bin.stated += confidence.get();
        self.squares += (confidence.get() - came_true).powi(2);
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.reached += other.reached;
        self.inconclusive += other.inconclusive;
        self.opinions.answered += other.opinions.answered;
        self.opinions.agreed += other.opinions.agreed;
        self.opinions.failed += other.opinions.failed;
        self.bins.iter_mut().zip(&other.bins).for_each(|(bin, other)| bin.add(other));
        self.squares += other.squares;
    }

    /// The bins in order, each with the confidence at which it begins and ends; the last includes 1.
    pub fn bins(&self) -> impl Iterator<Item = (f64, f64, &Bin)> {
        let edge = |n: usize| float(n as u64) / float(BINS as u64);
        self.bins.iter().enumerate().map(move |(n, bin)| (edge(n), edge(n + 1), bin))
    }

    /// All judged attempts.
    pub fn total(&self) -> Bin {
        self.at_least(0)
    }

    /// The attempts that a threshold at the start of the `n`th bin, counted from 0, would have allowed.
    pub fn at_least(&self, n: usize) -> Bin {
        let mut total = Bin::default();
        self.bins.iter().skip(n).for_each(|bin| total.add(bin));
        total
    }

    /// The Brier score, from 0 (perfect) to 1 (always certain and wrong); none without judged attempts.
    pub fn brier(&self) -> Option<f64> {
        share(self.squares, self.total().judged)
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a confidence is from 0 to 1")]
fn bin_of(confidence: Confidence) -> usize {
    ((confidence.get() * float(BINS as u64)) as usize).min(BINS - 1)
}

fn share(sum: f64, count: u64) -> Option<f64> {
    (count > 0).then(|| sum / float(count))
}

#[expect(clippy::cast_precision_loss, reason = "a count of events")]
fn float(count: u64) -> f64 {
    count as f64
}
