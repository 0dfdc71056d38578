//! A signal that has been too high for the required time: the input from which a symptom is raised.

use hemostat_schema::{
    Timestamp,
    observation::{Evidence, Severity},
};

use super::debounce::Sustained;

/// A signal that has been too high for the required time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Exceeded {
    /// When that was known.
    pub(super) at: Timestamp,
    /// Since when the signal has been too high.
    pub(super) since: Timestamp,
    /// The severity of the symptom.
    pub(super) severity: Severity,
    /// The evidence of the symptom.
    pub(super) evidence: Evidence,
}

impl Exceeded {
    /// From a debounced signal.
    pub(super) fn sustained(sustained: Sustained, evidence: Evidence) -> Self {
        Self { at: sustained.at, since: sustained.since, severity: sustained.severity, evidence }
    }
}
