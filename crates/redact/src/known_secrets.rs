//! The secret values of one container, from its environment and its arguments.
//!
//! These are the values of variables whose names mean a secret, and secrets within other values, such as the password in
//! a URL. They are kept in memory only, and never shown.

use std::{collections::BTreeSet, fmt, ops::Range};

use crate::{detectors::secrets, redacted::MARK, secret_names::is_secret_name};

/// Minimum length of a value; a shorter one would match everywhere.
const MIN_LENGTH: usize = 4;
/// Minimum length of a value that is found within words; a shorter one only as a whole word.
const MIN_LENGTH_IN_WORD: usize = 8;
/// Maximum number of values.
const MAX_VALUES: usize = 256;

/// Secret values, the longest first.
#[derive(Clone, Default)]
pub struct KnownSecrets(Vec<String>);

impl KnownSecrets {
    /// Collects them from an environment (`NAME=value` each) and from other texts, such as a command line.
    pub fn new<'a>(environment: impl IntoIterator<Item = &'a str>, texts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut values = BTreeSet::new();
        for variable in environment {
            let Some((name, value)) = variable.split_once('=') else { continue };
            if is_secret_name(name) {
                add(&mut values, value);
            }
            add_within(&mut values, value);
        }
        for text in texts {
            add_within(&mut values, text);
        }
        let mut values: Vec<String> = values.into_iter().collect();
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        values.truncate(MAX_VALUES);
        Self(values)
    }

    /// Where they occur in `text`.
    pub(super) fn find(&self, text: &str) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = vec![];
        for value in &self.0 {
            found.extend(text.match_indices(value.as_str()).map(|(start, value)| start..start + value.len()).filter(
                |range| {
                    let letter = |char: char| char.is_alphanumeric();
                    let word = !text[..range.start].ends_with(letter) && !text[range.end..].starts_with(letter);
                    word || value.len() >= MIN_LENGTH_IN_WORD
                },
            ));
        }
        found.sort_by_key(|range| (range.start, std::cmp::Reverse(range.end)));
        found
    }
}

impl fmt::Debug for KnownSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} values", self.0.len())
    }
}

fn add_within(values: &mut BTreeSet<String>, text: &str) {
    for secret in secrets(text) {
        // Of `user:password` in a URL, the password alone is secret, too.
        if let Some((_, password)) = secret.split_once(':') {
            add(values, password);
        }
        add(values, secret);
    }
}

/// Adds a value in all forms in which it may occur.
fn add(values: &mut BTreeSet<String>, value: &str) {
    const COMMON: [&str; 10] =
        ["true", "false", "none", "null", "default", "disabled", "enabled", "required", "auto", "name"];
    let value = value.trim();
    let value = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote)).unwrap_or(value);
    let is_common = COMMON.iter().any(|common| common.eq_ignore_ascii_case(value));
    if value.len() < MIN_LENGTH || is_common || MARK.contains(value) {
        return;
    }
    // Percent-encoded, as in a URL; escaped, as in JSON; decoded, if it is percent-encoded; and as it is.
    let mut encoded = String::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            encoded.push(byte.into());
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    values.insert(value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n"));
    if let Some(decoded) = decoded(value) {
        values.insert(decoded);
    }
    values.insert(encoded);
    // The lines of a multi-line value may occur alone.
    for line in value.lines().map(str::trim).filter(|line| line.len() >= MIN_LENGTH_IN_WORD) {
        values.insert(line.to_owned());
    }
    values.insert(value.to_owned());
}

/// The decoded text, if it is percent-encoded.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = vec![];
    let mut rest = text;
    while let Some((plain, coded)) = rest.split_once('%') {
        bytes.extend(plain.bytes());
        bytes.push(u8::from_str_radix(coded.get(..2)?, 16).ok()?);
        rest = coded.get(2..)?;
    }
    bytes.extend(rest.bytes());
    String::from_utf8(bytes).ok().filter(|decoded| decoded != text && decoded.len() >= MIN_LENGTH)
}
