//! Asking models over real HTTP: what is asked, what is made of the answers, and of everything that is not one.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly, in its helpers, too")]

mod answers;
mod effect;
mod injection;
mod limits;
mod troubles;

use std::{sync::Arc, time::Duration};

use hemostat_analyzer::{
    counsel::{Asked, Counsel, Opinion, Terms},
    provider::{Anthropic, OpenAi, Provider, Wire},
};
use hemostat_core::testing;
use hemostat_runtime::{Clock, SystemClock};
use hemostat_schema::{
    TraceParent,
    action::Remedy,
    diagnosis::{Exhibit, OpinionSought, Part},
};
use hemostat_settings::{Config, DiagnosisBy};
use hemostat_tests::{FakeModel, Reply};
use secrecy::SecretString;
use serde_json::{Value, json};

/// By which API a model is asked.
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
        let (wire, key) = (Wire::new().unwrap(), SecretString::from(model.key()));
        let name = self.model().to_owned();
        match self {
            Self::OpenAi => Box::new(OpenAi::new(&wire, Some(&model.openai()), Some(&key), name).unwrap()),
            Self::Anthropic => Box::new(Anthropic::new(&wire, Some(&model.anthropic()), Some(&key), name).unwrap()),
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

/// Terms on which a test does not wait for long.
fn terms() -> Terms {
    let mut config = Config::default();
    config.analyzer.mode = DiagnosisBy::Model;
    config.analyzer.timeout = Duration::from_secs(10);
    Terms { first_wait: Duration::from_millis(5), ..Terms::of(&config.analyzer) }
}

fn counsel(api: Api, model: &FakeModel, terms: Terms) -> Counsel {
    timed(api, model, terms, Arc::new(SystemClock))
}

fn timed(api: Api, model: &FakeModel, terms: Terms, clock: Arc<dyn Clock>) -> Counsel {
    Counsel::new(api.provider(model), terms, clock)
}

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// What comes of the `n`th question, with the check that no key is told whatever comes of it.
async fn ask(counsel: &Counsel, sought: &OpinionSought, n: u64) -> Opinion {
    let trace: TraceParent = TRACE.parse().unwrap();
    let asked = Asked { id: testing::id(n), sought, trace: Some(trace) };
    let opinion = counsel.ask(asked, Duration::from_secs(60)).await;
    let told = format!("{opinion:?} {counsel:?}");
    assert!(!told.contains("SECRET"), "the key is told: {told}");
    opinion
}

/// The answer of a model that has understood.
fn answer() -> Value {
    json!({
        "verdict": "real", "root_cause": "its pool of connections is exhausted", "remedy": "restart",
        "confidence": 0.9, "evidence": ["output.1"], "why": "the output says so",
    })
}

/// The answer with another value for this field.
fn answer_with(field: &str, value: Value) -> Value {
    let mut answer = answer();
    answer[field] = value;
    answer
}

fn good() -> Reply {
    Reply::json(&answer())
}
