//! The archive's errors, and which of them are transient.

use hemostat_log::chain::Hash;
use hemostat_schema::EventId;

/// Why an operation of the archive or the witness failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is invalid.
    #[error("{url} is not an archive: {reason}; use a directory, file:///path or s3://bucket/prefix")]
    Url {
        /// The address as configured, with `***` in place of credentials.
        url: String,
        /// Why it is invalid.
        reason: String,
    },
    /// The storage failed.
    #[error("could not {action} {object} of the {store}")]
    Storage {
        /// The attempted action, such as `read`.
        action: &'static str,
        /// The object's name.
        object: String,
        /// `archive` or `witness`.
        store: &'static str,
        /// The storage's error.
        source: Box<object_store::Error>,
    },
    /// An object was altered or is missing.
    #[error("the archive is damaged: {0}")]
    Damaged(DamagedObject),
    /// Encoding failed.
    #[error("could not write events as Parquet: {0}")]
    Unwritable(String),
    /// Another process has sealed these events meanwhile.
    #[error("events from {first} on cannot be sealed: the archive reaches up to {sealed}")]
    AlreadySealed {
        /// The first event of the refused segment.
        first: EventId,
        /// The last sealed event.
        sealed: String,
    },
    /// The segment's chain of hashes does not continue the archive's.
    #[error("events from {first} on cannot be sealed: their chain of hashes does not continue the archive's")]
    ChainMismatch {
        /// The first event of the refused segment.
        first: EventId,
    },
    /// The witness holds another hash for this checkpoint: history was rewritten.
    #[error("{object}: the witness recorded the chain of hashes as {recorded}, and it is now {now}")]
    Contradicted {
        /// The witness's record.
        object: String,
        /// The hash that the witness recorded first.
        recorded: Hash,
        /// The hash of the same checkpoint now.
        now: Hash,
    },
}

/// Not as a source, because the message contains it already.
impl From<DamagedObject> for Error {
    fn from(damaged: DamagedObject) -> Self {
        Self::Damaged(damaged)
    }
}

impl Error {
    /// Whether a later retry may succeed without an operator.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Storage { source, .. } => !matches!(
                **source,
                object_store::Error::NotSupported { .. }
                    | object_store::Error::NotImplemented { .. }
                    | object_store::Error::PermissionDenied { .. }
                    | object_store::Error::Unauthenticated { .. }
                    | object_store::Error::UnknownConfigurationKey { .. }
            ),
            Self::AlreadySealed { .. } => true,
            Self::Url { .. }
            | Self::Damaged(_)
            | Self::Unwritable(_)
            | Self::ChainMismatch { .. }
            | Self::Contradicted { .. } => false,
        }
    }

    /// The message with the messages of all sources, each once.
    pub fn with_sources(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            let reason = error.to_string();
            if !text.contains(&reason) {
                text = format!("{text}: {reason}");
            }
            source = error.source();
        }
        text
    }
}

/// An object of the archive that was altered or is missing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{object} {why}")]
pub struct DamagedObject {
    /// The object's name.
    pub object: String,
    /// How it is damaged.
    pub why: Damage,
}

/// How an object of the archive is damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Another object references it.
    #[error("is missing")]
    Missing,
    /// Its bytes are not those that were sealed.
    #[error("was altered: its SHA-256 is {found}, not {sealed}")]
    Altered {
        /// What it was.
        sealed: Hash,
        /// What it is.
        found: Hash,
    },
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// Its contents contradict its manifest.
    #[error("contradicts its manifest: {0}")]
    Inconsistent(String),
    /// Its events do not give the chain of hashes in its manifest.
    #[error("does not give the chain of hashes in its manifest: SHA-256 {found}, not {sealed}")]
    Chain {
        /// What it was.
        sealed: Hash,
        /// What it is.
        found: Hash,
    },
}
