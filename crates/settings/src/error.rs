//! Where a value comes from, and why a configuration is refused.

use std::{fmt, path::PathBuf};

use toml::Value;

use crate::value::written;

/// Where a value was set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Origin {
    /// Nowhere: it is the default.
    #[default]
    Default,
    /// In this configuration file.
    File(PathBuf),
    /// In this environment variable.
    Environment(String),
    /// On the command line.
    CommandLine,
    /// In a file that holds nothing but this secret.
    SecretFile {
        /// The file.
        path: PathBuf,
        /// Where the file is named.
        named_by: Box<Origin>,
    },
    /// The whole here, and one part of it elsewhere.
    Parts {
        /// The whole.
        whole: Box<Origin>,
        /// The part, such as `alerts.channels.ops.url`.
        part: String,
        /// Where that is set.
        set_by: Box<Origin>,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => path.display().fmt(f),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::CommandLine => f.write_str("command line"),
            Self::SecretFile { path, named_by } => write!(f, "{}, named by {named_by}", path.display()),
            Self::Parts { whole, part, set_by } => write!(f, "{whole}; {part}: {set_by}"),
        }
    }
}

/// Why a configuration is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The configuration file cannot be read, or is not TOML.
    #[error("could not read the configuration file {}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The configuration file set something when HemoStat last read it, and sets nothing now.
    #[error(
        "{} sets nothing any more, as a file does that is being written or was cut off by a full disk; to go back to the \
         defaults, restart HemoStat",
        path.display()
    )]
    Emptied {
        /// The file.
        path: PathBuf,
    },
    /// A value is invalid.
    #[error("{key} = {value} (from {origin}) is not right; right would be {right}")]
    Value {
        /// The key.
        key: String,
        /// Its value as it was written; `***` for a secret.
        value: String,
        /// Where it was set.
        origin: Origin,
        /// What would be right.
        right: String,
    },
    /// There is no such key.
    #[error(
        "there is no key {key} (from {origin}){}",
        near.as_ref().map(|near| format!("; did you mean {near}?")).unwrap_or_default()
    )]
    Unknown {
        /// As it was written.
        key: String,
        /// Where it was set.
        origin: String,
        /// The key that was probably meant.
        near: Option<String>,
    },
    /// The file of a secret cannot be used.
    #[error(
        "could not read {key} from {origin}: {reason}; write the secret into that file and let HemoStat's user read it, \
         or set {key} itself"
    )]
    SecretFile {
        /// The key.
        key: String,
        /// The file and where it is named.
        origin: Origin,
        /// What is wrong with it.
        reason: String,
    },
    /// A secret is set both as a value and as a file, or by two files.
    #[error("{key} is set twice: from {first} and from {second}; remove one of them")]
    Twice {
        /// The key.
        key: String,
        /// Where it was set first.
        first: Origin,
        /// Where it was set as well.
        second: Origin,
    },
    /// An environment variable cannot be read as text.
    #[error(
        "could not read {key} from environment variable {variable}: its value is not UTF-8; set it again as UTF-8, or set \
         {key} in the configuration file"
    )]
    NotText {
        /// The key.
        key: String,
        /// The variable.
        variable: String,
    },
}

/// What is wrong with a value, and with which part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// This part is invalid.
    Value {
        /// Its place after the key, such as `[1].name`.
        at: String,
        /// As it was written.
        value: String,
        /// What would be right.
        right: String,
    },
    /// There is no such part.
    Unknown {
        /// Its place after the key.
        at: String,
        /// What was probably meant.
        near: Option<String>,
    },
    /// It should be in a file, which cannot be used for this reason.
    SecretFile(String),
}

impl Wrong {
    /// That the part at `at` is `value`, and should be `right`.
    pub(crate) fn value(at: &str, value: &Value, right: impl Into<String>) -> Self {
        Self::Value { at: at.to_owned(), value: written(value), right: right.into() }
    }

    /// The same, in a part of something larger.
    pub(crate) fn under(self, place: &str) -> Self {
        match self {
            Self::Value { at, value, right } => Self::Value { at: format!("{place}{at}"), value, right },
            Self::Unknown { at, near } => Self::Unknown { at: format!("{place}{at}"), near },
            Self::SecretFile(reason) => Self::SecretFile(reason),
        }
    }

    /// As the error about `key`, which was set at `origin`.
    pub(crate) fn into_error(self, key: &str, origin: &Origin) -> Error {
        match self {
            Self::Value { at, value, right } => {
                Error::Value { key: format!("{key}{at}"), value, origin: origin.clone(), right }
            }
            Self::Unknown { at, near } => {
                Error::Unknown { key: format!("{key}{at}"), origin: origin.to_string(), near }
            }
            Self::SecretFile(reason) => Error::SecretFile { key: key.to_owned(), origin: origin.clone(), reason },
        }
    }
}
