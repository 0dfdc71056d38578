//! Secrets: values that are never shown and may be kept in a file of their own.
//!
//! The file is read again at each use, so that HemoStat uses a rotated password, key or webhook address without a
//! restart. If the file cannot be read at that moment (it is just being replaced), the last value read stays in use.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use secrecy::{ExposeSecret as _, SecretString};
use tracing::warn;

use crate::value::BYTE_ORDER_MARK;

/// A secret, or the file that holds it.
#[derive(Clone)]
pub struct Secret(Source);

#[derive(Clone)]
enum Source {
    Value(SecretString),
    File(Arc<SecretFile>),
}

struct SecretFile {
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    last: SecretString,
    /// Whether the last read failed, so that a warning is logged once and not at each use.
    failed: bool,
}

impl Secret {
    /// The secret in this file, without a byte order mark and the newline at its end.
    ///
    /// # Errors
    /// Why the file cannot be used.
    pub fn from_file(path: PathBuf) -> Result<Self, String> {
        let last = read(&path)?;
        Ok(Self(Source::File(Arc::new(SecretFile { path, state: Mutex::new(State { last, failed: false }) }))))
    }

    /// Whether both are the same value, or are in the same file.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Source::Value(one), Source::Value(other)) => one.expose_secret() == other.expose_secret(),
            (Source::File(one), Source::File(other)) => one.path == other.path,
            (Source::Value(_), Source::File(_)) | (Source::File(_), Source::Value(_)) => false,
        }
    }

    /// Its value now: what its file holds, or the last value read if the file cannot be read.
    pub fn current(&self) -> SecretString {
        match &self.0 {
            Source::Value(value) => value.clone(),
            Source::File(file) => file.current(),
        }
    }
}

impl SecretFile {
    fn current(&self) -> SecretString {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match read(&self.path) {
            Ok(value) => *state = State { last: value, failed: false },
            Err(reason) if !state.failed => {
                state.failed = true;
                let path = self.path.display();
                warn!("could not read the secret in {path} again: {reason}; HemoStat keeps using the last value read");
            }
            Err(_) => {}
        }
        state.last.clone()
    }
}

fn read(path: &Path) -> Result<SecretString, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text).trim_end_matches(['\r', '\n']);
    if text.trim().is_empty() { Err("it is empty".to_owned()) } else { Ok(text.into()) }
}

impl From<SecretString> for Secret {
    fn from(value: SecretString) -> Self {
        Self(Source::Value(value))
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        SecretString::from(value).into()
    }
}

impl From<&str> for Secret {
    fn from(value: &str) -> Self {
        SecretString::from(value).into()
    }
}

/// Without the secret.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Value(_) => f.write_str("Secret(***)"),
            Source::File(file) => write!(f, "Secret(*** in {})", file.path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_a_file_is_read_at_each_use_and_outlives_an_unreadable_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        fs::write(&path, "first\r\n").unwrap();
        let secret = Secret::from_file(path.clone()).unwrap();
        let now = || secret.current().expose_secret().to_owned();
        assert_eq!(now(), "first");
        fs::write(&path, "\u{feff}second\n").unwrap();
        assert_eq!(now(), "second", "a byte order mark is no part of a secret");
        fs::write(&path, "\n").unwrap();
        assert_eq!(now(), "second", "an empty file is no secret");
        fs::remove_file(&path).unwrap();
        assert_eq!(now(), "second");
        fs::write(&path, "third").unwrap();
        assert_eq!(now(), "third");
        assert!(!format!("{secret:?} {:?}", Secret::from("third")).contains("third"));
    }
}
