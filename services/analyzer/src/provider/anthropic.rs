//! Claude, by Anthropic's Messages API: the answer is the input of a tool that the model must use.
//!
//! A server that only imitates the API may not know tools, or not that one must be used; that is then left out, and the
//! answer read from its words.

use async_trait::async_trait;
use hemostat_diagnosis::opinion;
use hemostat_schema::diagnosis::Trouble;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Miss, Provider, Question, Said, Turn, Wire,
    complaint::Complaint,
    habit::{self, Habit},
    schema::Schema,
};

/// Where Anthropic itself is.
pub const ANTHROPIC: &str = "https://api.anthropic.com";

/// The version of the API that is spoken.
const VERSION: &str = "2023-06-01";

/// Claude, or a model at a server that speaks Anthropic's API.
#[derive(Debug)]
pub struct Anthropic {
    wire: Wire,
    url: String,
    key: SecretString,
    model: String,
    habit: Habit<Shape>,
}

/// How it is said what the answer looks like, beside the words of the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// As the input of a tool that must be used.
    MustUse,
    /// As the input of a tool that may be used.
    MayUse,
    /// Not at all.
    Text,
}

impl habit::Shape for Shape {
    const REFUSED: &'static [u16] = &[400, 422, 501];

    fn without(self, complaint: &Complaint) -> Option<Self> {
        match self {
            Self::MustUse if complaint.is_of("tool_choice") => Some(Self::MayUse),
            Self::MustUse | Self::MayUse => Some(Self::Text),
            Self::Text => None,
        }
    }
}

impl Shape {
    /// The body of a request.
    fn request<'a>(self, model: &'a str, question: &'a Question) -> Body<'a> {
        let messages = question.turns.iter().map(|turn| match turn {
            Turn::Ours(text) => json!({ "role": "user", "content": text }),
            Turn::Models(text) => json!({ "role": "assistant", "content": text }),
        });
        let tool = || Tool {
            name: opinion::NAME,
            description: "Takes the answer. The JSON object that is asked for is its input.",
            input_schema: Schema::bounded(&question.schema),
        };
        Body {
            model,
            max_tokens: question.max_tokens,
            system: &question.system,
            messages: messages.collect(),
            tools: (self != Self::Text).then(|| [tool()]),
            tool_choice: (self == Self::MustUse).then(|| json!({ "type": "tool", "name": opinion::NAME })),
        }
    }
}

/// A request.
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
    input_schema: Schema,
}

impl Anthropic {
    /// This model at `base_url` (Anthropic itself where it is none), with a key where it needs one.
    ///
    /// # Errors
    /// When the key cannot be put into a header.
    pub fn new(wire: &Wire, base_url: Option<&str>, key: Option<&SecretString>, model: String) -> anyhow::Result<Self> {
        let base_url = base_url.map_or(ANTHROPIC, |url| url.trim_end_matches('/'));
        // As with Anthropic's own clients the base is without the version, and who writes it means the same.
        let base_url = base_url.strip_suffix("/v1").unwrap_or(base_url);
        let key = key.cloned().unwrap_or_else(|| SecretString::from(String::new()));
        super::header("analyzer.anthropic_api_key", key.expose_secret())?;
        let url = format!("{base_url}/v1/messages");
        Ok(Self { wire: wire.clone(), url, key, model, habit: Habit::of(Shape::MustUse) })
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

    async fn ask(&self, question: &Question) -> Result<Said, Miss> {
        let shape = self.habit.present();
        let mut request = self
            .wire
            .http()
            .post(&self.url)
            .header("x-api-key", self.key.expose_secret())
            .header("anthropic-version", VERSION)
            .json(&shape.request(&self.model, question));
        if let Some(trace) = question.trace {
            request = request.header("traceparent", trace.to_string());
        }
        let request = request.build().map_err(|_| Miss::never(Trouble::Other, "the request could not be made"))?;
        let body = self.wire.send(request).await.map_err(|failure| self.habit.refused(shape, failure))?;
        match serde_json::from_slice::<Reply>(&body) {
            Ok(reply) => said(reply),
            Err(_) => Err(Miss::never(Trouble::Invalid, "it did not answer as Anthropic's API does")),
        }
    }
}

/// What is wanted of an answer.
#[derive(Debug, Deserialize)]
struct Reply {
    content: Vec<Block>,
    #[serde(default)]
    stop_reason: Option<String>,
    #[serde(default)]
    usage: Tokens,
}

#[derive(Debug, Deserialize)]
struct Block {
    #[serde(default)]
    input: Option<Value>,
    #[serde(default)]
    text: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Tokens {
    #[serde(default)]
    input_tokens: Option<u64>,
    #[serde(default)]
    output_tokens: Option<u64>,
    #[serde(default)]
    cache_creation_input_tokens: Option<u64>,
    #[serde(default)]
    cache_read_input_tokens: Option<u64>,
}

fn said(reply: Reply) -> Result<Said, Miss> {
    if reply.stop_reason.as_deref() == Some("refusal") {
        return Err(Miss::never(Trouble::Refused, "the model refuses to answer"));
    }
    let tool = reply.content.iter().find_map(|block| block.input.as_ref()).map(Value::to_string);
    let words = || reply.content.iter().filter_map(|block| block.text.as_deref()).collect();
    let tokens = &reply.usage;
    let parts = [tokens.input_tokens, tokens.cache_creation_input_tokens, tokens.cache_read_input_tokens];
    Ok(Said {
        text: tool.unwrap_or_else(words),
        tokens_in: parts.into_iter().flatten().sum(),
        tokens_out: tokens.output_tokens.unwrap_or_default(),
        is_cut: reply.stop_reason.as_deref() == Some("max_tokens"),
    })
}
