//! A real language model on this machine decides, over both APIs: `make model-test` starts it and passes its address.
//!
//! It has 135 million parameters, so its diagnoses are not judged here (`hemostat eval` does that). But its response must
//! arrive, be validated, and be on the log with its usage; and whatever it recommends, the patient is not harmed.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly, in its helpers, too")]

use std::time::Duration;

use anyhow::ensure;
use hemostat_patient::{Illness, illness::Unhealthy, stage::PatientSpec};
use hemostat_tests::{TestDeployment, wait_until};
use serde_json::Value;

/// The model's address.
fn address() -> String {
    std::env::var("LOCAL_MODEL_URL").expect("LOCAL_MODEL_URL names no model; run: make model-test")
}

/// Diagnoses a patient with the model at `base`.
async fn check(provider: &str, base: (&str, String)) {
    let mut deployment = TestDeployment::new(&format!("local-{provider}")).await;
    deployment.set("analyzer.mode", "model");
    deployment.set("analyzer.model", "smollm2");
    deployment.set("analyzer.provider", provider);
    deployment.set(base.0, base.1);
    // Generous, because the model shares a busy machine.
    deployment.set("analyzer.timeout", "5m");
    deployment.set("responder.stale_after", "10m");
    let patient = deployment.patient(PatientSpec::named("a")).await;
    let hemostat = deployment.up().await;
    hemostat.wait_until_healthy(&patient).await;
    patient.fall_ill(Illness::Unhealthy(Unhealthy::default())).await.unwrap();
    let history = wait_until(Duration::from_secs(330), "a diagnosis is reached", async || {
        let history = hemostat.history(&patient).await?;
        ensure!(history.count("diagnosis.reached") > 0, "so far:\n{history}");
        Ok(history)
    })
    .await;
    let reached = &history.all("diagnosis.reached")[0].data;
    let failed = history.all("diagnosis.failed").first().map(|failed| failed.data.clone());
    // By the model or, if its response was invalid also after a retry, by the rules.
    let usage = match &failed {
        None => {
            assert_eq!(reached["method"]["provider"], provider, "{history}");
            &reached["usage"]
        }
        Some(failed) => {
            assert_eq!(failed["trouble"], "invalid", "{history}");
            &failed["usage"]
        }
    };
    let number = |field: &str| usage[field].as_u64().unwrap_or_default();
    assert!(number("tokens_in") > 500 && number("tokens_out") > 20 && number("took") > 0, "{usage}");
    let remedy = &reached["remedy"];
    assert!([Value::Null, "restart".into(), "start".into()].contains(remedy), "{history}");
    #[expect(clippy::print_stderr, reason = "the purpose of a manual run")]
    {
        eprintln!("{provider}: {usage}\n{history}");
    }
}

#[tokio::test]
#[ignore = "needs a model: make model-test"]
async fn a_real_model_is_consulted_over_openais_api() {
    check("openai", ("analyzer.openai_base_url", format!("{}/v1", address()))).await;
}

#[tokio::test]
#[ignore = "needs a model: make model-test"]
async fn a_real_model_is_consulted_over_anthropics_api() {
    check("anthropic", ("analyzer.anthropic_base_url", address())).await;
}
