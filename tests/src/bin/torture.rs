//! The processes that the torture test runs beside HemoStat's roles.
//!
//! `torture produce <url> <lease ms> <host> <containers> <events> <pause ms>` appends the observations of one host;
//! `torture count <url> <lease ms>` runs the counting projection and effect.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use hemostat_log::{Options, RedisLog};
use hemostat_runtime::{Context, effect, projection};
use hemostat_tests::torture::{CountEffect, EventChain, HostLoad};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["produce", url, lease, host, containers, events, pause] => {
            let load = HostLoad {
                host: host.parse()?,
                containers: containers.parse()?,
                events: events.parse()?,
                pause: Duration::from_millis(pause.parse()?),
            };
            load.produce(&open(url, lease).await?).await
        }
        ["count", url, lease] => {
            let ctx = open(url, lease).await?;
            let tasks = effect(&ctx, CountEffect).into_iter().chain(projection::<EventChain>(&ctx)).collect();
            hemostat_process::run(&ctx, tasks).await
        }
        _ => bail!("torture produce|count ..., see the source"),
    }
}

async fn open(url: &str, lease: &str) -> anyhow::Result<Context> {
    let log = RedisLog::connect(&Options::new(url)?).await.context("could not open the log")?;
    let mut ctx = Context::new(Arc::new(log));
    ctx.lease_ttl = Duration::from_millis(lease.parse()?);
    Ok(ctx)
}
