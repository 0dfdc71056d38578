//! What can go wrong with the archive, and whether trying again may help.

use hemostat_log::chain::Hash;
use hemostat_schema::EventId;

/// Why the archive did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be understood.
    #[error("{url} is not an archive: {reason}; right would be a directory, file:///path or s3://bucket/prefix")]
    Url {
        /// As it was given; `***` where it holds credentials.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The place did not do it.
    #[error("could not {doing} {object} of the {whose}")]
    Place {
        /// What was to be done: `read`.
        doing: &'static str,
        /// With which object.
        object: String,
        /// Of the archive or the witness.
        whose: &'static str,
        /// What it said.
        source: Box<object_store::Error>,
    },
    /// Something in the archive is not as it was sealed.
    #[error("the archive is damaged: {0}")]
    Broken(Broken),
    /// Entries that cannot be written as Parquet.
    #[error("could not write events as Parquet: {0}")]
    Unwritable(String),
    /// What was to be sealed does not follow what is sealed: somebody else has sealed meanwhile.
    #[error("events from {first} on cannot be sealed: the archive reaches up to {sealed}")]
    OutOfTurn {
        /// The first event that was to be sealed.
        first: EventId,
        /// The last one that is.
        sealed: String,
    },
    /// The chain of hashes of what was to be sealed is not the one that goes on where the archive ends.
    #[error("events from {first} on cannot be sealed: their chain of hashes does not go on where the archive's ends")]
    Unchained {
        /// The first event that was to be sealed.
        first: EventId,
    },
    /// The witness was told something else before.
    #[error("{which}: the witness was told that the chain of hashes stood at {told}, and now stands at {now}")]
    Contradicted {
        /// What the witness keeps.
        which: String,
        /// What it was told first.
        told: Hash,
        /// What it was to be told now.
        now: Hash,
    },
}

/// Not as a source: the message says it already.
impl From<Broken> for Error {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl Error {
    /// Whether trying again later may help, with nothing changed by anybody but time.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Place { source, .. } => !matches!(
                **source,
                object_store::Error::NotSupported { .. }
                    | object_store::Error::NotImplemented { .. }
                    | object_store::Error::PermissionDenied { .. }
                    | object_store::Error::Unauthenticated { .. }
                    | object_store::Error::UnknownConfigurationKey { .. }
            ),
            Self::OutOfTurn { .. } => true,
            Self::Url { .. }
            | Self::Broken(_)
            | Self::Unwritable(_)
            | Self::Unchained { .. }
            | Self::Contradicted { .. } => false,
        }
    }

    /// With the whole chain of reasons, each of them once.
    pub fn told(&self) -> String {
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

/// An object of the archive that is not as it was sealed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{which} {why}")]
pub struct Broken {
    /// The object, by its name.
    pub which: String,
    /// What is wrong with it.
    pub why: Damage,
}

/// What is wrong with an object of the archive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Another object says that it was there.
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
    /// It says one thing, what it stands for another.
    #[error("does not hold what its manifest says: {0}")]
    Otherwise(String),
    /// The chain of hashes over its events is not the one that its manifest has.
    #[error("does not give the chain of hashes that its manifest has: SHA-256 {found}, not {sealed}")]
    Chain {
        /// What it was.
        sealed: Hash,
        /// What it is.
        found: Hash,
    },
}
