//! The signal of symptom `oom_child`: the kernel killed processes for lack of memory, and the container went on.

use std::collections::VecDeque;

use hemostat_schema::{
    Span, Timestamp,
    observation::{Evidence, Severity},
};

use super::exceeded::Exceeded;

/// Docker reports the kill before it reports that the run ended of it. A run that goes on for this long has survived.
const SURVIVED: Span = Span::from_secs(2);
/// Maximum kills remembered.
const MAX_KILLS: usize = 100;

/// The kills of one run within the last `within`.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Kills(VecDeque<Timestamp>);

impl Kills {
    pub(super) fn add(&mut self, at: Timestamp, within: Span) {
        self.0.retain(|kill| Span::between(*kill, at) <= within);
        if self.0.len() == MAX_KILLS {
            self.0.pop_front();
        }
        self.0.push_back(at);
    }

    pub(super) fn last(&self) -> Option<Timestamp> {
        self.0.back().copied()
    }

    /// The evidence, due once the run has survived its first kill.
    pub(super) fn exceeded(&self, within: Span) -> Option<Exceeded> {
        let since = *self.0.front()?;
        let count = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        let evidence = Evidence::Killed { count, within };
        Some(Exceeded { at: SURVIVED.after(since), since, severity: Severity::High, evidence })
    }
}
