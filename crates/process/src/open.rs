//! Opening the event log that the configuration names.

use std::sync::Arc;

use anyhow::Context as _;
use hemostat_log::{Archive, History, Options, Plan, RedisLog};
use secrecy::ExposeSecret as _;

use hemostat_runtime::Context;
use hemostat_settings::Config;

use crate::{Embedded, embedded};

/// Brings the log up to date and opens it: the embedded one where there is one, else the one at `redis.url`, else the
/// embedded one of a `hemostat up` that runs on this data directory. What is archived is read as if it stood on it.
///
/// # Errors
/// When there is none, it does not answer, or it is not one that this program can use; when the archive's address is
/// none.
pub async fn open(config: &Config, embedded: Option<&Embedded>) -> anyhow::Result<Context> {
    let options = options(config, embedded)?;
    hemostat_log::migrate(&options).await?;
    let mut ctx = Context::new(Arc::new(RedisLog::connect(&options).await?));
    ctx.history = History::new(Arc::clone(&ctx.log), archive(config)?);
    ctx.lease_ttl = config.runtime.lease_ttl;
    ctx.durability = config.redis.durability;
    ctx.durable_within = config.redis.durable_within;
    if let Some(embedded) = embedded {
        ctx.owner = embedded.owner();
    }
    Ok(ctx)
}

/// Brings the log up to date; gives what was done, by name.
///
/// # Errors
/// When there is none, it does not answer, or a later program has changed it.
pub async fn migrate(config: &Config) -> anyhow::Result<Vec<String>> {
    let applied = hemostat_log::migrate(&options(config, None)?).await?;
    Ok(applied.into_iter().map(|migration| migration.name).collect())
}

/// Says what [`migrate`] would do, and changes nothing.
///
/// # Errors
/// As [`migrate`].
pub async fn migration_plan(config: &Config) -> anyhow::Result<Plan> {
    Ok(hemostat_log::plan(&options(config, None)?).await?)
}

fn archive(config: &Config) -> anyhow::Result<Option<Arc<dyn Archive>>> {
    let Some(url) = config.archive_url() else { return Ok(None) };
    let archive: Arc<dyn Archive> = hemostat_archive::open(&url).context("archive.url cannot be used")?;
    Ok(Some(archive))
}

fn options(config: &Config, embedded: Option<&Embedded>) -> anyhow::Result<Options> {
    let redis = &config.redis;
    Ok(address(config, embedded)?.partitions(redis.partitions).durability(redis.durability))
}

fn address(config: &Config, embedded: Option<&Embedded>) -> anyhow::Result<Options> {
    let redis = &config.redis;
    match (embedded, &redis.url) {
        (Some(embedded), _) => Ok(Options::new(&embedded.url())?),
        (None, Some(url)) => Ok(Options::new(url.expose_secret())?
            .password(redis.password.as_ref())
            .sentinel_password(redis.sentinel_password.as_ref())
            .ca_file(redis.ca_file.as_deref())),
        (None, None) => {
            let directory = config.data_directory();
            let url = embedded::running(&directory).with_context(|| {
                format!("redis.url is not set, and no `hemostat up` has a Redis of its own in {}", directory.display())
            })?;
            Ok(Options::new(&url)?)
        }
    }
}
