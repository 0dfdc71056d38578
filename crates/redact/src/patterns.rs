//! Regular expressions: the built-in ones, and those of the installation.

use std::fmt;

use regex::{Regex, RegexBuilder};

/// Maximum size of a compiled pattern, in bytes.
const MAX_COMPILED_SIZE: usize = 1 << 20;
/// Maximum number of the installation's own patterns.
pub(crate) const MAX_PATTERNS: usize = 64;

/// Compiles a built-in pattern.
pub(crate) fn compiled(pattern: &str) -> Regex {
    Regex::new(pattern).expect("tests compile all built-in patterns")
}

/// The installation's own patterns.
#[derive(Clone, Default)]
pub struct Patterns(Vec<Regex>);

impl Patterns {
    /// Compiles regular expressions, in the syntax of the regex crate.
    ///
    /// # Errors
    /// One line for the first pattern that is invalid, matches the empty text or is too large; or if there are too many.
    pub fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, BadPattern> {
        let compile = |pattern: &str| {
            let bad = |reason: String| BadPattern { pattern: pattern.to_owned(), reason };
            let compiled = RegexBuilder::new(pattern).size_limit(MAX_COMPILED_SIZE).build().map_err(|error| {
                bad(match error {
                    regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
                    // The last line of the crate's message is the reason.
                    error => error.to_string().lines().last().unwrap_or_default().trim().to_owned(),
                })
            })?;
            if compiled.is_match("") {
                return Err(bad("it matches an empty text".to_owned()));
            }
            Ok(compiled)
        };
        let compiled = patterns.into_iter().map(compile).collect::<Result<Vec<_>, _>>()?;
        match compiled.get(MAX_PATTERNS) {
            Some(one) => {
                Err(BadPattern { pattern: one.to_string(), reason: format!("there are more than {MAX_PATTERNS}") })
            }
            None => Ok(Self(compiled)),
        }
    }
}

impl Patterns {
    /// The patterns as text.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(Regex::as_str)
    }

    pub(crate) fn regexes(&self) -> impl Iterator<Item = &Regex> {
        self.0.iter()
    }
}

impl fmt::Debug for Patterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// A pattern that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadPattern {
    /// The pattern as text.
    pub pattern: String,
    /// Why it cannot be used.
    pub reason: String,
}

impl fmt::Display for BadPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the pattern {:?} cannot be used: {}", self.pattern, self.reason)
    }
}

impl std::error::Error for BadPattern {}
