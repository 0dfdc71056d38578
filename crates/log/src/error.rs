//! The errors of the store, and whether a retry may help.

use std::time::Duration;

use hemostat_schema::Partition;

use crate::Durability;

/// Why a call of the store failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No connection, or it broke.
    #[error("could not {doing}: no connection to Redis at {server} ({reason})")]
    Unreachable {
        /// The operation: `read the log`.
        doing: &'static str,
        /// The address, without credentials.
        server: String,
        /// The client's error.
        reason: String,
    },
    /// No answer in time.
    #[error("could not {doing}: Redis at {server} did not answer within {limit:?}")]
    TimedOut {
        /// The operation.
        doing: &'static str,
        /// The address, without credentials.
        server: String,
        /// The time limit.
        limit: Duration,
    },
    /// The server answers but cannot work at the moment: it loads its data, is a replica, cannot write its disk, or is out
    /// of memory.
    #[error("could not {doing}: Redis at {server} is not ready ({reply})")]
    NotReady {
        /// The operation.
        doing: &'static str,
        /// The address, without credentials.
        server: String,
        /// The reply of the server.
        reply: String,
    },
    /// The server rejects the credentials, or requires some.
    #[error("Redis at {server} refused the user or the password ({reply}); check redis.url and redis.password")]
    Auth {
        /// The address, without credentials.
        server: String,
        /// The reply of the server.
        reply: String,
    },
    /// The server has no Redis Functions.
    #[error("Redis at {server} is version {version}; HemoStat needs 7.0 or later")]
    TooOld {
        /// The address, without credentials.
        server: String,
        /// The version that the server reports.
        version: String,
    },
    /// The server may evict the log when it is short of memory.
    #[error(
        "Redis at {server} may evict data (maxmemory-policy is {policy}), and the log must not be evicted; \
         run `redis-cli CONFIG SET maxmemory-policy noeviction`, and write `maxmemory-policy noeviction` into redis.conf"
    )]
    Evicts {
        /// The address, without credentials.
        server: String,
        /// Its `maxmemory-policy`.
        policy: String,
    },
    /// The server cannot provide the configured durability.
    #[error("Redis at {server} cannot keep what redis.durability = \"{wanted}\" promises ({why}); {remedy}")]
    NotDurable {
        /// The address, without credentials.
        server: String,
        /// The configured durability.
        wanted: Durability,
        /// What is missing.
        why: String,
        /// What the operator can do.
        remedy: &'static str,
    },
    /// The server's certificate is not trusted, or not valid for its name.
    #[error("the certificate of Redis at {server} is not trusted ({reason}); check redis.url and redis.ca_file")]
    Untrusted {
        /// The address, without credentials.
        server: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The trusted certificates cannot be loaded.
    #[error("could not load the certificates of {whose}: {reason}")]
    Certificates {
        /// The file, or the machine.
        whose: String,
        /// What is wrong with them.
        reason: String,
    },
    /// `redis.url` is invalid.
    #[error(
        "redis.url is not valid: {reason}; valid are redis://host:6379/0, rediss://host:6379, unix:///path, \
         redis-cluster://host:6379,host:6379 or redis-sentinel://host:26379,host:26379/master"
    )]
    Url {
        /// What is wrong with it; never the address itself, which may hold a password.
        reason: String,
    },
    /// The log is not migrated to the level of this program yet.
    #[error("the log at {server} is not ready for this program ({missing}); run `hemostat migrate`")]
    NotMigrated {
        /// The address, without credentials.
        server: String,
        /// What is missing.
        missing: String,
    },
    /// A later program has migrated the log.
    #[error(
        "the log at {server} was migrated by a later HemoStat (migration {migration}); use that version or a later one"
    )]
    TooNew {
        /// The address, without credentials.
        server: String,
        /// The first migration that this program does not know.
        migration: String,
    },
    /// The log has a migration with the same number and another content.
    #[error(
        "migration {migration} of the log at {server} differs from this program's; \
         it belongs to another build of HemoStat: use that one, or another database"
    )]
    Diverged {
        /// The address, without credentials.
        server: String,
        /// The migration.
        migration: String,
    },
    /// Another process holds the migration lock and does not release it.
    #[error("the log at {server} is being migrated by another process; if there is none, delete the key {key}")]
    MigrationLocked {
        /// The address, without credentials.
        server: String,
        /// The lock.
        key: &'static str,
    },
    /// The configured number of partitions is not the one of the log.
    #[error(
        "the log has {found} partitions, not {wanted}; the number was chosen when it was created and cannot change"
    )]
    Partitions {
        /// The configured number.
        wanted: u16,
        /// The number of the log.
        found: u16,
    },
    /// There is no such partition.
    #[error("there is no partition {partition}; the log has {partitions}, counted from 0")]
    NoPartition {
        /// The requested partition.
        partition: Partition,
        /// How many there are.
        partitions: u16,
    },
    /// The lease, or the reader's token, is no longer valid.
    #[error("the lease of group {group} in partition {partition} is no longer held")]
    Fenced {
        /// The consumer group.
        group: String,
        /// The partition.
        partition: Partition,
    },
    /// The caller's request is invalid.
    #[error("could not {doing}: {reason}")]
    Invalid {
        /// The operation.
        doing: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The store holds data that HemoStat did not write.
    #[error("could not {doing}: the store holds something unexpected ({reason})")]
    Corrupt {
        /// The operation.
        doing: &'static str,
        /// What was found.
        reason: String,
    },
    /// The archive could not be read, or is damaged.
    #[error("{reason}")]
    Archive {
        /// The error, with the whole chain of reasons.
        reason: String,
        /// Whether a retry may help.
        transient: bool,
    },
    /// The server refused the command for another reason.
    #[error("could not {doing}: Redis at {server} refused ({reply})")]
    Refused {
        /// The operation.
        doing: &'static str,
        /// The address, without credentials.
        server: String,
        /// The reply of the server.
        reply: String,
    },
}

impl Error {
    /// Whether a later retry of the same call may succeed without an operator.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Archive { transient, .. } => *transient,
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::NotReady { .. } => true,
            Self::Auth { .. }
            | Self::TooOld { .. }
            | Self::Evicts { .. }
            | Self::NotDurable { .. }
            | Self::Untrusted { .. }
            | Self::Certificates { .. }
            | Self::Url { .. }
            | Self::NotMigrated { .. }
            | Self::TooNew { .. }
            | Self::Diverged { .. }
            | Self::MigrationLocked { .. }
            | Self::Partitions { .. }
            | Self::NoPartition { .. }
            | Self::Fenced { .. }
            | Self::Invalid { .. }
            | Self::Corrupt { .. }
            | Self::Refused { .. } => false,
        }
    }
}
