//! The calibration of rules and models as the API shows it.

use std::collections::BTreeMap;

use hemostat_core::views::calibration::{self, Record};
use serde::Serialize;
use utoipa::ToSchema;

/// The calibration of every rule and model that made diagnoses.
#[derive(Debug, Serialize, ToSchema)]
pub struct Calibration {
    /// Sorted by name.
    methods: Vec<Method>,
}

/// The calibration of one rule or model.
#[derive(Debug, Serialize, ToSchema)]
pub struct Method {
    /// `rule:<name>` or `model:<provider>/<name>`.
    #[schema(example = "rule:unhealthy")]
    by: String,
    /// Number of diagnoses, with or without a remedy.
    reached: u64,
    /// Number of verified attempts of its remedies, without dry runs.
    judged: u64,
    /// Number of them after which the container recovered.
    recovered: u64,
    /// Number of attempts without a verdict, because data was missing. They count nowhere else.
    inconclusive: u64,
    /// Mean stated confidence of the verified attempts; null if there are none.
    #[schema(minimum = 0, maximum = 1)]
    stated: Option<f64>,
    /// Share of the verified attempts that recovered.
    #[schema(minimum = 0, maximum = 1)]
    came_true: Option<f64>,
    /// Brier score: the mean of (confidence - outcome)², with outcome 1 or 0. 0 is perfect.
    #[schema(minimum = 0, maximum = 1)]
    brier: Option<f64>,
    /// The reliability table: attempts by stated confidence, in ten bins.
    bins: Vec<Bin>,
    /// What each confidence threshold would have let pass.
    thresholds: Vec<Threshold>,
    /// For a model: the comparison with the rules.
    opinions: Option<Opinions>,
}

/// Attempts with about the same stated confidence.
#[derive(Debug, Serialize, ToSchema)]
pub struct Bin {
    /// Minimum confidence, inclusive.
    from: f64,
    /// Maximum confidence, exclusive; the last bin includes 1.
    to: f64,
    /// Number of verified attempts.
    judged: u64,
    /// Number of them that recovered.
    recovered: u64,
    /// Mean stated confidence.
    stated: Option<f64>,
    /// Share that recovered. With perfect calibration it equals `stated`.
    came_true: Option<f64>,
}

/// What a confidence threshold would have let pass.
#[derive(Debug, Serialize, ToSchema)]
pub struct Threshold {
    /// The threshold.
    threshold: f64,
    /// Number of verified attempts at or above it.
    judged: u64,
    /// Share of them that recovered.
    came_true: Option<f64>,
}

/// How a model compares with the rules.
#[derive(Debug, Serialize, ToSchema)]
pub struct Opinions {
    /// Number of comparisons with the rules (`analyzer.mode = both`).
    answered: u64,
    /// Number of times it had the same verdict and remedy as the rules.
    agreed: u64,
    /// Number of times it gave no usable answer.
    failed: u64,
}

impl From<&BTreeMap<String, Record>> for Calibration {
    fn from(all: &BTreeMap<String, Record>) -> Self {
        Self { methods: all.iter().map(|(by, record)| Method::new(by, record)).collect() }
    }
}

impl Method {
    fn new(by: &str, record: &Record) -> Self {
        let total = record.total();
        let opinions = record.opinions;
        let bin = |(from, to, bin): (f64, f64, &calibration::Bin)| {
            let (judged, recovered) = (bin.judged, bin.recovered);
            Bin { from, to, judged, recovered, stated: bin.stated(), came_true: bin.came_true() }
        };
        let threshold = |(n, (threshold, ..)): (usize, (f64, f64, &calibration::Bin))| {
            let passed = record.at_least(n);
            Threshold { threshold, judged: passed.judged, came_true: passed.came_true() }
        };
        Self {
            by: by.to_owned(),
            reached: record.reached,
            judged: total.judged,
            recovered: total.recovered,
            inconclusive: record.inconclusive,
            stated: total.stated(),
            came_true: total.came_true(),
            brier: record.brier(),
            bins: record.bins().map(bin).collect(),
            thresholds: record.bins().enumerate().map(threshold).collect(),
            opinions: by.starts_with("model:").then_some(Opinions {
                answered: opinions.answered,
                agreed: opinions.agreed,
                failed: opinions.failed,
            }),
        }
    }
}
