//! Asking models over real HTTP: requests, answers and failures.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly, in its helpers, too")]

mod answers;
mod effect;
mod injection;
mod limits;
mod troubles;

use std::{sync::Arc, time::Duration};

use hemostat_analyzer::{
    model_client::{ClientConfig, ModelClient, Opinion, Question},
    provider::{Anthropic, HttpClient, OpenAi, Provider},
};
use hemostat_core::testing;
use hemostat_runtime::{Clock, SystemClock};
use hemostat_schema::{
    TraceParent,
    action::Remedy,
    diagnosis::{Exhibit, OpinionSought, Part},
};
use hemostat_settings::{Config, DiagnosisBy, Secret};
use hemostat_tests::{FakeModel, ModelResponse};
use serde_json::{Value, json};

/// A provider's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Api {
    OpenAi,
    Anthropic,
}

const BOTH: [Api; 2] = [Api::OpenAi, Api::Anthropic];

impl Api {
    fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
        }
    }

    fn model(self) -> &'static str {
        match self {
            Self::OpenAi => "gpt-4o-mini",
            Self::Anthropic => "claude-haiku",
        }
    }

    fn provider(self, model: &FakeModel) -> Box<dyn Provider> {
        self.provider_with_key(model, Secret::from(model.key()))
    }

    fn provider_with_key(self, model: &FakeModel, key: Secret) -> Box<dyn Provider> {
        let http = HttpClient::new().unwrap();
        let name = self.model().to_owned();
        match self {
            Self::OpenAi => Box::new(OpenAi::new(&http, Some(&model.openai()), Some(&key), name).unwrap()),
            Self::Anthropic => Box::new(Anthropic::new(&http, Some(&model.anthropic()), Some(&key), name).unwrap()),
        }
    }

    fn sought(self) -> OpinionSought {
        let exhibit = |id: &str, text: &str| Exhibit { id: id.into(), kind: "output".into(), text: text.into() };
        OpinionSought {
            provider: self.name().into(),
            model: self.model().into(),
            part: Part::Decides,
            fallback: testing::reached(testing::run(0)),
            evidence: vec![exhibit("facts", "it runs"), exhibit("output.1", "pool exhausted")],
            remedies: vec![Remedy::Restart, Remedy::Start],
            fingerprint: "f1".into(),
        }
    }
}

/// Limits with short waits, for tests.
fn config() -> ClientConfig {
    let mut config = Config::default();
    config.analyzer.mode = DiagnosisBy::Model;
    config.analyzer.timeout = Duration::from_secs(10);
    ClientConfig { first_wait: Duration::from_millis(5), ..ClientConfig::from_settings(&config.analyzer) }
}

fn client(api: Api, model: &FakeModel, config: ClientConfig) -> ModelClient {
    client_at(api, model, config, Arc::new(SystemClock))
}

fn client_at(api: Api, model: &FakeModel, config: ClientConfig, clock: Arc<dyn Clock>) -> ModelClient {
    ModelClient::new(api.provider(model), config, clock)
}

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// The opinion on the `n`th question. Checks that no output holds the key.
async fn ask(client: &ModelClient, sought: &OpinionSought, n: u64) -> Opinion {
    let trace: TraceParent = TRACE.parse().unwrap();
    let asked = Question { id: testing::id(n), sought, trace: Some(trace) };
    let opinion = client.ask(asked, Duration::from_secs(60)).await;
    let output = format!("{opinion:?} {client:?}");
    assert!(!output.contains("SECRET"), "the key leaks: {output}");
    opinion
}

/// A valid answer.
fn answer() -> Value {
    json!({
        "verdict": "real", "root_cause": "its pool of connections is exhausted", "remedy": "restart",
        "confidence": 0.9, "evidence": ["output.1"], "why": "the output says so",
    })
}

/// A valid answer with another value in one field.
fn answer_with(field: &str, value: Value) -> Value {
    let mut answer = answer();
    answer[field] = value;
    answer
}

fn valid_answer() -> ModelResponse {
    ModelResponse::json(&answer())
}
