//! The responder: it decides what may be done for a sick container, does it, and judges whether it helped.
//!
//! ```text
//! diagnosis reached ──► remedy (core) ──► authorised ──► execute ──► succeeded, failed ──► judge (core) ──► verified
//!                          └──► refused, and why             └──► Docker, exactly once ([`deed`])
//! ```

pub mod deed;
pub mod engine;
mod execute;

use std::sync::Arc;

use hemostat_core::{judge::Judge, remedy::Remedy};
use hemostat_runtime::{Config, Context, Task, decider, effect};

use crate::engine::Docker;
pub use crate::execute::Execute;

/// The deciders that authorise and judge, and the effect that acts on this host's engine.
///
/// # Errors
/// None so far; an engine that cannot be reached fails the action that needed it.
pub fn tasks(ctx: &Context, config: &Config) -> anyhow::Result<Vec<Task>> {
    let policy = Arc::new(config.policy());
    let docker = Docker::new(config.docker.host.clone(), config.docker.timeout);
    let execute = Execute::new(config.host_name(), docker, ctx.clock.clone(), policy.stale_after);
    let mut tasks = decider::<Remedy>(ctx, policy.clone());
    tasks.extend(decider::<Judge>(ctx, policy));
    tasks.extend(effect(ctx, execute));
    Ok(tasks)
}
