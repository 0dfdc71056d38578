//! Container names, matched by glob patterns.

use globset::{Glob, GlobSet, GlobSetBuilder};
use serde::{Deserialize, Serialize};

/// A set of glob patterns for container names.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct NamePatterns {
    globs: Vec<String>,
    set: GlobSet,
}

impl NamePatterns {
    /// From globs such as `hemostat-*`.
    ///
    /// # Errors
    /// If one of them is not a valid glob.
    pub fn new<'a>(globs: impl IntoIterator<Item = &'a str>) -> Result<Self, globset::Error> {
        globs.into_iter().map(str::to_owned).collect::<Vec<_>>().try_into()
    }

    /// Whether there are no patterns.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    /// Whether one of the patterns matches `name`.
    pub fn contains(&self, name: &str) -> bool {
        self.set.is_match(name)
    }
}

impl TryFrom<Vec<String>> for NamePatterns {
    type Error = globset::Error;

    fn try_from(globs: Vec<String>) -> Result<Self, globset::Error> {
        let mut set = GlobSetBuilder::new();
        for glob in &globs {
            set.add(Glob::new(glob)?);
        }
        Ok(Self { set: set.build()?, globs })
    }
}

impl From<NamePatterns> for Vec<String> {
    fn from(patterns: NamePatterns) -> Self {
        patterns.globs
    }
}

impl PartialEq for NamePatterns {
    fn eq(&self, other: &Self) -> bool {
        self.globs == other.globs
    }
}
