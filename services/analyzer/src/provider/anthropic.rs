//! Claude, by Anthropic's Messages API: the answer is the input of a tool that the model must use.
//!
//! A server that imitates the API may not support tools or a forced tool choice. HemoStat then leaves these out and reads
//! the answer from the text.

use async_trait::async_trait;
use hemostat_diagnosis::opinion;
use hemostat_schema::diagnosis::Trouble;
use hemostat_settings::Secret;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    answer_schema::AnswerSchema,
    chat::{ChatRequest, Completion, Provider, ProviderError, Turn, check_key},
    error_body::ErrorBody,
    http_client::HttpClient,
    quirks::{RequestShape, ServerQuirks},
};

/// Anthropic's own base URL.
pub const ANTHROPIC: &str = "https://api.anthropic.com";

/// The API version that HemoStat requests.
const VERSION: &str = "2023-06-01";

/// Claude, or a model at a server with Anthropic's API.
#[derive(Debug)]
pub struct Anthropic {
    http: HttpClient,
    url: String,
    key: Option<Secret>,
    model: String,
    quirks: ServerQuirks<Shape>,
}

/// How the request declares the answer's schema, in addition to the prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// As the input of a forced tool.
    MustUse,
    /// As the input of an optional tool.
    MayUse,
    /// Only in the prompt.
    Text,
}

impl RequestShape for Shape {
    const REJECTED: &'static [u16] = &[400, 422, 501];

    fn fallback(self, error: &ErrorBody) -> Option<Self> {
        match self {
            Self::MustUse if error.mentions("tool_choice") => Some(Self::MayUse),
            Self::MustUse | Self::MayUse => Some(Self::Text),
            Self::Text => None,
        }
    }
}

impl Shape {
    /// The body of a request of this form.
    fn body<'a>(self, model: &'a str, request: &'a ChatRequest) -> Body<'a> {
        let messages = request.turns.iter().map(|turn| match turn {
            Turn::User(text) => json!({ "role": "user", "content": text }),
            Turn::Assistant(text) => json!({ "role": "assistant", "content": text }),
        });
        let tool = || Tool {
            name: opinion::NAME,
            description: "Takes the answer. The JSON object that is asked for is its input.",
            input_schema: AnswerSchema::bounded(&request.schema),
        };
        Body {
            model,
            max_tokens: request.max_tokens,
            system: &request.system,
            messages: messages.collect(),
            tools: (self != Self::Text).then(|| [tool()]),
            tool_choice: (self == Self::MustUse).then(|| json!({ "type": "tool", "name": opinion::NAME })),
        }
    }
}

/// The body of a request.
#[derive(Debug, Serialize)]
struct Body<'a> {
    model: &'a str,
    max_tokens: u32,
    system: &'a str,
    messages: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tools: Option<[Tool; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Value>,
}

#[derive(Debug, Serialize)]
struct Tool {
    name: &'static str,
    description: &'static str,
    input_schema: AnswerSchema,
}

impl Anthropic {
    /// This model at `base_url` (default: Anthropic), with a key if the server needs one.
    ///
    /// # Errors
    /// When the key cannot be sent as a header.
    pub fn new(http: &HttpClient, base_url: Option<&str>, key: Option<&Secret>, model: String) -> anyhow::Result<Self> {
        let base_url = base_url.map_or(ANTHROPIC, |url| url.trim_end_matches('/'));
        // Anthropic's own clients take a base URL without the version; accept one with it as well.
        let base_url = base_url.strip_suffix("/v1").unwrap_or(base_url);
        if let Some(key) = key {
            check_key("analyzer.anthropic_api_key", key.current().expose_secret())?;
        }
        let url = format!("{base_url}/v1/messages");
        Ok(Self { http: http.clone(), url, key: key.cloned(), model, quirks: ServerQuirks::new(Shape::MustUse) })
    }
}

#[async_trait]
impl Provider for Anthropic {
    fn name(&self) -> &'static str {
        "anthropic"
    }

    fn model(&self) -> &str {
        &self.model
    }

    async fn ask(&self, request: &ChatRequest) -> Result<Completion, ProviderError> {
        let shape = self.quirks.current();
        // It may have been rotated since the last request.
        let key = self.key.as_ref().map(Secret::current);
        let mut http_request = self
            .http
            .client()
            .post(&self.url)
            .header("x-api-key", key.as_ref().map_or("", |key| key.expose_secret()))
            .header("anthropic-version", VERSION)
            .json(&shape.body(&self.model, request));
        if let Some(trace) = request.trace {
            http_request = http_request.header("traceparent", trace.to_string());
        }
        let http_request = http_request
            .build()
            .map_err(|_| ProviderError::permanent(Trouble::Other, "the request could not be made"))?;
        let body = self.http.send(http_request).await.map_err(|error| self.quirks.on_error(shape, error))?;
        match serde_json::from_slice::<Reply>(&body) {
            Ok(reply) => completion(reply),
            Err(_) => Err(ProviderError::permanent(
                Trouble::Invalid,
                "its answer does not have the format of Anthropic's API",
            )),
        }
    }
}

/// The fields of an answer that HemoStat reads.
#[derive(Debug, Deserialize)]
struct Reply {
    content: Vec<Block>,
    stop_reason: Option<String>,
    #[serde(default)]
    usage: Tokens,
}

#[derive(Debug, Deserialize)]
struct Block {
    input: Option<Value>,
    text: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Tokens {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
}

fn completion(reply: Reply) -> Result<Completion, ProviderError> {
    if reply.stop_reason.as_deref() == Some("refusal") {
        return Err(ProviderError::permanent(Trouble::Refused, "the model refuses to answer"));
    }
    let tool = reply.content.iter().find_map(|block| block.input.as_ref()).map(Value::to_string);
    let text = || reply.content.iter().filter_map(|block| block.text.as_deref()).collect();
    let tokens = &reply.usage;
    let parts = [tokens.input_tokens, tokens.cache_creation_input_tokens, tokens.cache_read_input_tokens];
    Ok(Completion {
        text: tool.unwrap_or_else(text),
        tokens_in: parts.into_iter().flatten().sum(),
        tokens_out: tokens.output_tokens.unwrap_or_default(),
        is_truncated: reply.stop_reason.as_deref() == Some("max_tokens"),
    })
}
