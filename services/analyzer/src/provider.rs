//! Somebody who runs a model: one request, one answer, and every way in which that can fail told apart.
//!
//! A provider asks once and decides nothing: how often, for how long and at what cost is [`mod@crate::counsel`]'s.

mod anthropic;
mod complaint;
mod habit;
mod openai;
mod schema;
mod wire;

use std::{fmt, time::Duration};

use async_trait::async_trait;
use hemostat_schema::{TraceParent, diagnosis::Trouble};
use serde_json::Value;

pub use self::{anthropic::Anthropic, openai::OpenAi, wire::Wire};

/// Somebody who runs a model.
#[async_trait]
pub trait Provider: Send + Sync + fmt::Debug {
    /// The provider's name, on the log: `openai`, `anthropic`.
    fn name(&self) -> &'static str;

    /// The model's name with it.
    fn model(&self) -> &str;

    /// The answer to `question`: one request.
    ///
    /// # Errors
    /// Why there is none, and whether it is worth asking again.
    async fn ask(&self, question: &Question) -> Result<Said, Miss>;
}

/// What a model is asked.
#[derive(Debug, Clone)]
pub struct Question {
    /// Who it is and what it is to do.
    pub system: String,
    /// What was said so far, by us first.
    pub turns: Vec<Turn>,
    /// What the answer looks like: a JSON Schema.
    pub schema: Value,
    /// How long the answer may be, in tokens.
    pub max_tokens: u32,
    /// The trace that the request belongs to.
    pub trace: Option<TraceParent>,
}

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// What we said.
    Ours(String),
    /// What the model said.
    Models(String),
}

/// What a model said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Its words.
    pub text: String,
    /// Tokens of the question; zero where the provider does not say.
    pub tokens_in: u64,
    /// Tokens of the answer; zero where the provider does not say.
    pub tokens_out: u64,
    /// Whether it was cut off in the middle.
    pub is_cut: bool,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Miss {
    /// In which way it failed.
    pub trouble: Trouble,
    /// What happened, without anything secret in it.
    pub error: String,
    /// Whether it is worth asking again.
    pub again: Again,
}

/// Whether it is worth asking again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// It would not be answered the next time either.
    Never,
    /// At once: the next request will look otherwise.
    Otherwise,
    /// After a while; not before that, where the server says so.
    Later(Option<Duration>),
}

impl Miss {
    fn never(trouble: Trouble, error: impl Into<String>) -> Self {
        Self { trouble, error: error.into(), again: Again::Never }
    }

    fn later(trouble: Trouble, error: impl Into<String>) -> Self {
        Self { trouble, error: error.into(), again: Again::Later(None) }
    }
}

/// Whether the key `value`, set as `name`, can be sent.
fn header(name: &str, value: &str) -> anyhow::Result<()> {
    let is_right = value.bytes().all(|b| b.is_ascii_graphic());
    anyhow::ensure!(
        is_right,
        "{name} holds characters that no key has, such as a blank or an end of line; copy it again"
    );
    Ok(())
}
