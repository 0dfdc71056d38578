//! OpenAI, and every server that speaks its API: Ollama, vLLM, llama.cpp, Groq, Hugging Face.
//!
//! They differ in what they take. So a request begins with everything that makes a good answer likely (a strict JSON
//! Schema, no chance in the choice of words), and where a server refuses something of it, that is left out: see [`Shape`].
//! Answers are read with types of our own that want no more than is needed.

use async_openai::{
    Client, config::OpenAIConfig, error::OpenAIError, middleware::HttpRequestFactory,
    traits::RequestOptionsBuilder as _,
};
use async_trait::async_trait;
use hemostat_diagnosis::opinion;
use hemostat_schema::diagnosis::Trouble;
use reqwest::{Response, header::AUTHORIZATION};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tower::service_fn;

use super::{
    Miss, Provider, Question, Said, Turn, Wire,
    complaint::Complaint,
    habit::{self, Habit},
    schema::Schema,
    wire::Failure,
};

/// Where OpenAI itself is.
pub const OPENAI: &str = "https://api.openai.com/v1";

/// OpenAI, or a server that speaks its API.
#[derive(Debug)]
pub struct OpenAi {
    client: Client<OpenAIConfig>,
    model: String,
    habit: Habit<Shape>,
}

/// What of all that makes a good answer likely is in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    form: Form,
    limit: Limit,
    /// Whether the other name of the limit has been tried as well.
    is_limit_swapped: bool,
    /// Whether the likeliest word is always to be chosen.
    is_sober: bool,
    /// Whether it is told to think no longer than it must.
    is_brief: bool,
}

/// How it is said what the answer looks like, beside the words of the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// By a JSON Schema that it must follow, with an end to every list and sentence.
    Bounded,
    /// By a JSON Schema that it must follow, of what OpenAI's strict mode knows.
    Schema,
    /// As some JSON object.
    Object,
    /// Not at all.
    Text,
}

/// What the limit of an answer's length is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    /// By OpenAI, where a reasoning model's thoughts count, too.
    Completion,
    /// By everybody else, and formerly.
    Plain,
}

impl Shape {
    /// The best for this model at this place.
    fn of(model: &str, is_openai: bool) -> Self {
        let is_reasoning = is_openai && is_reasoning(model);
        Self {
            form: if is_openai { Form::Schema } else { Form::Bounded },
            limit: if is_openai { Limit::Completion } else { Limit::Plain },
            is_limit_swapped: false,
            is_sober: !is_reasoning,
            is_brief: is_reasoning,
        }
    }
}

impl habit::Shape for Shape {
    const REFUSED: &'static [u16] = &[400, 415, 422, 501];

    fn without(self, complaint: &Complaint) -> Option<Self> {
        let is_of_limit = complaint.is_of("max_tokens") || complaint.is_of("max_completion_tokens");
        if is_of_limit && !self.is_limit_swapped {
            let limit = match self.limit {
                Limit::Completion => Limit::Plain,
                Limit::Plain => Limit::Completion,
            };
            return Some(Self { limit, is_limit_swapped: true, ..self });
        }
        if self.is_sober && complaint.is_of("temperature") {
            return Some(Self { is_sober: false, ..self });
        }
        if self.is_brief && complaint.is_of("reasoning_effort") {
            return Some(Self { is_brief: false, ..self });
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
    /// The body of a request.
    fn request(self, model: &str, question: &Question) -> Body {
        let mut messages = vec![json!({ "role": "system", "content": question.system })];
        messages.extend(question.turns.iter().map(|turn| match turn {
            Turn::Ours(text) => json!({ "role": "user", "content": text }),
            Turn::Models(text) => json!({ "role": "assistant", "content": text }),
        }));
        let limit = |is: Limit| (self.limit == is).then_some(question.max_tokens);
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
                Form::Bounded => Some(strict(Schema::bounded(&question.schema))),
                Form::Schema => Some(strict(Schema::of(&question.schema))),
                Form::Object => Some(Format { r#type: "json_object", json_schema: None }),
                Form::Text => None,
            },
            temperature: self.is_sober.then_some(0),
            reasoning_effort: self.is_brief.then_some("low"),
        }
    }
}

/// A request.
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
    schema: Schema,
}

/// Whether OpenAI's model of this name thinks before it speaks, and then takes no temperature.
fn is_reasoning(model: &str) -> bool {
    let is_o = model.strip_prefix('o').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    is_o || (model.starts_with("gpt-5") && !model.contains("chat"))
}

impl OpenAi {
    /// This model at `base_url` (OpenAI itself where it is none), with a key where it needs one.
    ///
    /// # Errors
    /// When the key cannot be put into a header.
    pub fn new(wire: &Wire, base_url: Option<&str>, key: Option<&SecretString>, model: String) -> anyhow::Result<Self> {
        let base_url = base_url.map_or(OPENAI, |url| url.trim_end_matches('/'));
        let key = key.map_or("", |key| key.expose_secret());
        super::header("analyzer.openai_api_key", key)?;
        // Set one by one, as what is not set the library takes from the environment.
        let config = OpenAIConfig::new().with_api_base(base_url).with_api_key(key).with_org_id("").with_project_id("");
        let (line, has_key) = (wire.clone(), !key.is_empty());
        // Exactly one request: the library's own retries know no limit of time.
        let service = service_fn(move |request: HttpRequestFactory| {
            let line = line.clone();
            async move {
                let mut request = request.build().await?;
                if !has_key {
                    request.headers_mut().remove(AUTHORIZATION);
                }
                let body = line.send(request).await.map_err(|failure| OpenAIError::Boxed(failure.into()))?;
                Ok::<_, OpenAIError>(Response::from(http::Response::new(body)))
            }
        });
        let client = Client::build(wire.http().clone(), config).with_http_service(service);
        let shape = Shape::of(&model, base_url == OPENAI);
        Ok(Self { client, model, habit: Habit::of(shape) })
    }
}

#[async_trait]
impl Provider for OpenAi {
    fn name(&self) -> &'static str {
        "openai"
    }

