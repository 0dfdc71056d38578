//! Finds private keys in PEM.
//!
//! A key spans many lines, so its lines are searched together: from BEGIN to END, and if the beginning is missing, from
//! END back over lines that look like base64.

use std::{ops::Range, sync::LazyLock};

use regex::Regex;

use crate::patterns::compiled;

const BEGIN: &str = r"-----BEGIN [A-Z0-9 ]{0,32}PRIVATE KEY(?: BLOCK)?-----";
const END: &str = r"-----END [A-Z0-9 ]{0,32}PRIVATE KEY(?: BLOCK)?-----";

static WHOLE: LazyLock<Regex> = LazyLock::new(|| compiled(&format!(r"{BEGIN}(?s:.*?)(?:{END}|\z)")));
static FIRST: LazyLock<Regex> = LazyLock::new(|| compiled(BEGIN));
static LAST: LazyLock<Regex> = LazyLock::new(|| compiled(END));
static BASE64: LazyLock<Regex> =
    LazyLock::new(|| compiled(r"(?:^\s*|[|>\]]\s*)[A-Za-z0-9+/=]+\s*$|[A-Za-z0-9+/=]{32,}\s*$"));

/// The keys in one text.
pub(super) fn find(text: &str) -> Vec<Range<usize>> {
    if !text.contains("PRIVATE KEY") {
        return vec![];
    }
    let mut found: Vec<_> = WHOLE.find_iter(text).map(|found| found.range()).collect();
    // An END without its BEGIN.
    if found.is_empty()
        && let Some(end) = LAST.find(text)
    {
        let begins = |line: &str| !BASE64.is_match(line) && !line.is_empty();
        let before = &text[..end.start()];
        let mut start = end.start();
        for line in before.split_inclusive('\n').rev() {
            if begins(line.trim_end()) {
                break;
            }
            start -= line.len();
        }
        found.push(start..end.end());
    }
    found
}

/// Which of these lines belong to a key that spans several lines.
pub(super) fn inside(lines: &[String]) -> Vec<bool> {
    let mut inside = vec![false; lines.len()];
    let mut begun = None;
    for (index, line) in lines.iter().enumerate() {
        if !line.contains("PRIVATE KEY") {
            continue;
        }
        let (first, last) = (FIRST.find(line), LAST.find(line));
        match (begun, first, last) {
            // A whole key on one line: `find` handles it.
            (None, Some(first), Some(last)) if first.start() < last.start() => {}
            (None, Some(_), _) => begun = Some(index),
            (None, None, Some(_)) => {
                inside[index] = true;
                for before in (0..index).rev().take_while(|before| BASE64.is_match(&lines[*before])) {
                    inside[before] = true;
                }
            }
            (Some(start), _, Some(_)) => {
                inside[start..=index].fill(true);
                begun = None;
            }
            (_, _, None) => {}
        }
    }
    if let Some(start) = begun {
        inside[start..].fill(true);
    }
    inside
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_a_key_are_found_even_if_one_end_is_missing() {
        let (begin, end) = ("-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----");
        for (lines, expected) in [
            (vec!["a", begin, "MIIE", "Ag==", end, "b"], "-++++-"),
            (vec!["a", &format!("app | {begin}"), "Proc-Type: 4,ENCRYPTED", "", "MIIE"], "-++++"),
            (vec!["starting up", "MIIEow", "app | c2VjcmV0", "Ag==", end, "b"], "-++++-"),
            (vec!["a", "-----BEGIN CERTIFICATE-----", "MIIE", "-----END CERTIFICATE-----"], "----"),
            (vec!["a", &format!(r"key={begin}\nMIIE\n{end}"), "b"], "---"),
            (vec![begin, "x", end, "y", begin, "z"], "+++-++"),
        ] {
            let lines: Vec<String> = lines.into_iter().map(str::to_owned).collect();
            let inside: String = inside(&lines).into_iter().map(|inside| if inside { '+' } else { '-' }).collect();
            assert_eq!(inside, expected, "{lines:?}");
        }
    }
}
