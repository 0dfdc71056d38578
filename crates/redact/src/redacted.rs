//! A redacted text, and how a secret is replaced in it.

use std::ops::Range;

/// The text that replaces a secret.
pub const MARK: &str = "[redacted]";

/// A redacted text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Redacted {
    /// The text without its secrets.
    pub text: String,
    /// How many secrets were removed.
    pub count: u32,
}

/// Replaces each range in `found`, sorted by start, by [`MARK`]; returns whether anything changed. Ranges that overlap an
/// earlier one or are a mark already are skipped.
pub(crate) fn cut(redacted: &mut Redacted, found: &[Range<usize>]) -> bool {
    let text = redacted.text.as_str();
    let marks: Vec<_> = text.match_indices(MARK).map(|(start, mark)| start..start + mark.len()).collect();
    let mut without = String::new();
    let mut end = 0;
    for range in found {
        // A mark is never split.
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
        // A secret that contains a mark was counted when that mark was set.
        redacted.count = redacted.count.saturating_add(u32::from(!secret.contains(MARK)));
    }
    if end > 0 {
        without.push_str(&text[end..]);
        redacted.text = without;
    }
    end > 0
}
