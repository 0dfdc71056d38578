//! A language model has a say: it decides, it shadows, it fails; the patient is healed in any case.

use hemostat_patient::stage::PatientSpec;
use hemostat_tests::{Bed, FakeModel, Reply, Request, Story};
use serde_json::{Value, json};

use super::sicken;

/// Says that a restart helps, because of the first exhibit that it was shown.
fn sure(asked: &Request) -> Reply {
    let words = asked.words();
    let id = words.split("\nBEGIN EXHIBIT ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_default();
    Reply::json(&json!({
        "verdict": "real", "root_cause": "it is stuck", "remedy": "restart", "confidence": 0.93,
        "evidence": [id], "why": "its health check fails",
    }))
}

/// The patient is healed by the story's one diagnosis, which is given back.
async fn healed(bed: &mut Bed) -> (Story, Value) {
    let patient = bed.patient(PatientSpec::named("a")).await;
    let hemostat = bed.up().await;
    hemostat.until_well(&patient).await;
    sicken(&patient).await;
    let story = hemostat.until(&patient, "it is healed", |story| story.count("action.verified") == 1).await;
    assert_eq!(story.only("action.verified").data["outcome"], "recovered", "{story}");
    assert_eq!(bed.deeds(&patient).count("restart"), 1, "{story}");
    let reached = story.only("diagnosis.reached").data.clone();
    (story, reached)
}

#[tokio::test]
async fn a_model_that_decides_heals_and_what_it_cost_is_on_the_log() {
    let model = FakeModel::start(sure).await;
    let mut bed = Bed::new("model-decides").await;
    bed.asks(&model, "model");
    let (story, reached) = healed(&mut bed).await;
    let method = json!({ "by": "model", "provider": "openai", "model": "gpt-of-the-test-bed" });
    assert_eq!((&reached["method"], &reached["root_cause"]), (&method, &json!("it is stuck")), "{story}");
    assert_eq!((&reached["usage"]["tokens_in"], &reached["usage"]["requests"]), (&json!(900), &json!(1)), "{story}");
    assert_eq!(reached["cites"].as_array().map(Vec::len), Some(1), "{story}");
    let sought = story.only("diagnosis.opinion_sought");
    let trace = model.asked()[0].header("traceparent").map(str::to_owned);
    assert!(trace.is_some_and(|trace| trace.len() == 55), "{story}");
    assert!(sought.data["remedies"].as_array().is_some_and(|remedies| remedies.contains(&json!("restart"))), "{story}");
}

#[tokio::test]
async fn a_model_that_shadows_changes_nothing_and_is_compared() {
    let model = FakeModel::start(sure).await;
    let mut bed = Bed::new("model-shadows").await;
    bed.asks(&model, "both");
    let (story, reached) = healed(&mut bed).await;
    assert_eq!(reached["method"]["by"], "rule", "{story}");
    assert_eq!(story.only("diagnosis.opined").data["agrees"], true, "{story}");
}

#[tokio::test]
async fn a_model_that_never_answers_holds_nobody_up() {
    let model = FakeModel::saying(Reply::Silence).await;
    let mut bed = Bed::new("model-silent").await;
    bed.asks(&model, "model");
    bed.set("analyzer.timeout", "1s");
    let (story, reached) = healed(&mut bed).await;
    assert_eq!(story.only("diagnosis.failed").data["trouble"], "timed_out", "{story}");
    assert_eq!(reached["method"]["by"], "rule", "{story}");
    assert!(reached["why"].as_str().is_some_and(|why| why.contains("did not answer within")), "{story}");
    let (sought, stands) = (story.only("diagnosis.opinion_sought").at, story.only("diagnosis.reached").at);
    assert!(stands.duration_since(sought) < jiff::SignedDuration::from_secs(5), "{story}");
}
