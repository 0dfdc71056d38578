//! OpenAI, and every server with its API: Ollama, vLLM, llama.cpp, Groq, Hugging Face.
//!
//! Servers differ in the options that they accept. The first request has every option that improves the answer (a strict
//! JSON Schema, temperature 0); what a server rejects is left out of the next one: see [`Shape`]. Answers are parsed with
//! types of our own that require only the fields that HemoStat reads, because servers leave out the others.

use async_openai::{
    Client, config::OpenAIConfig, error::OpenAIError, middleware::HttpRequestFactory,
    traits::RequestOptionsBuilder as _,
};
use async_trait::async_trait;
use hemostat_diagnosis::opinion;
use hemostat_schema::diagnosis::Trouble;
use hemostat_settings::Secret;
use reqwest::{
    Response,
    header::{AUTHORIZATION, HeaderValue, InvalidHeaderValue},
};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tower::service_fn;

use super::{
    answer_schema::AnswerSchema,
    chat::{ChatRequest, Completion, Provider, ProviderError, Turn, check_key},
    error_body::ErrorBody,
    http_client::{HttpClient, HttpError},
    quirks::{RequestShape, ServerQuirks},
};

/// OpenAI's own base URL.
pub const OPENAI: &str = "https://api.openai.com/v1";

/// OpenAI, or a server with its API.
#[derive(Debug)]
pub struct OpenAi {
    name: &'static str,
    client: Client<OpenAIConfig>,
    model: String,
    quirks: ServerQuirks<Shape>,
}

/// The options of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    form: Form,
    limit: Limit,
    /// Whether the other name of the token limit has been tried.
    is_limit_swapped: bool,
    /// Temperature 0: the likeliest token is always chosen.
    is_deterministic: bool,
    /// Low reasoning effort.
    is_low_effort: bool,
}

/// How the request declares the answer's format, in addition to the prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A strict JSON Schema with a maximum length for every list and sentence.
    Bounded,
    /// A strict JSON Schema with only the keywords of OpenAI's strict mode.
    Schema,
    /// Any JSON object.
    Object,
    /// Only in the prompt.
    Text,
}

/// The field that holds the token limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    /// `max_completion_tokens`: OpenAI's; counts reasoning tokens as well.
    Completion,
    /// `max_tokens`: OpenAI's former name, which other servers use.
    Plain,
}

impl Shape {
    /// The preferred form for this model and server.
    fn of(model: &str, is_openai: bool) -> Self {
        let is_reasoning = is_openai && is_reasoning(model);
        Self {
            form: if is_openai { Form::Schema } else { Form::Bounded },
            limit: if is_openai { Limit::Completion } else { Limit::Plain },
            is_limit_swapped: false,
            is_deterministic: !is_reasoning,
            is_low_effort: is_reasoning,
        }
    }
}

impl RequestShape for Shape {
    const REJECTED: &'static [u16] = &[400, 415, 422, 501];

    fn fallback(self, error: &ErrorBody) -> Option<Self> {
        let is_of_limit = error.mentions("max_tokens") || error.mentions("max_completion_tokens");
        if is_of_limit && !self.is_limit_swapped {
            let limit = match self.limit {
                Limit::Completion => Limit::Plain,
                Limit::Plain => Limit::Completion,
            };
            return Some(Self { limit, is_limit_swapped: true, ..self });
        }
        if self.is_deterministic && error.mentions("temperature") {
            return Some(Self { is_deterministic: false, ..self });
        }
        if self.is_low_effort && error.mentions("reasoning_effort") {
            return Some(Self { is_low_effort: false, ..self });
        }
        let form = match self.form {
            Form::Bounded => Form::Schema,
            Form::Schema => Form::Object,
            Form::Object => Form::Text,
            Form::Text => return None,
        };
        Some(Self { form, ..self })
    }
}

