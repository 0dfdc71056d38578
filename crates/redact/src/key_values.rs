//! Finds secret values by their names: `password=…`, `"token": "…"`, `API Key: …`, `--secret …`, `<password>…</password>`,
//! `Authorization: …`, with any quoting.
//!
//! It finds a name first, then decides whether it means a secret, then finds where its value ends.

use std::{ops::Range, sync::LazyLock};

use regex::Regex;

use crate::{
    patterns::compiled,
    redacted::MARK,
    secret_names::{is_count_name, is_secret_name},
};

/// A name and the separator before its value: `name=`, `"name": `, `\"name\":`, `:name=>`, `name%3D`.
static NAMED: LazyLock<Regex> = LazyLock::new(|| {
    compiled(
        r#"(?<open>\\*["'`])?(?<name>[\p{L}_][\p{L}\p{N}_.\[\]-]*)(?<close>\\*["'`])?(?<sep>[ ]*(?:=>|:=|==|=|:|%3[AaDd])[ ]*)"#,
    )
});
/// `--name value`, `"--name", "value"`.
static FLAG: LazyLock<Regex> =
    LazyLock::new(|| compiled(r#"(?:^|[\s"'\[,(])--?(?<name>\p{L}[\p{L}\p{N}_-]*)(?:\\*["'],[ ]*|[ ]+)"#));
/// `password 'value'`, `password is value`.
static IN_SENTENCE: LazyLock<Regex> = LazyLock::new(|| {
    compiled(
        r#"(?<name>\p{L}[\p{L}\p{N}_-]*)[ ]+(?:(?:is|was|changed to|set to)[ ]*:?[ ]+(?<word>\S+)|(?<quote>["'`]))"#,
    )
});
/// `<name>value</`.
static ELEMENT: LazyLock<Regex> =
    LazyLock::new(|| compiled(r"<(?:\w+:)?(?<name>\p{L}[\p{L}\p{N}_.-]*)(?:\s[^<>]*)?>(?<value>[^<]+)</"));
/// The next pair, which ends the value before it.
static NEXT: LazyLock<Regex> =
    LazyLock::new(|| compiled(r#"^[,;&][ ]*\\*["'`]?[\p{L}_][\p{L}\p{N}_.\[\]-]*\\*["'`]?[ ]*(?:=|:|%3[AaDd])"#));
static NEXT_ON_LINE: LazyLock<Regex> =
    LazyLock::new(|| compiled(r"(?:[ ]+-{0,2}|[,;&][ ]*)[\p{L}_][\p{L}\p{N}_.-]*(?:=|:[ ])"));

/// Words that follow `token:` and `password is` in sentences and are no secret.
const SENTENCE_WORDS: &str = "\
    all an and are as at authentication bad be being but by cannot could denied did does empty error expected expired \
    failed failure false for found from has have in incorrect invalid is it malformed missing mismatch must nil no \
    none not null of off ok on only or please required should stored the this to too true unable undefined unexpected \
    unknown unset used valid was weak were when while will with wrong yes you your";

/// The values of names that mean a secret, in order.
pub(super) fn find(text: &str) -> Vec<Range<usize>> {
    let mut found = vec![];
    let mut from = 0;
    while let Some(captures) = NAMED.captures_at(text, from) {
        let (Some(whole), Some(name)) = (captures.get(0), captures.name("name")) else { break };
        from = whole.end();
        let named = full_name(text, name.range());
        if !is_secret_name(named) {
            continue;
        }
        let enclosing = match (captures.name("open"), captures.name("close")) {
            (Some(open), None) => Some(open.as_str()),
            _ => None,
        };
        let place = Place { named, start: whole.end(), enclosing, begins: begins_line(&text[..whole.start()]) };
        let value = value(text, &place);
        let prose = captures.name("sep").is_some_and(|sep| sep.as_str().trim_start().starts_with(": "));
        if !is_no_secret(named, &text[value.clone()], prose && value.start == place.start) {
            from = value.end.max(from);
            found.push(value);
        }
    }
    for captures in FLAG.captures_iter(text) {
        let (Some(whole), Some(name)) = (captures.get(0), captures.name("name")) else { continue };
        let place = Place { named: name.as_str(), start: whole.end(), enclosing: None, begins: false };
        let value = value(text, &place);
        if is_secret_name(name.as_str()) && !text[value.clone()].starts_with('-') {
            found.push(value);
        }
    }
    for captures in IN_SENTENCE.captures_iter(text) {
        let Some(name) = captures.name("name") else { continue };
        if !is_secret_name(full_name(text, name.range())) {
            continue;
        }
        let plain = |word: &str| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_punctuation());
        if let Some(word) = captures.name("word").filter(|word| !plain(word.as_str())) {
            let place = Place { named: name.as_str(), start: word.start(), enclosing: None, begins: false };
            found.push(value(text, &place));
        }
        if let Some(quote) = captures.name("quote") {
            let place = Place { named: name.as_str(), start: quote.start(), enclosing: None, begins: false };
            // A syntax error is about `token '}'`.
            let value = value(text, &place);
            if text[value.clone()].contains(char::is_alphanumeric) {
                found.push(value);
            }
        }
    }
    let secret = |captures: regex::Captures<'_>| {
        let (name, value) = (captures.name("name")?, captures.name("value")?);
        is_secret_name(name.as_str()).then(|| value.range())
    };
    found.extend(ELEMENT.captures_iter(text).filter_map(secret));
    found.retain(|range| !range.is_empty());
    found.sort_by_key(|range| (range.start, std::cmp::Reverse(range.end)));
    found
}

/// A name with the word before it, if only both together have a meaning: `API Key`, `connection string`.
fn full_name(text: &str, name: Range<usize>) -> &str {
    let word = &text[name.clone()];
    if !["key", "keys", "string"].iter().any(|half| half.eq_ignore_ascii_case(word)) {
        return word;
    }
    let Some(before) = text[..name.start].strip_suffix(' ') else { return word };
    let length = before.chars().rev().take_while(|char| char.is_alphanumeric()).map(char::len_utf8).sum::<usize>();
    &text[before.len() - length..name.end]
}

/// Whether a name is the first word on its line, as in a settings file.
fn begins_line(before: &str) -> bool {
    let line = before.rsplit('\n').next().unwrap_or_default().trim();
    matches!(line, "" | "-" | "#" | "export" | "ENV" | "set")
}

/// Whether a value is empty, a count or, in prose, a word of a sentence, rather than a secret.
fn is_no_secret(name: &str, value: &str, prose: bool) -> bool {
    const NOTHING: [&str; 10] = ["", "true", "false", "null", "nil", "none", "undefined", "yes", "no", MARK];
    let word = value.split_whitespace().next().unwrap_or_default();
    let word = word.trim_end_matches(['.', ',', ';', ':', '!', ')']);
    let is_number = value.len() <= 9 && value.bytes().all(|byte| byte.is_ascii_digit());
    let is_in_sentence = || SENTENCE_WORDS.split_whitespace().any(|common| common.eq_ignore_ascii_case(word));
    let is_nothing = NOTHING.iter().any(|nothing| nothing.eq_ignore_ascii_case(value));
    is_nothing || (is_count_name(name) && is_number) || (prose && is_in_sentence())
}

/// The position of a value.
struct Place<'a> {
    named: &'a str,
    start: usize,
    /// The quote that began before the name and is still open: `'Authorization: …'`.
    enclosing: Option<&'a str>,
    /// Whether the name is the first word on its line.
    begins: bool,
}

/// The value at a place, without its quotes.
fn value(text: &str, place: &Place<'_>) -> Range<usize> {
    let line_end = text[place.start..].find('\n').map_or(text.len(), |length| place.start + length);
    let mut start = place.start;
    for wrapped in ["Some(", "Secret(", "Ok("] {
        if text[start..line_end].starts_with(wrapped) {
            start += wrapped.len();
        }
    }
    let line = &text[start..line_end];
    if let Some(quote) = leading_quote(line) {
        let inner = start + quote.len();
        return inner..closing(&text[..line_end], inner, quote).unwrap_or(line_end);
    }
    if let Some(end) = place.enclosing.and_then(|quote| closing(&text[..line_end], start, quote)) {
        return start..end;
    }
    if let Some(length) = bracketed(line) {
        return start..start + length;
    }
    let length = if is_header(place.named) && text[..place.start].trim_end().ends_with(':') {
        line.find(['"', '\'']).unwrap_or(line.len())
    } else if place.begins {
        NEXT_ON_LINE.find(line).map_or(line.len(), |next| next.start())
    } else {
        word(line)
    };
    let value = line[..length].trim_end();
    let trimmed = value.trim_end_matches([',', ';', ')', ']', '}', '"', '\'', '`', '.']);
    // A mark ends with a bracket of its own.
    let kept = if value.starts_with(MARK) && trimmed.len() < MARK.len() { MARK.len() } else { trimmed.len() };
    start..start + kept
}

/// An opening quote with the backslashes before it.
fn leading_quote(text: &str) -> Option<&str> {
    let slashes = text.len() - text.trim_start_matches('\\').len();
    text[slashes..].starts_with(['"', '\'', '`']).then(|| &text[..=slashes])
}

/// The end of a value that began with `quote`. A quote after more backslashes is part of the value.
fn closing(text: &str, from: usize, quote: &str) -> Option<usize> {
    let mark = quote.chars().last()?;
    let slashes = quote.len() - 1;
    text[from..].match_indices(mark).find_map(|(index, _)| {
        let before = &text[from..from + index];
        let escaped = before.len() - before.trim_end_matches('\\').len();
        let ends = escaped == slashes || (slashes == 0 && escaped.is_multiple_of(2));
        ends.then(|| from + index - escaped.min(slashes))
    })
}

/// The length of a value in brackets, if nothing follows the closing one.
fn bracketed(line: &str) -> Option<usize> {
    let (open, close) = match line.chars().next()? {
        '{' => ('{', '}'),
        '[' => ('[', ']'),
        _ => return None,
    };
    let mut depth = 0_usize;
    let end = line.char_indices().find_map(|(index, char)| {
        if char == open {
            depth += 1;
        } else if char == close {
            depth -= 1;
        }
        (depth == 0).then_some(index + 1)
    });
    let end = end.unwrap_or(line.len());
    let follows = line[end..].chars().next();
    follows.is_none_or(|char| char.is_whitespace() || ",;&}])\"'`.".contains(char)).then_some(end)
}

/// The length of a value that ends with the word, or where another pair begins.
fn word(line: &str) -> usize {
    let scheme = ["bearer ", "basic ", "token ", "digest "]
        .iter()
        .find(|scheme| line.get(..scheme.len()).is_some_and(|begins| begins.eq_ignore_ascii_case(scheme)));
    let from = scheme.map_or(0, |scheme| scheme.len());
    let ends = |(index, char): (usize, char)| {
        let rest = &line[from + index..];
        char.is_whitespace() || (matches!(char, ',' | ';' | '&') && NEXT.is_match(rest)) || rest.starts_with("%26")
    };
    line[from..].char_indices().find(|at| ends(*at)).map_or(line.len(), |(index, _)| from + index)
}

/// Whether it is a header whose value extends to the end of the line.
fn is_header(name: &str) -> bool {
    let name = name.to_lowercase();
    ["authorization", "cookie"].iter().any(|header| name.ends_with(header))
}
