//! A real language model on this machine decides, over both APIs: `make model-test`, which starts it and says where it is.
//!
//! It has 135 million parameters and understands little, so what it says is not judged here (`hemostat eval` does that);
//! but it is a model: its words must arrive, be validated, and stand on the log with what they cost. And whatever it says,
//! the patient is not harmed.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly, in its helpers, too")]

use std::time::Duration;

use anyhow::ensure;
use hemostat_patient::{Illness, illness::Unhealthy, stage::PatientSpec};
use hemostat_tests::{Bed, until};
use serde_json::Value;

/// Where it is.
fn address() -> String {
    std::env::var("LOCAL_MODEL_URL").expect("LOCAL_MODEL_URL names no model; run: make model-test")
}

/// What is told of a patient that fell ill while the model at `base` has the say.
async fn consulted(provider: &str, base: (&str, String)) {
    let mut bed = Bed::new(&format!("local-{provider}")).await;
    bed.set("analyzer.mode", "model");
    bed.set("analyzer.model", "smollm2");
    bed.set("analyzer.provider", provider);
    bed.set(base.0, base.1);
    // It shares the machine with the engine, the patients and perhaps a compiler.
    bed.set("analyzer.timeout", "5m");
    bed.set("responder.stale_after", "10m");
    let patient = bed.patient(PatientSpec::named("a")).await;
    let hemostat = bed.up().await;
    hemostat.until_well(&patient).await;
    patient.fall_ill(Illness::Unhealthy(Unhealthy::default())).await.unwrap();
    let story = until(Duration::from_secs(330), "a diagnosis is reached", async || {
        let story = hemostat.story(&patient).await?;
        ensure!(story.count("diagnosis.reached") > 0, "so far:\n{story}");
        Ok(story)
    })
    .await;
    let reached = &story.all("diagnosis.reached")[0].data;
    let failed = story.all("diagnosis.failed").first().map(|failed| failed.data.clone());
    // By the model's words, or, where they came to nothing also when it was asked again, by the rules.
    let usage = match &failed {
        None => {
            assert_eq!(reached["method"]["provider"], provider, "{story}");
            &reached["usage"]
        }
        Some(failed) => {
            assert_eq!(failed["trouble"], "invalid", "{story}");
            &failed["usage"]
        }
    };
    let number = |field: &str| usage[field].as_u64().unwrap_or_default();
    assert!(number("tokens_in") > 500 && number("tokens_out") > 20 && number("took") > 0, "{usage}");
    let remedy = &reached["remedy"];
    assert!([Value::Null, "restart".into(), "start".into()].contains(remedy), "{story}");
    #[expect(clippy::print_stderr, reason = "it is what one runs this for")]
    {
        eprintln!("{provider}: {usage}\n{story}");
    }
}

#[tokio::test]
#[ignore = "needs a model: make model-test"]
async fn a_real_model_is_consulted_over_openais_api() {
    consulted("openai", ("analyzer.openai_base_url", format!("{}/v1", address()))).await;
}

#[tokio::test]
#[ignore = "needs a model: make model-test"]
async fn a_real_model_is_consulted_over_anthropics_api() {
    consulted("anthropic", ("analyzer.anthropic_base_url", address())).await;
}
