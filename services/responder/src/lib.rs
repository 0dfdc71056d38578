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
use hemostat_docker::{Link, discover::Machine};
use hemostat_runtime::{Context, Task, decider, effect_on};
use hemostat_settings::Config;

use crate::engine::Docker;
pub use crate::execute::Execute;

/// The deciders that authorise and judge, and the effect that acts on the engines of the hosts that this process serves.
///
/// # Errors
/// When the configuration of a host's engine cannot work. An engine that cannot be reached fails the action that needed it.
pub fn tasks(ctx: &Context, config: &Config) -> anyhow::Result<Vec<Task>> {
    let policy = Arc::new(config.policy());
    let hosts = hemostat_docker::hosts(config, &Machine)?;
    let names: Vec<_> = hosts.iter().map(|host| host.name.clone()).collect();
    let engines = hosts.into_iter().map(|host| (host.name, Docker::over(Link::new(host.endpoint, host.limit))));
    let execute = Execute::on(engines, ctx.clock.clone(), policy.stale_after);
    let mut tasks = decider::<Remedy>(ctx, policy.clone());
    tasks.extend(decider::<Judge>(ctx, policy));
    tasks.extend(effect_on(ctx, names, execute));
    Ok(tasks)
}
