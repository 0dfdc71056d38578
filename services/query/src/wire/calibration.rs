//! What the confidence of rules and models was worth, as the API shows it.

use std::collections::BTreeMap;

use hemostat_core::view::calibration::{self, Record};
use serde::Serialize;
use utoipa::ToSchema;

/// Every rule and model that has diagnosed.
#[derive(Debug, Serialize, ToSchema)]
pub struct Calibration {
    /// By name.
    methods: Vec<Method>,
}

/// What the confidence of one rule or model was worth.
#[derive(Debug, Serialize, ToSchema)]
pub struct Method {
    /// `rule:<name>` or `model:<provider>/<name>`.
    #[schema(example = "rule:unhealthy")]
    by: String,
    /// Diagnoses, with or without a remedy.
    reached: u64,
    /// Attempts at its remedies that were judged. Dry runs are left out.
    judged: u64,
    /// How many of them recovered.
    recovered: u64,
    /// Attempts that ended without a verdict for want of data; they count nowhere else.
    inconclusive: u64,
    /// How sure it was on the average of the judged attempts; none where there are none.
    #[schema(minimum = 0, maximum = 1)]
    stated: Option<f64>,
    /// Which share of the judged attempts recovered.
    #[schema(minimum = 0, maximum = 1)]
    came_true: Option<f64>,
    /// The mean of (confidence - outcome)², the outcome being 1 or 0: 0 is perfect.
    #[schema(minimum = 0, maximum = 1)]
    brier: Option<f64>,
    /// The reliability table: attempts by stated confidence, in ten bins.
    bins: Vec<Bin>,
    /// What each threshold would have let pass.
    thresholds: Vec<Threshold>,
    /// Of a model: how it did beside the rules.
    opinions: Option<Opinions>,
}

/// Attempts whose stated confidence was about the same.
#[derive(Debug, Serialize, ToSchema)]
pub struct Bin {
    /// At least so sure.
    from: f64,
    /// Less sure than this; the last bin holds 1, too.
    to: f64,
    /// Attempts that were judged.
    judged: u64,
    /// How many of them recovered.
    recovered: u64,
    /// How sure it was, on the average.
    stated: Option<f64>,
    /// Which share recovered. Calibrated is who has here what stands under `stated`.
    came_true: Option<f64>,
}

/// What a threshold would have let pass.
#[derive(Debug, Serialize, ToSchema)]
pub struct Threshold {
    /// Attempts at least so sure.
    threshold: f64,
    /// How many were judged.
    judged: u64,
    /// Which share of them recovered.
    came_true: Option<f64>,
}

/// How a model did beside the rules.
#[derive(Debug, Serialize, ToSchema)]
pub struct Opinions {
    /// It was compared with the rules (`analyzer.mode = both`).
    answered: u64,
    /// It came to the same verdict and remedy as they.
    agreed: u64,
    /// It gave no answer that is of use.
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
        Self {
            by: by.to_owned(),
            reached: record.reached,
            judged: total.judged,
            recovered: total.recovered,
            inconclusive: record.inconclusive,
            stated: total.stated(),
            came_true: total.came_true(),
            brier: record.brier(),
            bins: record.bins().map(|(from, to, bin)| Bin::new(from, to, bin)).collect(),
            thresholds: record
                .bins()
                .enumerate()
                .map(|(n, (from, ..))| Threshold::new(from, &record.at_least(n)))
                .collect(),
            opinions: by.starts_with("model:").then_some(Opinions {
                answered: opinions.answered,
                agreed: opinions.agreed,
                failed: opinions.failed,
            }),
        }
    }
}

impl Bin {
    fn new(from: f64, to: f64, bin: &calibration::Bin) -> Self {
        let (stated, came_true) = (bin.stated(), bin.came_true());
        Self { from, to, judged: bin.judged, recovered: bin.recovered, stated, came_true }
    }
}

impl Threshold {
    fn new(threshold: f64, passed: &calibration::Bin) -> Self {
        Self { threshold, judged: passed.judged, came_true: passed.came_true() }
    }
}
