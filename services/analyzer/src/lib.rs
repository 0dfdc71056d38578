//! The analyzer: turns symptoms into diagnoses, by rules and, if one is configured, by a language model.
//!
//! `hemostat_diagnosis` decides what is concluded and whether a model is asked. This crate asks it, with limits: evidence
//! is quoted as data ([`prompt`]), cost and duration are capped ([`model_client`](mod@model_client)), and `hemostat_diagnosis::opinion`
//! validates every answer. If the model fails, the diagnosis of the rules stands and says why. Only this role needs the
//! model's API key.
//!
//! ```text
//! symptom ─► triage (diagnosis) ─┬─► reached                                   rules
//!                                └─► opinion_sought ─► ask_model ─► reached, opined or failed      model
//! ```

mod ask_model;
pub mod breaker;
pub mod budget;
pub mod model_client;
mod nonce;
pub mod prompt;
pub mod provider;
pub mod usage_ledger;

use std::sync::Arc;

use anyhow::bail;
use hemostat_core::Policy;
use hemostat_diagnosis::Triage;
use hemostat_runtime::{Clock, Context, Task, decider, effect};
use hemostat_settings::{Analyzer, DiagnosisBy, ModelProvider};
use tokio::sync::watch;
use tracing::info;

pub use self::ask_model::AskModel;
use self::{
    model_client::{ClientConfig, ModelClient},
    provider::{Anthropic, HttpClient, OpenAi, Provider},
};

/// The analyzer's tasks: triage and model calls, one worker of each per partition.
///
/// # Errors
/// When a model should be asked but its name or key is not configured.
pub fn tasks(ctx: &Context, analyzer: &Analyzer, policy: &watch::Receiver<Arc<Policy>>) -> anyhow::Result<Vec<Task>> {
    let client = match analyzer.mode {
        DiagnosisBy::Rules => None,
        DiagnosisBy::Model | DiagnosisBy::Both => Some(model_client(analyzer, ctx.clock.clone())?),
    };
    if let Some(client) = &client {
        info!("{}", client.summary());
    }
    let mut tasks = decider::<Triage>(ctx, policy);
    tasks.extend(effect(ctx, AskModel::new(ctx, client)));
    Ok(tasks)
}

/// A client for the configured model.
///
/// # Errors
/// When no model is named, or its key is missing.
pub fn model_client(analyzer: &Analyzer, clock: Arc<dyn Clock>) -> anyhow::Result<ModelClient> {
    let (Some(model), Some(provider)) = (analyzer.model.clone(), analyzer.provider()) else {
        bail!("no model is configured; name one: analyzer.model (or AI_MODEL), such as \"gpt-4o-mini\"");
    };
    let http = HttpClient::new()?;
    let provider: Box<dyn Provider> = match provider {
        ModelProvider::OpenAi => {
            let (base, key) = (analyzer.openai_base_url.as_deref(), analyzer.openai_api_key.as_ref());
            if base.is_none() && key.is_none() {
                bail!(
                    "{model} needs a key: set OPENAI_API_KEY, or OPENAI_BASE_URL for a server of your own (Ollama: \
                     http://localhost:11434/v1), which needs none; or analyzer.mode = \"rules\""
                );
            }
            Box::new(OpenAi::new(&http, base, key, model)?)
        }
        ModelProvider::Anthropic => {
            let (base, key) = (analyzer.anthropic_base_url.as_deref(), analyzer.anthropic_api_key.as_ref());
            if base.is_none() && key.is_none() {
                bail!("{model} needs a key: set ANTHROPIC_API_KEY; or analyzer.mode = \"rules\"");
            }
            Box::new(Anthropic::new(&http, base, key, model)?)
        }
        ModelProvider::HuggingFace => {
            let key = analyzer.huggingface_api_key.as_ref();
            if key.is_none() && analyzer.huggingface_base_url.is_none() {
                bail!(
                    "{model} is asked through Hugging Face and needs a token: set HF_TOKEN, or OPENAI_BASE_URL for \
                     another server that has this model; or analyzer.mode = \"rules\""
                );
            }
            Box::new(OpenAi::hugging_face(&http, &analyzer.huggingface_url(), key, model)?)
        }
    };
    Ok(ModelClient::new(provider, ClientConfig::from_settings(analyzer), clock))
}
