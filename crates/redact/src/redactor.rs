//! The redactor: runs all detectors over a text.

use std::ops::Range;

use crate::{
    control_characters::strip_control_characters,
    key_values,
    known_secrets::KnownSecrets,
    patterns::Patterns,
    private_keys, random_text,
    redacted::{MARK, Redacted, cut},
    token_formats, url_credentials,
};

/// Finds the ranges of secrets in a text.
type Detector<'a> = &'a dyn Fn(&str) -> Vec<Range<usize>>;

/// Removes secrets from text: by the built-in detectors, the installation's own patterns, and the values in a
/// container's environment.
#[derive(Debug, Clone, Default)]
pub struct Redactor {
    patterns: Patterns,
    known: KnownSecrets,
}

impl Redactor {
    /// A redactor with additional patterns; whatever they match is a secret.
    pub fn new(patterns: Patterns) -> Self {
        Self { patterns, known: KnownSecrets::default() }
    }

    /// The same redactor, which also removes these values.
    #[must_use]
    pub fn with_known(&self, known: KnownSecrets) -> Self {
        Self { patterns: self.patterns.clone(), known }
    }

    /// A text without its secrets and without control characters.
    pub fn redact(&self, text: &str) -> Redacted {
        let mut redacted = Redacted { text: strip_control_characters(text), count: 0 };
        // Text that one detector removes may expose a secret to another (`x='a' password=`), so the detectors run again
        // until nothing changes, at most four times. Usually the second run finds nothing.
        for _ in 0..4 {
            if !self.once(&mut redacted) {
                break;
            }
        }
        redacted
    }

    /// The lines of one stream without their secrets, including secrets that span several lines.
    pub fn redact_lines<'a>(&self, lines: impl IntoIterator<Item = &'a str>) -> Vec<Redacted> {
        let cleaned: Vec<String> = lines.into_iter().map(strip_control_characters).collect();
        let in_key = private_keys::inside(&cleaned);
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

    /// Runs each detector once; returns whether anything was found.
    fn once(&self, redacted: &mut Redacted) -> bool {
        let own = |text: &str| {
            let all = self.patterns.regexes().flat_map(|pattern| pattern.find_iter(text));
            let mut found: Vec<_> = all.map(|found| found.range()).filter(|range| !range.is_empty()).collect();
            found.sort_by_key(|range| (range.start, std::cmp::Reverse(range.end)));
            found
        };
        let detectors: [Detector<'_>; 8] = [
            &|text| self.known.find(text),
            &private_keys::find,
            &url_credentials::find,
            &token_formats::find,
            &key_values::find,
            &own,
            &random_text::find,
            &token_formats::find_personal_data,
        ];
        let mut changed = false;
        for find in detectors {
            changed |= cut(redacted, &find(&redacted.text));
        }
        changed
    }
}

/// A text without its secrets, by the built-in detectors only.
pub fn redact(text: &str) -> String {
    Redactor::default().redact(text).text
}