    fn model(&self) -> &str {
        &self.model
    }

    async fn ask(&self, question: &Question) -> Result<Said, Miss> {
        let shape = self.habit.present();
        let request = shape.request(&self.model, question);
        let mut chat = self.client.chat();
        if let Some(trace) = question.trace {
            chat = chat
                .header("traceparent", trace.to_string())
                .map_err(|_| Miss::never(Trouble::Other, "its trace cannot be put into a header"))?;
        }
        match chat.create_byot::<Body, Reply>(request).await {
            Ok(reply) => said(reply),
            Err(OpenAIError::Boxed(error)) => match error.downcast::<Failure>() {
                Ok(failure) => Err(self.habit.refused(shape, *failure)),
                Err(_) => Err(Miss::never(Trouble::Other, "the request could not be made")),
            },
            Err(OpenAIError::JSONDeserialize(..)) => {
                Err(Miss::never(Trouble::Invalid, "it did not answer as OpenAI's API does"))
            }
            // Its words may be the server's.
            Err(_) => Err(Miss::never(Trouble::Other, "the request could not be made")),
        }
    }
}

/// What is wanted of an answer.
#[derive(Debug, Deserialize)]
struct Reply {
    #[serde(default)]
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Tokens>,
    /// Some servers tell their errors with status 200.
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    #[serde(default)]
    message: Message,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Message {
    #[serde(default)]
    content: Option<Value>,
    #[serde(default)]
    refusal: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Tokens {
    #[serde(default)]
    prompt_tokens: Option<u64>,
    #[serde(default)]
    completion_tokens: Option<u64>,
}

fn said(reply: Reply) -> Result<Said, Miss> {
    let Some(choice) = reply.choices.into_iter().next() else {
        let error = if reply.error.is_some_and(|error| !error.is_null()) {
            "it answered with an error, and as if it were none"
        } else {
            "it did not answer as OpenAI's API does"
        };
        return Err(Miss::never(Trouble::Invalid, error));
    };
    let text = choice.message.content.as_ref().map(text_of).unwrap_or_default();
    if text.trim().is_empty() && choice.message.refusal.is_some_and(|words| !words.is_empty()) {
        return Err(Miss::never(Trouble::Refused, "the model refuses to answer"));
    }
    let tokens = reply.usage.unwrap_or_default();
    Ok(Said {
        text,
        tokens_in: tokens.prompt_tokens.unwrap_or_default(),
        tokens_out: tokens.completion_tokens.unwrap_or_default(),
        is_cut: choice.finish_reason.as_deref() == Some("length"),
    })
}

/// Its words, whether they come as one text or in parts.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part.get("text")?.as_str()).collect(),
        // An object that should have been written out, from servers that read too much.
        Value::Object(_) => content.to_string(),
        Value::Null | Value::Bool(_) | Value::Number(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::habit::Shape as _, *};

    fn complaint(text: &str) -> Complaint {
        Complaint::read(text.as_bytes())
    }

    #[test]
    fn a_model_that_thinks_is_known_by_its_name() {
        for (model, thinks) in [
            ("o3-mini", true),
            ("o1", true),
            ("gpt-5-mini", true),
            ("gpt-5-chat-latest", false),
            ("gpt-4o-mini", false),
            ("omni", false),
        ] {
            assert_eq!(is_reasoning(model), thinks, "{model}");
        }
    }

    #[test]
    fn what_a_server_complains_of_is_left_out_and_there_is_an_end_to_it() {
        let first = Shape::of("gpt-4o", true);
        assert_eq!((first.limit, first.form, first.is_sober), (Limit::Completion, Form::Schema, true));
        let swapped = first.without(&complaint("use max_tokens")).unwrap();
        assert_eq!(swapped, Shape { limit: Limit::Plain, is_limit_swapped: true, ..first });
        let cold = first.without(&complaint("temperature does not support 0")).unwrap();
        assert_eq!(cold, Shape { is_sober: false, ..first });
        let thinking = Shape::of("o3", true);
        assert!(!thinking.is_sober);
        let at_length = thinking.without(&complaint("unknown field reasoning_effort")).unwrap();
        assert_eq!(at_length, Shape { is_brief: false, ..thinking });
        for words in ["", "response_format", "max_tokens temperature reasoning_effort"] {
            for first in [thinking, Shape::of("qwen3:4b", false)] {
                let steps = std::iter::successors(Some(first), |shape| shape.without(&complaint(words)));
                assert!(steps.count() <= 7, "{words}");
            }
        }
    }
}
