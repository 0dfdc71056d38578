//! Which values does a container hold that are secret?
//!
//! Its environment and its arguments tell: the value of a variable whose name means a secret, and what is secret within
//! other values, such as the password in an address. They are known only as long as this lives, and never shown.

use std::{collections::BTreeSet, fmt, ops::Range};

use super::{Redactor, names::name_a_secret};

/// A shorter value would be found everywhere.
const LEAST: usize = 4;
/// A shorter value counts only as a whole word.
const ANYWHERE: usize = 8;
/// At most so many values are looked for.
const MOST: usize = 256;

/// Values that are secret; the longest first.
#[derive(Clone, Default)]
pub struct Literals(Vec<String>);

impl Literals {
    /// From an environment (`NAME=value` each) and from texts that hold secrets as others do, such as a command line.
    pub fn new<'a>(environment: impl IntoIterator<Item = &'a str>, texts: impl IntoIterator<Item = &'a str>) -> Self {
        let redactor = Redactor::default();
        let mut values = BTreeSet::new();
        for variable in environment {
            let Some((name, value)) = variable.split_once('=') else { continue };
            if name_a_secret(name) {
                add(&mut values, value);
            }
            add_within(&mut values, &redactor, value);
        }
        for text in texts {
            add_within(&mut values, &redactor, text);
        }
        let mut values: Vec<String> = values.into_iter().collect();
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        values.truncate(MOST);
        Self(values)
    }

    /// Where they stand in `text`.
    pub(super) fn find(&self, text: &str) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = vec![];
        for value in &self.0 {
            found.extend(text.match_indices(value.as_str()).map(|(start, value)| start..start + value.len()).filter(
                |range| {
                    let letter = |char: char| char.is_alphanumeric();
                    let word = !text[..range.start].ends_with(letter) && !text[range.end..].starts_with(letter);
                    word || value.len() >= ANYWHERE
                },
            ));
        }
        found.sort_by_key(|range| (range.start, std::cmp::Reverse(range.end)));
        found
    }
}

impl fmt::Debug for Literals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} values", self.0.len())
    }
}

fn add_within(values: &mut BTreeSet<String>, redactor: &Redactor, text: &str) {
    for secret in redactor.secrets(text) {
        // Of an address's `user:password` also the password alone.
        if let Some((_, password)) = secret.split_once(':') {
            add(values, password);
        }
        add(values, secret);
    }
}

/// A value in the forms in which it may be met.
fn add(values: &mut BTreeSet<String>, value: &str) {
    const COMMON: [&str; 10] =
        ["true", "false", "none", "null", "default", "disabled", "enabled", "required", "auto", "name"];
    let value = value.trim();
    let value = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote)).unwrap_or(value);
    let is_common = COMMON.iter().any(|common| common.eq_ignore_ascii_case(value));
    if value.len() < LEAST || is_common || super::MARK.contains(value) {
        return;
    }
    // As it is, as a part of an address, and as a text in JSON.
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
    // Of one that has several lines each is met alone.
    for line in value.lines().map(str::trim).filter(|line| line.len() >= ANYWHERE) {
        values.insert(line.to_owned());
    }
    values.insert(value.to_owned());
}

/// What a percent-encoded text says, where it is one.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = vec![];
    let mut rest = text;
    while let Some((plain, coded)) = rest.split_once('%') {
        bytes.extend(plain.bytes());
        bytes.push(u8::from_str_radix(coded.get(..2)?, 16).ok()?);
        rest = coded.get(2..)?;
    }
    bytes.extend(rest.bytes());
    String::from_utf8(bytes).ok().filter(|decoded| decoded != text && decoded.len() >= LEAST)
}
