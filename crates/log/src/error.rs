//! What can go wrong with the store, and whether trying again may help.

use std::time::Duration;

use hemostat_schema::Partition;

use crate::Durability;

/// Why the store did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No connection, or it broke.
    #[error("could not {doing}: no connection to Redis at {server} ({reason})")]
    Unreachable {
        /// What was to be done: `read the log`.
        doing: &'static str,
        /// The address, without credentials.
        server: String,
        /// What the client said.
        reason: String,
    },
    /// No answer in time.
    #[error("could not {doing}: Redis at {server} did not answer within {limit:?}")]
    TimedOut {
        /// What was to be done.
        doing: &'static str,
        /// The address, without credentials.
        server: String,
        /// How long it had.
        limit: Duration,
    },
    /// The server is there but cannot work at the moment: it loads its data, is a replica, cannot write its disk, or is
    /// out of memory.
    #[error("could not {doing}: Redis at {server} is not ready ({reply})")]
    NotReady {
        /// What was to be done.
        doing: &'static str,
        /// The address, without credentials.
        server: String,
        /// What the server said.
        reply: String,
    },
    /// The server does not accept the credentials, or wants some.
    #[error("Redis at {server} refused the user or the password ({reply}); check redis.url and redis.password")]
    Auth {
        /// The address, without credentials.
        server: String,
        /// What the server said.
        reply: String,
    },
    /// The server has no Redis Functions.
    #[error("Redis at {server} is version {version}; HemoStat needs 7.0 or later")]
    TooOld {
        /// The address, without credentials.
        server: String,
        /// What the server says it is.
        version: String,
    },
    /// The server may throw the log away when memory runs short.
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
    /// The server cannot make events as safe as they are wanted to be.
    #[error("Redis at {server} cannot keep what redis.durability = \"{wanted}\" promises ({why}); {remedy}")]
    NotDurable {
        /// The address, without credentials.
        server: String,
        /// What is wanted.
        wanted: Durability,
        /// What stands in the way.
        why: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// The server shows a certificate that nobody vouches for, or that is not for it.
    #[error("the certificate of Redis at {server} is not trusted ({reason}); check redis.url and redis.ca_file")]
    Untrusted {
        /// The address, without credentials.
        server: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The certificates to trust cannot be had.
    #[error("could not load the certificates of {whose}: {reason}")]
    Certificates {
        /// Of which file, or of the machine.
        whose: String,
        /// What is wrong with them.
        reason: String,
    },
    /// The address cannot be understood.
    #[error(
        "redis.url is not usable: {reason}; right would be redis://host:6379/0, rediss://host:6379, unix:///path, \
         redis-cluster://host:6379,host:6379 or redis-sentinel://host:26379,host:26379/master"
    )]
    Url {
        /// What is wrong with it; never the address itself, which may hold a password.
        reason: String,
    },
    /// The log was not set up for this program yet.
    #[error("the log at {server} is not ready for this program ({missing}); run `hemostat migrate`")]
    NotMigrated {
        /// The address, without credentials.
        server: String,
        /// What is missing.
        missing: String,
    },
    /// A later program has changed the log.
    #[error(
        "the log at {server} was migrated by a later HemoStat (migration {migration}); use that version or a later one"
    )]
    TooNew {
        /// The address, without credentials.
        server: String,
        /// The first migration that this program does not know.
        migration: String,
    },
    /// What stands in the log under a migration's number is not what this program has under it.
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
    /// Somebody else migrates, and does not come to an end.
    #[error("the log at {server} is being migrated by another process; if there is none, delete the key {key}")]
    MigrationLocked {
        /// The address, without credentials.
        server: String,
        /// The lock.
        key: &'static str,
    },
    /// The number of partitions is not the one that was chosen at first.
    #[error(
        "the log has {found} partitions, not {wanted}; the number was chosen when it was created and cannot change"
    )]
    Partitions {
        /// What the configuration says.
        wanted: u16,
        /// What the log says.
        found: u16,
    },
    /// There is no such partition.
    #[error("there is no partition {partition}; the log has {partitions}, counted from 0")]
    NoPartition {
        /// What was asked for.
        partition: Partition,
        /// How many there are.
        partitions: u16,
    },
    /// The lease, or the right to read, went to somebody else.
    #[error("the lease of group {group} in partition {partition} is no longer held")]
    Fenced {
        /// Whose.
        group: String,
        /// Where.
        partition: Partition,
    },
    /// Something that the caller wants to write cannot be written.
    #[error("could not {doing}: {reason}")]
    Invalid {
        /// What was to be done.
        doing: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// What stands in the store is not what HemoStat wrote.
    #[error("could not {doing}: the store holds something unexpected ({reason})")]
    Corrupt {
        /// What was to be done.
        doing: &'static str,
        /// What was found.
        reason: String,
    },
    /// The archive could not be read, or is damaged.
    #[error("{reason}")]
    Archive {
        /// What it said, with the whole chain of reasons.
        reason: String,
        /// Whether trying again later may help.
        transient: bool,
    },
    /// The server refused for another reason.
    #[error("could not {doing}: Redis at {server} refused ({reply})")]
    Refused {
        /// What was to be done.
        doing: &'static str,
        /// The address, without credentials.
        server: String,
        /// What the server said.
        reply: String,
    },
}

impl Error {
    /// Whether trying again later may help, with nothing changed by anybody but time.
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
