//! Processes that the kernel killed for want of memory, while their container went on.

use std::collections::VecDeque;

use hemostat_schema::{
    Span, Timestamp,
    observation::{Evidence, Severity},
};

use super::signals::High;

/// Docker tells that memory ran out before it tells that the run ended of it; a run that goes on for so long has
/// survived.
const SURVIVED: Span = Span::from_secs(2);
/// So many are remembered, at most.
const REMEMBERED: usize = 100;

/// The kills of one run.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Kills(VecDeque<Timestamp>);

impl Kills {
    pub(super) fn take(&mut self, at: Timestamp, within: Span) {
        self.0.retain(|kill| Span::between(*kill, at) <= within);
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(at);
    }

    pub(super) fn last(&self) -> Option<Timestamp> {
        self.0.back().copied()
    }

    /// What says that the run has survived its first kill.
    pub(super) fn high(&self, within: Span) -> Option<High> {
        let since = *self.0.front()?;
        let count = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        let evidence = Evidence::Killed { count, within };
        Some(High { at: SURVIVED.after(since), since, severity: Severity::High, evidence })
    }
}
