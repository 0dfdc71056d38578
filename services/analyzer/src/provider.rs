//! A model provider's API: one request, one answer, and typed errors.
//!
//! A provider sends one request and decides nothing; [`crate::model_client`](mod@crate::model_client) decides about retries, timeouts and cost.

mod answer_schema;
mod anthropic;
mod chat;
mod error_body;
mod http_client;
mod openai;
mod quirks;

pub use self::{
    anthropic::Anthropic,
    chat::{ChatRequest, Completion, Provider, ProviderError, Retry, Turn},
    http_client::HttpClient,
    openai::OpenAi,
};
