//! The analyzer: from symptoms to diagnoses.
//!
//! What is concluded, and whether a language model is asked, is decided by `hemostat_diagnosis`. Here a model is
//! asked, on terms that keep it from doing harm: what it is shown is data to it ([`prompt`]), what it may cost and how
//! long it may take is limited ([`mod@counsel`]), what it says is validated by `hemostat_diagnosis::opinion`, and where it fails
//! the rules' answer stands, and says why. Only this role needs a model's key.
//!
//! ```text
//! symptom ─► triage (core) ─┬─► reached                              rules
//!                           └─► opinion_sought ─► consult ─► reached, opined or failed      model
//! ```

pub mod breaker;
pub mod budget;
pub mod casebook;
mod consult;
pub mod counsel;
mod nonce;
pub mod prompt;
pub mod provider;

use std::sync::Arc;

use anyhow::bail;
use hemostat_diagnosis::Triage;
use hemostat_runtime::{Clock, Context, Task, decider, effect};
use hemostat_settings::{Config, DiagnosisBy, ModelProvider};
use tracing::info;

pub use self::consult::Consult;
use self::{
    counsel::{Counsel, Terms},
    provider::{Anthropic, OpenAi, Provider, Wire},
};

/// The analyzer's work: triage, and asking models, one worker of each for each partition.
///
/// # Errors
/// When a model is to be asked, and how is not configured.
pub fn tasks(ctx: &Context, config: &Config) -> anyhow::Result<Vec<Task>> {
    let counsel = match config.analyzer.mode {
        DiagnosisBy::Rules => None,
        DiagnosisBy::Model | DiagnosisBy::Both => Some(counsel(config, ctx.clock.clone())?),
    };
    if let Some(counsel) = &counsel {
        info!("{}", counsel.introduced());
    }
    let mut tasks = decider::<Triage>(ctx, Arc::new(config.policy()));
    tasks.extend(effect(ctx, Consult::new(ctx, counsel)));
    Ok(tasks)
}

/// The model that is configured, to be asked on the terms that are.
///
/// # Errors
/// When it is not said which, or a key is missing.
pub fn counsel(config: &Config, clock: Arc<dyn Clock>) -> anyhow::Result<Counsel> {
    let analyzer = &config.analyzer;
    let (Some(model), Some(provider)) = (analyzer.model.clone(), analyzer.provider()) else {
        bail!("no model is configured; name one: analyzer.model (or AI_MODEL), such as \"gpt-4o-mini\"");
    };
    let wire = Wire::new()?;
    let provider: Box<dyn Provider> = match provider {
        ModelProvider::OpenAi => {
            let (base, key) = (analyzer.openai_base_url.as_deref(), analyzer.openai_api_key.as_ref());
            if base.is_none() && key.is_none() {
                bail!(
                    "{model} needs a key: set OPENAI_API_KEY, or OPENAI_BASE_URL for a server of your own (Ollama: \
                     http://localhost:11434/v1), which needs none; or analyzer.mode = \"rules\""
                );
            }
            Box::new(OpenAi::new(&wire, base, key, model)?)
        }
        ModelProvider::Anthropic => {
            let (base, key) = (analyzer.anthropic_base_url.as_deref(), analyzer.anthropic_api_key.as_ref());
            if base.is_none() && key.is_none() {
                bail!("{model} needs a key: set ANTHROPIC_API_KEY; or analyzer.mode = \"rules\"");
            }
            Box::new(Anthropic::new(&wire, base, key, model)?)
        }
    };
    Ok(Counsel::new(provider, Terms::of(analyzer), clock))
}
