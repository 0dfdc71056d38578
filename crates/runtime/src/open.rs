//! Opening the event log that the configuration names.

use std::sync::Arc;

use anyhow::Context as _;
use hemostat_log::{Options, RedisLog};
use secrecy::ExposeSecret as _;

use crate::{Config, Context, Embedded, embedded};

impl Context {
    /// Brings the log up to date and opens it: the embedded one where there is one, else the one at `redis.url`, else the
    /// embedded one of a `hemostat up` that runs on this data directory.
    ///
    /// # Errors
    /// When there is none, it does not answer, or it is not one that this program can use.
    pub async fn open(config: &Config, embedded: Option<&Embedded>) -> anyhow::Result<Self> {
        let options = options(config, embedded)?;
        hemostat_log::migrate(&options).await?;
        let mut ctx = Self::new(Arc::new(RedisLog::connect(&options).await?));
        ctx.lease_ttl = config.runtime.lease_ttl;
        if let Some(embedded) = embedded {
            ctx.owner = embedded.owner();
        }
        Ok(ctx)
    }
}

/// Brings the log up to date; gives what was done, by name.
///
/// # Errors
/// When there is none, it does not answer, or a later program has changed it.
pub async fn migrate(config: &Config) -> anyhow::Result<Vec<String>> {
    let applied = hemostat_log::migrate(&options(config, None)?).await?;
    Ok(applied.into_iter().map(|migration| migration.name).collect())
}

fn options(config: &Config, embedded: Option<&Embedded>) -> anyhow::Result<Options> {
    match (embedded, &config.redis.url) {
        (Some(embedded), _) => Ok(Options::new(&embedded.url())?),
        (None, Some(url)) => Ok(Options::new(url.expose_secret())?.password(config.redis.password.as_ref())),
        (None, None) => {
            let directory = config.data_directory();
            let url = embedded::running(&directory).with_context(|| {
                format!("redis.url is not set, and no `hemostat up` has a Redis of its own in {}", directory.display())
            })?;
            Ok(Options::new(&url)?)
        }
    }
}
