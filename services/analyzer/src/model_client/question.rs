//! A question to a model, and what came of it.

use hemostat_schema::{
    EventId, TraceParent,
    diagnosis::{OpinionSought, Reached, Trouble, Usage},
};

/// A question to a model.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The event that asks; any unique id if there is none.
    pub id: EventId,
    /// What is asked.
    pub sought: &'a OpinionSought,
    /// The trace that it belongs to.
    pub trace: Option<TraceParent>,
}

/// What came of a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Opinion {
    /// The model's diagnosis, or why there is none.
    pub outcome: Result<Reached, CallError>,
    /// What it cost.
    pub usage: Usage,
}

/// Why a model gave no diagnosis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallError {
    /// The kind of failure.
    pub trouble: Trouble,
    /// What happened, for people; holds no secret.
    pub error: String,
}

impl CallError {
    /// A failure of this kind.
    pub fn new(trouble: Trouble, error: impl Into<String>) -> Self {
        Self { trouble, error: error.into() }
    }
}

impl Opinion {
    /// No request was made.
    pub fn failed(trouble: Trouble, error: impl Into<String>) -> Self {
        Self { outcome: Err(CallError::new(trouble, error)), usage: Usage::default() }
    }
}
