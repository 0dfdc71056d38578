//! What in a text from outside must not be kept, shown or sent on?
//!
//! Containers print passwords, health checks print addresses with credentials, processes carry tokens in their
//! arguments. Before any of it becomes an event it passes through here, and what is secret becomes `[redacted]`.
//!
//! ```text
//! clean ─► literals ─► keys (PEM) ─► addresses ─► shapes ─► pairs ─► patterns of one's own ─► chance ─► shapes of people
//! ```
//!
//! Secrets are known in four ways: by their value, where the container's own environment tells it ([`Literals`]); by
//! their shape (`ghp_…`, a JWT, an e-mail address, a card number); by the name that they are given
//! (`password=…`, `"token": "…"`, `--secret …`); and by looking like chance. Where it is not clear, it is taken out: a
//! line of evidence less does less harm than a secret more. Numbers of things, identities and digests of images stay,
//! as they are what a diagnosis rests on.
//!
//! It is total (every text has an answer), linear in what it reads, and idempotent: redacted text stays as it is.

use std::{fmt, ops::Range};

use regex::{Regex, RegexBuilder};

mod addresses;
mod chance;
mod clean;
mod keys;
mod literals;
mod names;
mod pairs;
mod shapes;
#[cfg(test)]
mod tests;

pub use clean::clean;
pub use literals::Literals;

/// What stands where a secret was.
pub const MARK: &str = "[redacted]";

/// A pattern may take so much memory once it is compiled.
const PATTERN_SIZE: usize = 1 << 20;
/// At most so many patterns.
const PATTERNS: usize = 64;

/// A way of finding secrets in a text: where they stand.
type Find<'a> = &'a dyn Fn(&str) -> Vec<Range<usize>>;

/// A text without its secrets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Redacted {
    /// What is left.
    pub text: String,
    /// So many secrets were taken out.
    pub count: u32,
}

/// Takes secrets out of texts: those that everybody has, those of the installation's own patterns, and those of a
/// container's own environment.
#[derive(Debug, Clone, Default)]
pub struct Redactor {
    patterns: Patterns,
    literals: Literals,
}

impl Redactor {
    /// With further patterns; whatever they match is a secret.
    pub fn new(patterns: Patterns) -> Self {
        Self { patterns, literals: Literals::default() }
    }

    /// The same, and these values are secret, too.
    #[must_use]
    pub fn knowing(&self, literals: Literals) -> Self {
        Self { patterns: self.patterns.clone(), literals }
    }

    /// A text without its secrets, and without what steers a terminal.
    pub fn redact(&self, text: &str) -> Redacted {
        let mut redacted = Redacted { text: clean(text), count: 0 };
        // Where what one way takes out lets another see more (`x='a' password=`), a second look finds it. Almost always
        // the second look finds nothing.
        for _ in 0..4 {
            if !self.once(&mut redacted) {
                break;
            }
        }
        redacted
    }

    /// The lines of one stream without their secrets, also those that stretch over several lines.
    pub fn redact_lines<'a>(&self, lines: impl IntoIterator<Item = &'a str>) -> Vec<Redacted> {
        let cleaned: Vec<String> = lines.into_iter().map(clean).collect();
        let in_key = keys::inside(&cleaned);
        cleaned
            .iter()
            .zip(in_key)
            .map(|(line, in_key)| {
                if in_key && line.as_str() != MARK && !line.is_empty() {
                    Redacted { text: MARK.to_owned(), count: 1 }
                } else {
                    self.redact(line)
                }
            })
            .collect()
    }

    /// What of `text` is secret.
    pub fn secrets<'a>(&self, text: &'a str) -> Vec<&'a str> {
        let ways = [keys::find, addresses::find, shapes::find, pairs::find, chance::find];
        ways.iter().flat_map(|find| find(text)).filter_map(|range| text.get(range)).collect()
    }

    /// Looks once in every way; whether anything was found.
    fn once(&self, redacted: &mut Redacted) -> bool {
        let own = |text: &str| {
            let all = self.patterns.0.iter().flat_map(|pattern| pattern.find_iter(text));
            let mut found: Vec<_> = all.map(|found| found.range()).filter(|range| !range.is_empty()).collect();
            found.sort_by_key(|range| (range.start, std::cmp::Reverse(range.end)));
            found
        };
        let ways: [Find<'_>; 8] = [
            &|text| self.literals.find(text),
            &keys::find,
            &addresses::find,
            &shapes::find,
            &pairs::find,
            &own,
            &chance::find,
            &shapes::find_people,
        ];
        let mut changed = false;
        for find in ways {
            changed |= cut(redacted, &find(&redacted.text));
        }
        changed
    }
}

/// A text without its secrets, by what everybody has.
pub fn redact(text: &str) -> String {
    Redactor::default().redact(text).text
}

/// Puts the mark in the place of each of `found`, which come in order; whether that changed anything. What overlaps an
/// earlier one, and what is the mark already, is passed over.
fn cut(redacted: &mut Redacted, found: &[Range<usize>]) -> bool {
    let text = redacted.text.as_str();
    let marks: Vec<_> = text.match_indices(MARK).map(|(start, mark)| start..start + mark.len()).collect();
    let mut without = String::new();
    let mut end = 0;
    for range in found {
        // A mark is never cut in two.
        let touches = |at: usize| marks.iter().find(|mark| mark.start < at && at < mark.end);
        let range = touches(range.start).map_or(range.start, |mark| mark.start)
            ..touches(range.end).map_or(range.end, |mark| mark.end);
        let Some(secret) = text.get(range.clone()).filter(|_| range.start >= end) else { continue };
        if secret.trim().is_empty() || secret == MARK {
            continue;
        }
        without.push_str(&text[end..range.start]);
        without.push_str(MARK);
        end = range.end;
        // One that holds a mark was counted when that was made.
        redacted.count = redacted.count.saturating_add(u32::from(!secret.contains(MARK)));
    }
    if end > 0 {
        without.push_str(&text[end..]);
        redacted.text = without;
    }
    end > 0
}

/// Patterns of the installation's own.
#[derive(Clone, Default)]
pub struct Patterns(Vec<Regex>);

impl Patterns {
    /// From regular expressions, in the syntax of the regex crate.
    ///
    /// # Errors
    /// In one line, when one is none, matches even nothing, or is too large, or when there are too many.
    pub fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, BadPattern> {
        let compile = |pattern: &str| {
            let bad = |reason: String| BadPattern { pattern: pattern.to_owned(), reason };
            let compiled = RegexBuilder::new(pattern).size_limit(PATTERN_SIZE).build().map_err(|error| {
                bad(match error {
                    regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
                    // The crate draws a picture; its last line says what is wrong.
                    error => error.to_string().lines().last().unwrap_or_default().trim().to_owned(),
                })
            })?;
            if compiled.is_match("") {
                return Err(bad("it matches an empty text".to_owned()));
            }
            Ok(compiled)
        };
        let compiled = patterns.into_iter().map(compile).collect::<Result<Vec<_>, _>>()?;
        match compiled.get(PATTERNS) {
            Some(one) => {
                Err(BadPattern { pattern: one.to_string(), reason: format!("there are more than {PATTERNS}") })
            }
            None => Ok(Self(compiled)),
        }
    }
}

impl Patterns {
    /// As they were written.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(Regex::as_str)
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
    /// As it was written.
    pub pattern: String,
    /// Why.
    pub reason: String,
}

impl fmt::Display for BadPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the pattern {:?} cannot be used: {}", self.pattern, self.reason)
    }
}

impl std::error::Error for BadPattern {}
