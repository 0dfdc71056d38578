//! The signal of symptom `pids_high`: the share of its process limit that the container uses.

use hemostat_schema::{Percent, Span, Timestamp, container::Vitals, observation::Evidence};

use super::{
    debounce::{Comparison, Debounce},
    exceeded::Exceeded,
};

/// The last count of processes and threads with its limit, and how long their share has been too high.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Pids {
    last: Option<(u64, u64)>,
    debounce: Debounce,
}

impl Pids {
    pub(super) fn add(&mut self, at: Timestamp, vitals: &Vitals, threshold: Percent, sustained: Span) {
        self.last = vitals.pids_limit.map(|limit| (vitals.pids, limit));
        let sample = pids_share(vitals).map_or(Comparison::BELOW, |share| Comparison::of(share, threshold));
        self.debounce.add(at, sample, sustained);
    }

    pub(super) fn exceeded(&self, sustained: Span) -> Option<Exceeded> {
        let (value, limit) = self.last?;
        let held = self.debounce.exceeded(sustained)?;
        Some(Exceeded::sustained(held, Evidence::Count { value, limit, held: held.span() }))
    }

    pub(super) fn cleared(&self, clear_after: Span) -> Option<Timestamp> {
        self.debounce.cleared(clear_after)
    }
}

/// The share of its process limit that a container uses; none without a limit.
#[expect(clippy::cast_precision_loss, reason = "a share")]
pub(crate) fn pids_share(vitals: &Vitals) -> Option<Percent> {
    let limit = vitals.pids_limit.filter(|limit| *limit > 0)?;
    Some(Percent::clamped(vitals.pids as f64 / limit as f64 * 100.0))
}
