//! Opens the event log that the configuration names.

use std::sync::Arc;

use anyhow::Context as _;
use hemostat_log::{Archive, History, Options, Plan, ReadPassword, RedisLog};
use secrecy::ExposeSecret as _;

use hemostat_runtime::Context;
use hemostat_settings::{Config, Secret};

use crate::{Embedded, embedded};

/// Migrates the log and opens it: the embedded one if given, else the one at `redis.url`, else the embedded one of a
/// `hemostat up` that runs on this data directory. Archived events are read as if they were still on the log.
///
/// # Errors
/// When there is no log, it does not answer, or this program cannot use it; when the archive's address is invalid.
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

/// Migrates the log; gives the names of the migrations that it applied.
///
/// # Errors
/// When there is no log, it does not answer, or a later version of HemoStat has migrated it.
pub async fn migrate(config: &Config) -> anyhow::Result<Vec<String>> {
    let applied = hemostat_log::migrate(&options(config, None)?).await?;
    Ok(applied.into_iter().map(|migration| migration.name).collect())
}

/// What [`migrate`] would do; changes nothing.
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
        (None, Some(url)) => Ok(Options::new(url.current().expose_secret())?
            .rotating_passwords(reader(&redis.password), reader(&redis.sentinel_password))
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

fn reader(password: &Option<Secret>) -> Option<ReadPassword> {
    let password = password.clone()?;
    Some(Arc::new(move || password.current()))
}
