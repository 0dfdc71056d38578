//! Why the embedded Redis cannot run.

use std::{io, path::PathBuf};

/// Why the embedded Redis cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data directory cannot be created or used.
    #[error("could not use the data directory {}; make it writable, or set another one (data_dir)", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Another HemoStat uses the data directory.
    #[error(
        "another HemoStat{} uses the data directory {}; stop it, or give this one a directory of its own (data_dir)",
        pid.as_ref().map(|pid| format!(" (pid {pid})")).unwrap_or_default(),
        path.display()
    )]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The process id of that HemoStat, if known.
        pid: Option<String>,
    },
    /// `redis-server` is not installed.
    #[error(
        "redis-server is not installed; install Redis 7 or later (on Debian and Ubuntu: apt install redis-server), \
         or set the address of a running Redis (redis.url)"
    )]
    Missing,
    /// `redis-server` is too old.
    #[error(
        "redis-server is version {found}, but version 7.0 or later is needed; update it, or set the address of another Redis (redis.url)"
    )]
    TooOld {
        /// Its version.
        found: String,
    },
    /// `redis-server` did not start.
    #[error("redis-server did not start: {reason} (see {})", log.display())]
    NotStarted {
        /// The last line of its log, or how it ended.
        reason: String,
        /// Its log file.
        log: PathBuf,
    },
}
