//! Finds keys that have no known format and no name, because they look random.
//!
//! 32 characters or more in which lower case, upper case and digits alternate irregularly count as a key. Random
//! hexadecimal is mostly an id or a digest (of a container, a commit, a trace), which is evidence: it counts as a key only
//! as a value whose name does not mean an id.

use std::{ops::Range, sync::LazyLock};

use regex::Regex;

use crate::{patterns::compiled, secret_names::is_id_name};

/// Minimum length of a key.
const MIN_LENGTH: usize = 32;
/// Minimum number of its characters that look random.
const MIN_RANDOM: usize = 20;

static RUN: LazyLock<Regex> = LazyLock::new(|| compiled(r"[A-Za-z0-9+/_=-]{32,}"));

/// Keys without a known format or name.
pub(super) fn find(text: &str) -> Vec<Range<usize>> {
    RUN.find_iter(text).flat_map(|run| parts(text, run.range())).filter(|range| is_secret(text, range)).collect()
}

/// The parts of a run at `=`: in `name=value` the name is no part of the key. An `=` at the end is base64 padding.
fn parts(text: &str, run: Range<usize>) -> Vec<Range<usize>> {
    let body = text[run.clone()].trim_end_matches('=');
    let mut start = run.start;
    let mut parts = vec![];
    for part in body.split('=') {
        parts.push(start..start + part.len());
        start += part.len() + 1;
    }
    if let Some(last) = parts.last_mut() {
        last.end = run.end;
    }
    parts
}

fn is_secret(text: &str, range: &Range<usize>) -> bool {
    let found = text[range.clone()].trim_end_matches('=');
    if found.len() < MIN_LENGTH {
        return false;
    }
    let before = &text[..range.start];
    let is_hex = found.chars().all(|char| char.is_ascii_hexdigit());
    if is_hex || is_uuid(found) {
        return is_hex && is_value(before, &text[range.end..]);
    }
    // Package managers write digests as `sha512-…`.
    let digest = ["sha256-", "sha384-", "sha512-"].iter().any(|prefix| found.starts_with(prefix));
    !digest && !is_path(before, found) && random_characters(found) >= MIN_RANDOM
}

/// Whether it is a value whose name does not mean an id, or alone on its line.
fn is_value(before: &str, after: &str) -> bool {
    let quotes = |char: char| matches!(char, '"' | '\'' | '`' | '\\' | '(' | ' ');
    let Some(named) = before.trim_end_matches(quotes).strip_suffix([':', '=']) else {
        let line_before = before.rsplit('\n').next().unwrap_or_default();
        let line_after = after.split('\n').next().unwrap_or_default();
        return line_before.trim().is_empty() && line_after.trim().is_empty();
    };
    let named = named.trim_end_matches(quotes);
    let start = named
        .rfind(|char: char| !(char.is_alphanumeric() || matches!(char, '_' | '-' | '.')))
        .map_or(0, |at| at + named[at..].chars().next().map_or(1, char::len_utf8));
    let name = &named[start..];
    !name.is_empty() && !is_id_name(name)
}

/// Whether it is part of a path: it follows a root, and its first part is a word.
fn is_path(before: &str, found: &str) -> bool {
    let rooted = found.starts_with('/') || before.ends_with(['/', '.', '~']);
    rooted && found.trim_start_matches('/').split('/').next().is_some_and(|first| random_characters(first) < 8)
}

fn is_uuid(found: &str) -> bool {
    let lengths: Vec<_> = found.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && found.chars().all(|char| char == '-' || char.is_ascii_hexdigit())
}

/// How many characters belong to pieces that look random.
fn random_characters(found: &str) -> usize {
    found.split(['-', '_', '/', '+', '=']).filter(|piece| is_random(piece)).map(str::len).sum()
}

#[derive(PartialEq, Clone, Copy)]
enum Kind {
    Lower,
    Upper,
    Digit,
}

/// In random text lower case, upper case and digits alternate often, in words and numbers rarely.
fn is_random(piece: &str) -> bool {
    let kinds: Vec<Kind> = piece
        .bytes()
        .map(|byte| match byte {
            b'0'..=b'9' => Kind::Digit,
            b'A'..=b'Z' => Kind::Upper,
            _ => Kind::Lower,
        })
        .collect();
    let changes = kinds.windows(2).filter(|pair| pair[0] != pair[1]).count();
    let (lower, upper) = (kinds.contains(&Kind::Lower), kinds.contains(&Kind::Upper));
    // Changes per 100 characters; random text has about 62 with both cases, 40 with one.
    let least = if lower && upper { 36 } else { 20 };
    piece.len() >= 8 && changes * 100 >= least * piece.len()
}
