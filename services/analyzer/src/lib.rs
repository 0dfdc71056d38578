//! The analyzer: from symptoms to diagnoses.
//!
//! It only wires: the rules are `hemostat_core::diagnose`, and they need nothing of the outside world. What a language
//! model is to the analyzer stands in [`model`].

pub mod model;

use std::sync::Arc;

use hemostat_core::diagnose::Triage;
use hemostat_runtime::{Config, Context, Task, decider};

/// The analyzer's work: triage, one worker for each partition.
///
/// # Errors
/// None at present; a model that cannot be reached by its configuration would be one.
pub fn tasks(ctx: &Context, config: &Config) -> anyhow::Result<Vec<Task>> {
    Ok(decider::<Triage>(ctx, Arc::new(config.policy())))
}
