//! What looks like chance, and so like a key?
//!
//! Words repeat, keys do not: 32 characters or more in which small and large letters and digits alternate without a
//! pattern are taken for a key. Chance in hexadecimal is mostly an identity or a digest (a container, a commit, a
//! trace), and those are evidence: it is taken for a key only where it is the value of something whose name does not say
//! that it identifies.

use std::{ops::Range, sync::LazyLock};

use regex::Regex;

use super::{names::identifies, shapes::compiled};

/// So long is a key at least.
const LEAST: usize = 32;
/// So much of it must look like chance.
const LEAST_CHANCE: usize = 20;

static RUN: LazyLock<Regex> = LazyLock::new(|| compiled(r"[A-Za-z0-9+/_=-]{32,}"));

/// Keys without a shape or a name.
pub(super) fn find(text: &str) -> Vec<Range<usize>> {
    RUN.find_iter(text).flat_map(|run| parts(text, run.range())).filter(|range| is_secret(text, range)).collect()
}

/// `name=value` is one run: its name is none of the key. An `=` at the end pads base64.
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
    if found.len() < LEAST {
        return false;
    }
    let before = &text[..range.start];
    let is_hex = found.chars().all(|char| char.is_ascii_hexdigit());
    if is_hex || is_uuid(found) {
        return is_hex && is_value(before, &text[range.end..]);
    }
    // `sha512-…` is how packages write their digests.
    let digest = ["sha256-", "sha384-", "sha512-"].iter().any(|prefix| found.starts_with(prefix));
    !digest && !is_path(before, found) && random(found) >= LEAST_CHANCE
}

/// Whether what follows `before` is the value of something that does not say it identifies, or stands alone.
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
    !name.is_empty() && !identifies(name)
}

/// Whether it is a part of a path: it has a root, and its first parts are words.
fn is_path(before: &str, found: &str) -> bool {
    let rooted = found.starts_with('/') || before.ends_with(['/', '.', '~']);
    rooted && found.trim_start_matches('/').split('/').next().is_some_and(|first| random(first) < 8)
}

fn is_uuid(found: &str) -> bool {
    let lengths: Vec<_> = found.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && found.chars().all(|char| char == '-' || char.is_ascii_hexdigit())
}

/// How many characters belong to pieces in which chance is at work.
fn random(found: &str) -> usize {
    found.split(['-', '_', '/', '+', '=']).filter(|piece| is_random(piece)).map(str::len).sum()
}

#[derive(PartialEq, Clone, Copy)]
enum Kind {
    Small,
    Large,
    Digit,
}

/// Letters of both kinds and digits change places all the time in chance, and seldom in words and numbers.
fn is_random(piece: &str) -> bool {
    let kinds: Vec<Kind> = piece
        .bytes()
        .map(|byte| match byte {
            b'0'..=b'9' => Kind::Digit,
            b'A'..=b'Z' => Kind::Large,
            _ => Kind::Small,
        })
        .collect();
    let changes = kinds.windows(2).filter(|pair| pair[0] != pair[1]).count();
    let (small, large) = (kinds.contains(&Kind::Small), kinds.contains(&Kind::Large));
    // In hundredths of the piece's length; of chance one expects 62 with both kinds of letters, 40 with one.
    let least = if small && large { 36 } else { 20 };
    piece.len() >= 8 && changes * 100 >= least * piece.len()
}
