//! Container names, matched by glob patterns.

use globset::{Glob, GlobSet, GlobSetBuilder};

/// A set of glob patterns for container names.
#[derive(Debug, Clone, Default)]
pub struct NamePatterns(GlobSet);

impl NamePatterns {
    /// From globs such as `hemostat-*`.
    ///
    /// # Errors
    /// If one of them is not a valid glob.
    pub fn new<'a>(globs: impl IntoIterator<Item = &'a str>) -> Result<Self, globset::Error> {
        let mut set = GlobSetBuilder::new();
        for glob in globs {
            set.add(Glob::new(glob)?);
        }
        set.build().map(Self)
    }

    /// Whether there are no patterns.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of the patterns matches `name`.
    pub fn contains(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}