impl Shape {
    /// The body of a request of this form.
    fn body(self, model: &str, request: &ChatRequest) -> Body {
        let mut messages = vec![json!({ "role": "system", "content": request.system })];
        messages.extend(request.turns.iter().map(|turn| match turn {
            Turn::User(text) => json!({ "role": "user", "content": text }),
            Turn::Assistant(text) => json!({ "role": "assistant", "content": text }),
        }));
        let limit = |is: Limit| (self.limit == is).then_some(request.max_tokens);
        let strict = |schema| Format {
            r#type: "json_schema",
            json_schema: Some(Named { name: opinion::NAME, strict: true, schema }),
        };
        Body {
            model: model.to_owned(),
            messages,
            stream: false,
            max_tokens: limit(Limit::Plain),
            max_completion_tokens: limit(Limit::Completion),
            response_format: match self.form {
                Form::Bounded => Some(strict(AnswerSchema::bounded(&request.schema))),
                Form::Schema => Some(strict(AnswerSchema::of(&request.schema))),
                Form::Object => Some(Format { r#type: "json_object", json_schema: None }),
                Form::Text => None,
            },
            temperature: self.is_deterministic.then_some(0),
            reasoning_effort: self.is_low_effort.then_some("low"),
        }
    }
}

/// The body of a request.
#[derive(Debug, Serialize)]
struct Body {
    model: String,
    messages: Vec<Value>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<Format>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Format {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    json_schema: Option<Named>,
}

#[derive(Debug, Serialize)]
struct Named {
    name: &'static str,
    strict: bool,
    schema: AnswerSchema,
}

/// Whether OpenAI's model of this name is a reasoning model, which accepts no temperature.
fn is_reasoning(model: &str) -> bool {
    let is_o = model.strip_prefix('o').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    is_o || (model.starts_with("gpt-5") && !model.contains("chat"))
}

impl OpenAi {
    /// This model at `base_url` (default: OpenAI), with a key if the server needs one.
    ///
    /// # Errors
    /// When the key cannot be sent as a header.
    pub fn new(http: &HttpClient, base_url: Option<&str>, key: Option<&Secret>, model: String) -> anyhow::Result<Self> {
        Self::build("openai", "analyzer.openai_api_key", http, base_url.unwrap_or(OPENAI), key, model)
    }

    /// This model at Hugging Face's API at `base_url`.
    ///
    /// # Errors
    /// When the key cannot be sent as a header.
    pub fn hugging_face(
        http: &HttpClient,
        base_url: &str,
        key: Option<&Secret>,
        model: String,
    ) -> anyhow::Result<Self> {
        Self::build("huggingface", "analyzer.huggingface_api_key", http, base_url, key, model)
    }

    fn build(
        name: &'static str,
        setting: &str,
        http: &HttpClient,
        base_url: &str,
        key: Option<&Secret>,
        model: String,
    ) -> anyhow::Result<Self> {
        let base_url = base_url.trim_end_matches('/');
        if let Some(key) = key {
            check_key(setting, key.current().expose_secret())?;
        }
        // Every field is set, because the library takes the others from the environment.
        let config = OpenAIConfig::new().with_api_base(base_url).with_api_key("").with_org_id("").with_project_id("");
        let (service_http, service_key) = (http.clone(), key.cloned());
        // Exactly one request: the library's own retries ignore the deadline.
        let service = service_fn(move |request: HttpRequestFactory| {
            let (http, key) = (service_http.clone(), service_key.clone());
            async move {
                let mut request = request.build().await?;
                request.headers_mut().remove(AUTHORIZATION);
                if let Some(key) = key {
                    let bearer = bearer(&key).map_err(|error| OpenAIError::Boxed(error.into()))?;
                    request.headers_mut().insert(AUTHORIZATION, bearer);
                }
                let body = http.send(request).await.map_err(|error| OpenAIError::Boxed(error.into()))?;
                Ok::<_, OpenAIError>(Response::from(http::Response::new(body)))
            }
        });
        let client = Client::build(http.client().clone(), config).with_http_service(service);
        let shape = Shape::of(&model, base_url == OPENAI);
        Ok(Self { name, client, model, quirks: ServerQuirks::new(shape) })
    }
}

/// The key as it is now: it may have been rotated since the last request.
fn bearer(key: &Secret) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", key.current().expose_secret()))?;
    value.set_sensitive(true);
    Ok(value)
}

#[async_trait]
impl Provider for OpenAi {
    fn name(&self) -> &'static str {
        self.name
    }

    fn model(&self) -> &str {
        &self.model
    }

    async fn ask(&self, request: &ChatRequest) -> Result<Completion, ProviderError> {
        let shape = self.quirks.current();
        let body = shape.body(&self.model, request);
        let mut chat = self.client.chat();
        if let Some(trace) = request.trace {
            chat = chat
                .header("traceparent", trace.to_string())
                .map_err(|_| ProviderError::permanent(Trouble::Other, "its trace id cannot be sent as a header"))?;
        }
        match chat.create_byot::<Body, Reply>(body).await {
            Ok(reply) => completion(reply),
            Err(OpenAIError::Boxed(error)) => match error.downcast::<HttpError>() {
                Ok(error) => Err(self.quirks.on_error(shape, *error)),
                Err(_) => Err(ProviderError::permanent(Trouble::Other, "the request could not be made")),
            },
            Err(OpenAIError::JSONDeserialize(..)) => {
                Err(ProviderError::permanent(Trouble::Invalid, "its answer does not have the format of OpenAI's API"))
            }
            // The error's text is not passed on: it may quote the server.
            Err(_) => Err(ProviderError::permanent(Trouble::Other, "the request could not be made")),
        }
    }
}

/// The fields of an answer that HemoStat reads.
#[derive(Debug, Deserialize)]
struct Reply {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<Tokens>,
    /// Some servers send errors with status 200.
    error: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    #[serde(default)]
    message: Message,
    finish_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Message {
    content: Option<Value>,
    refusal: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Tokens {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
}

fn completion(reply: Reply) -> Result<Completion, ProviderError> {
    let Some(choice) = reply.choices.into_iter().next() else {
        let error = if reply.error.is_some_and(|error| !error.is_null()) {
            "it sent an error with a success status"
        } else {
            "its answer does not have the format of OpenAI's API"
        };
        return Err(ProviderError::permanent(Trouble::Invalid, error));
    };
    let text = choice.message.content.as_ref().map(text_of).unwrap_or_default();
    if text.trim().is_empty() && choice.message.refusal.is_some_and(|refusal| !refusal.is_empty()) {
        return Err(ProviderError::permanent(Trouble::Refused, "the model refuses to answer"));
    }
    let tokens = reply.usage.unwrap_or_default();
    Ok(Completion {
        text,
        tokens_in: tokens.prompt_tokens.unwrap_or_default(),
        tokens_out: tokens.completion_tokens.unwrap_or_default(),
        is_truncated: choice.finish_reason.as_deref() == Some("length"),
    })
}

/// The text of a message, sent as one string or in parts.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part.get("text")?.as_str()).collect(),
        // Some servers parse the JSON answer and send the object instead of its text.
        Value::Object(_) => content.to_string(),
        Value::Null | Value::Bool(_) | Value::Number(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> ErrorBody {
        ErrorBody::parse(text.as_bytes())
    }

    #[test]
    fn reasoning_models_are_recognised_by_name() {
        for (model, reasons) in [
            ("o3-mini", true),
            ("o1", true),
            ("gpt-5-mini", true),
            ("gpt-5-chat-latest", false),
            ("gpt-4o-mini", false),
            ("omni", false),
        ] {
            assert_eq!(is_reasoning(model), reasons, "{model}");
        }
    }

    #[test]
    fn what_a_server_rejects_is_left_out_and_the_fallbacks_end() {
        let first = Shape::of("gpt-4o", true);
        assert_eq!((first.limit, first.form, first.is_deterministic), (Limit::Completion, Form::Schema, true));
        let swapped = first.fallback(&error("use max_tokens")).unwrap();
        assert_eq!(swapped, Shape { limit: Limit::Plain, is_limit_swapped: true, ..first });
        let default_temperature = first.fallback(&error("temperature does not support 0")).unwrap();
        assert_eq!(default_temperature, Shape { is_deterministic: false, ..first });
        let reasoning = Shape::of("o3", true);
        assert!(!reasoning.is_deterministic);
        let default_effort = reasoning.fallback(&error("unknown field reasoning_effort")).unwrap();
        assert_eq!(default_effort, Shape { is_low_effort: false, ..reasoning });
        for words in ["", "response_format", "max_tokens temperature reasoning_effort"] {
            for first in [reasoning, Shape::of("qwen3:4b", false)] {
                let steps = std::iter::successors(Some(first), |shape| shape.fallback(&error(words)));
                assert!(steps.count() <= 7, "{words}");
            }
        }
    }
}
