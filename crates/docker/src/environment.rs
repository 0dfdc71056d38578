//! The environment of the process, as far as discovery reads it.

use std::{fs, path::Path};

/// The process's environment: variables, files, operating system.
pub trait Environment: Send + Sync {
    /// An environment variable; `None` if it is unset or empty.
    fn variable(&self, name: &str) -> Option<String>;
    /// The content of a file; `None` if it cannot be read.
    fn read(&self, path: &Path) -> Option<String>;
    /// Whether this path exists (a dangling link does not).
    fn exists(&self, path: &Path) -> bool;
    /// Whether this is Windows.
    fn is_windows(&self) -> bool;
}

/// The real environment of this process.
#[derive(Debug, Clone, Copy)]
pub struct SystemEnvironment;

impl Environment for SystemEnvironment {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    }

    fn read(&self, path: &Path) -> Option<String> {
        fs::read_to_string(path).ok()
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn is_windows(&self) -> bool {
        cfg!(windows)
    }
}
