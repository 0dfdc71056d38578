//! A reliability table: how often what was said with a confidence came true, and how far off that is.
//!
//! The Brier score is the mean of (confidence - outcome)², the outcome being 1 where the container recovered and 0
//! where it relapsed (G. W. Brier, "Verification of forecasts expressed in terms of probability", 1950). 0 is perfect; who
//! always says 0.5 has 0.25. Inconclusive outcomes are neither, and are counted apart.

use hemostat_schema::{Confidence, action::Outcome};
use serde::{Deserialize, Serialize};

/// Into so many bins, all of one width, confidence is sorted.
pub const BINS: usize = 10;

/// What one rule or model has said, and what came of it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Record {
    /// Diagnoses, with or without a remedy.
    pub reached: u64,
    /// Attempts at its remedies of which nothing is known to this day.
    pub inconclusive: u64,
    /// As a shadow of the rules, or in their stead.
    pub opinions: Opinions,
    bins: [Bin; BINS],
    /// The sum of all (confidence - outcome)².
    squares: f64,
}

/// How a model did when it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Opinions {
    /// It was compared with the rules.
    pub answered: u64,
    /// It came to the same as they.
    pub agreed: u64,
    /// It gave no answer that is of use.
    pub failed: u64,
}

/// Attempts whose stated confidence was about the same.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Bin {
    /// How many were judged.
    pub judged: u64,
    /// How many of them recovered.
    pub recovered: u64,
    /// The sum of the stated confidences.
    stated: f64,
}

impl Bin {
    /// How sure they were said to be, on the average; none where there are none.
    pub fn stated(&self) -> Option<f64> {
        share(self.stated, self.judged)
    }

    /// Which share of them recovered; none where there are none.
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
    /// Takes in what became of an attempt that was asked for with this confidence.
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

    /// The bins in their order, each with the confidence at which it begins and ends; the last one holds 1, too.
    pub fn bins(&self) -> impl Iterator<Item = (f64, f64, &Bin)> {
        let edge = |n: usize| float(n as u64) / float(BINS as u64);
        self.bins.iter().enumerate().map(move |(n, bin)| (edge(n), edge(n + 1), bin))
    }

    /// All attempts that were judged.
    pub fn total(&self) -> Bin {
        self.at_least(0)
    }

    /// The attempts that a threshold at the beginning of the `n`th bin, counted from 0, would have let pass.
    pub fn at_least(&self, n: usize) -> Bin {
        let mut total = Bin::default();
        self.bins.iter().skip(n).for_each(|bin| total.add(bin));
        total
    }

    /// How far off it was: 0 is perfect, 1 always and surely wrong; none where nothing was judged.
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
