//! The failure that a message means.

use crate::{known_failure::KnownFailure, vocabulary::VOCABULARY};

/// The failure that a line names.
pub(super) fn failure(line: &str) -> Option<KnownFailure> {
    let line = line.to_lowercase();
    let names = |pattern: &str| fits(&line, pattern);
    VOCABULARY.failures.iter().find(|messages| messages.patterns.any(names)).map(|messages| messages.failure)
}

/// Whether a line contains all parts of a pattern, which ` & ` separates.
fn fits(line: &str, pattern: &str) -> bool {
    pattern.split(" & ").all(|part| line.contains(part))
}

/// Whether a line says that another service is temporarily unavailable, and that the program will retry.
pub(super) fn reports_retry(line: &str) -> bool {
    let line = line.to_lowercase();
    // A status code of three digits must not be a part of a longer number.
    let contains = |phrase: &str| match line.find(phrase) {
        Some(at) if phrase.starts_with(|c: char| c.is_ascii_digit()) => {
            let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit() || c == '.');
            !digit(line[..at].chars().next_back()) && !digit(line[at + phrase.len()..].chars().next())
        }
        found => found.is_some(),
    };
    VOCABULARY.retry.any(|pattern| fits(&line, pattern)) && VOCABULARY.unavailable.any(contains)
}

#[cfg(test)]
mod tests;
