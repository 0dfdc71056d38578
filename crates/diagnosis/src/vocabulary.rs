//! The words and messages by which other programs are recognised. They are data, in `vocabulary.toml`, which says what
//! each list is for.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::known_failure::KnownFailure;

/// All lists.
pub(crate) static VOCABULARY: LazyLock<Vocabulary> = LazyLock::new(|| {
    toml::from_str(include_str!("vocabulary.toml")).expect("the file is part of the program, and each test reads it")
});

/// The lists of `vocabulary.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Vocabulary {
    pub data_programs: Words,
    pub data_tasks: Words,
    pub postgres_tasks: Words,
    pub build_programs: Words,
    pub build_tasks: Words,
    pub server_arguments: Words,
    pub runners: Words,
    pub debuggers: Words,
    pub shells: Words,
    pub one_off_jobs: Words,
    pub finite_work: Words,
    pub remaining_work: Words,
    pub miners: Words,
    pub unhealthy_statuses: Words,
    pub internal_components: Words,
    pub retry: Words,
    pub unavailable: Words,
    pub failures: Vec<FailureMessages>,
}

/// The messages that mean one failure.
#[derive(Debug, Deserialize)]
pub(crate) struct FailureMessages {
    pub failure: KnownFailure,
    pub patterns: Words,
}

/// A list of words or messages.
#[derive(Debug, Deserialize)]
pub(crate) struct Words(Vec<String>);

impl Words {
    /// Whether `word` is one of them.
    pub fn contain(&self, word: &str) -> bool {
        self.any(|known| known == word)
    }

    /// Whether one of them is such a word.
    pub fn any(&self, is_such: impl Fn(&str) -> bool) -> bool {
        self.0.iter().any(|word| is_such(word))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn patterns_are_lower_case_and_unique() {
        let mut seen = BTreeSet::new();
        for pattern in VOCABULARY.failures.iter().flat_map(|messages| &messages.patterns.0) {
            assert_eq!(pattern.to_lowercase(), *pattern);
            assert!(seen.insert(pattern), "{pattern} is listed twice");
        }
    }
}
