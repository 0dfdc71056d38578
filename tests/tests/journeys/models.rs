//! Diagnosis with a language model that decides, shadows or fails; the patient is healed in each case.

use hemostat_patient::stage::PatientSpec;
use hemostat_tests::{ContainerHistory, FakeModel, ModelResponse, Request, TestDeployment};
use serde_json::{Value, json};

use super::make_unhealthy;

/// Recommends a restart and cites the first exhibit of the prompt.
fn confident(asked: &Request) -> ModelResponse {
    let words = asked.prompt();
    let id = words.split("\nBEGIN EXHIBIT ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_default();
    ModelResponse::json(&json!({
        "verdict": "real", "root_cause": "it is stuck", "remedy": "restart", "confidence": 0.93,
        "evidence": [id], "why": "its health check fails",
    }))
}

/// Runs a deployment until the patient is healed, and returns its history and only diagnosis.
async fn healed(deployment: &mut TestDeployment) -> (ContainerHistory, Value) {
    let patient = deployment.patient(PatientSpec::named("a")).await;
    let hemostat = deployment.up().await;
    hemostat.wait_until_healthy(&patient).await;
    make_unhealthy(&patient).await;
    let history = hemostat.wait_until(&patient, "it is healed", |history| history.count("action.verified") == 1).await;
    assert_eq!(history.only("action.verified").data["outcome"], "recovered", "{history}");
    assert_eq!(deployment.docker_actions(&patient).count("restart"), 1, "{history}");
    let reached = history.only("diagnosis.reached").data.clone();
    (history, reached)
}

#[tokio::test]
async fn a_model_that_decides_heals_and_its_usage_is_on_the_log() {
    let model = FakeModel::start(confident).await;
    let mut deployment = TestDeployment::new("model-decides").await;
    deployment.use_model(&model, "model");
    let (history, reached) = healed(&mut deployment).await;
    let method = json!({ "by": "model", "provider": "openai", "model": "gpt-of-the-test-bed" });
    assert_eq!((&reached["method"], &reached["root_cause"]), (&method, &json!("it is stuck")), "{history}");
    assert_eq!((&reached["usage"]["tokens_in"], &reached["usage"]["requests"]), (&json!(900), &json!(1)), "{history}");
    assert_eq!(reached["cites"].as_array().map(Vec::len), Some(1), "{history}");
    let sought = history.only("diagnosis.opinion_sought");
    let trace = model.requests()[0].header("traceparent").map(str::to_owned);
    assert!(trace.is_some_and(|trace| trace.len() == 55), "{history}");
    assert!(
        sought.data["remedies"].as_array().is_some_and(|remedies| remedies.contains(&json!("restart"))),
        "{history}"
    );
}

#[tokio::test]
async fn a_model_that_shadows_changes_nothing_and_is_compared() {
    let model = FakeModel::start(confident).await;
    let mut deployment = TestDeployment::new("model-shadows").await;
    deployment.use_model(&model, "both");
    let (history, reached) = healed(&mut deployment).await;
    assert_eq!(reached["method"]["by"], "rule", "{history}");
    assert_eq!(history.only("diagnosis.opined").data["agrees"], true, "{history}");
}

#[tokio::test]
async fn a_model_that_never_responds_does_not_block_the_diagnosis() {
    let model = FakeModel::always(ModelResponse::NoResponse).await;
    let mut deployment = TestDeployment::new("model-silent").await;
    deployment.use_model(&model, "model");
    deployment.set("analyzer.timeout", "1s");
    let (history, reached) = healed(&mut deployment).await;
    assert_eq!(history.only("diagnosis.failed").data["trouble"], "timed_out", "{history}");
    assert_eq!(reached["method"]["by"], "rule", "{history}");
    assert!(reached["why"].as_str().is_some_and(|why| why.contains("did not answer within")), "{history}");
    let (sought, stands) = (history.only("diagnosis.opinion_sought").at, history.only("diagnosis.reached").at);
    assert!(stands.duration_since(sought) < jiff::SignedDuration::from_secs(5), "{history}");
}
