//! The interface of a provider: requests, completions and typed errors.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use hemostat_schema::{TraceParent, diagnosis::Trouble};
use serde_json::Value;

/// A model provider.
#[async_trait]
pub trait Provider: Send + Sync + fmt::Debug {
    /// The provider's name on the log: `openai`, `anthropic`.
    fn name(&self) -> &'static str;

    /// The provider's name of the model.
    fn model(&self) -> &str;

    /// Sends one request.
    ///
    /// # Errors
    /// Why there is no answer, and whether to retry.
    async fn ask(&self, request: &ChatRequest) -> Result<Completion, ProviderError>;
}

/// A request to a chat model.
#[derive(Debug, Clone)]
pub struct ChatRequest {
    /// The system prompt.
    pub system: String,
    /// The conversation so far, beginning with HemoStat's turn.
    pub turns: Vec<Turn>,
    /// The JSON Schema of the answer.
    pub schema: Value,
    /// The longest answer, in tokens.
    pub max_tokens: u32,
    /// The trace that the request belongs to.
    pub trace: Option<TraceParent>,
}

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// HemoStat's.
    User(String),
    /// The model's.
    Assistant(String),
}

/// A model's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// The text.
    pub text: String,
    /// Tokens of the prompt; zero if the provider does not report them.
    pub tokens_in: u64,
    /// Tokens of the answer; zero if the provider does not report them.
    pub tokens_out: u64,
    /// Whether the token limit cut it off.
    pub is_truncated: bool,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderError {
    /// The kind of failure.
    pub trouble: Trouble,
    /// What happened; holds no secret.
    pub error: String,
    /// Whether to retry.
    pub retry: Retry,
}

/// Whether to retry a failed request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The failure is permanent.
    Never,
    /// At once: the next request leaves out what the server rejected.
    Reshaped,
    /// After a backoff, and not before the given delay if the server names one.
    After(Option<Duration>),
}

impl ProviderError {
    pub(super) fn permanent(trouble: Trouble, error: impl Into<String>) -> Self {
        Self { trouble, error: error.into(), retry: Retry::Never }
    }

    pub(super) fn transient(trouble: Trouble, error: impl Into<String>) -> Self {
        Self { trouble, error: error.into(), retry: Retry::After(None) }
    }
}

/// Checks that the key `value` of the setting `name` can be sent as an HTTP header.
pub(super) fn check_key(name: &str, value: &str) -> anyhow::Result<()> {
    let is_valid = value.bytes().all(|b| b.is_ascii_graphic());
    anyhow::ensure!(
        is_valid,
        "{name} contains a blank, an end of line or another character that no key has; copy it again"
    );
    Ok(())
}
