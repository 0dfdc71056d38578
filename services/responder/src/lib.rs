//! The responder: decides whether a remedy may be executed for a sick container, executes it, and judges whether it helped.
//!
//! ```text
//! diagnosis reached ──► remedy (core) ──► authorised ──► execute ──► succeeded, failed ──► judge (core) ──► verified
//!                          └──► refused, with a reason      └──► Docker, exactly once ([`remedy_execution`])
//! ```

pub mod engine;
mod execute;
pub mod remedy_execution;

use std::sync::Arc;

use hemostat_core::{judge::Judge, policy::Policy, remedy::Authorisation};
use hemostat_docker::{Docker, Host, Link};
use hemostat_runtime::{Context, Task, decider, effect_on_hosts};
use tokio::sync::watch;

pub use crate::execute::Execute;

/// The deciders that authorise and judge, and the effect that executes remedies on the engines of `hosts`. An engine that
/// cannot be reached fails the action that needed it.
pub fn tasks(ctx: &Context, hosts: Vec<Host>, policy: &watch::Receiver<Arc<Policy>>) -> Vec<Task> {
    let names: Vec<_> = hosts.iter().map(|host| host.name.clone()).collect();
    let engines = hosts.into_iter().map(|host| (host.name, Docker::over(Link::new(host.endpoint, host.timeout))));
    let execute = Execute::on(engines, ctx.clock.clone(), policy.clone());
    let mut tasks = decider::<Authorisation>(ctx, policy);
    tasks.extend(decider::<Judge>(ctx, policy));
    tasks.extend(effect_on_hosts(ctx, names, execute));
    tasks
}
