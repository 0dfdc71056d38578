//! The result of a rule.

use hemostat_schema::{Span, action::Remedy, diagnosis::Verdict};

use crate::log_patterns::LogMatch;

/// The result of a rule that applies.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Finding {
    pub(crate) verdict: Verdict,
    pub(crate) remedy: Option<Remedy>,
    pub(crate) confidence: f64,
    pub(crate) root_cause: String,
    pub(crate) why: String,
    /// The exhibits that support it, in addition to the symptoms.
    pub(crate) cites: Vec<String>,
    /// When to evaluate the case again, although nothing may have happened until then.
    pub(crate) recheck_after: Option<Span>,
}

impl Finding {
    fn new(verdict: Verdict, remedy: Option<Remedy>, confidence: f64, root_cause: String, why: String) -> Self {
        Self { verdict, remedy, confidence, root_cause, why, cites: vec![], recheck_after: None }
    }

    /// Cites these exhibits.
    pub(super) fn citing<const N: usize>(mut self, ids: [&str; N]) -> Self {
        self.cites.extend(ids.map(str::to_owned));
        self
    }

    /// Cites the log line or health check output that matched.
    pub(super) fn citing_match(mut self, found: Option<LogMatch<'_>>) -> Self {
        self.cites.extend(found.map(|found| found.exhibit()));
        self
    }

    /// Asks for another evaluation after this time.
    pub(super) fn recheck_after(self, after: Span) -> Self {
        Self { recheck_after: Some(after), ..self }
    }
}

pub(super) fn sick(
    remedy: impl Into<Option<Remedy>>,
    confidence: f64,
    root_cause: impl Into<String>,
    why: impl Into<String>,
) -> Finding {
    Finding::new(Verdict::Sick, remedy.into(), confidence, root_cause.into(), why.into())
}

pub(super) fn unclear(confidence: f64, root_cause: impl Into<String>, why: impl Into<String>) -> Finding {
    Finding::new(Verdict::Unclear, None, confidence, root_cause.into(), why.into())
}
