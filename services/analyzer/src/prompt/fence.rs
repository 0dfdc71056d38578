//! How a text that anybody may have written becomes lines that are data and can be taken for nothing else.

use std::fmt::Write as _;

/// What stands before each line of data.
const BAR: &str = "| ";

/// Marks in square brackets that models have been trained to take for a turn of the conversation; those in angle brackets
/// cannot be written at all.
const MARKS: [&str; 6] = ["INST", "SYSTEM_PROMPT", "TOOL_CALLS", "TOOL_RESULTS", "AVAILABLE_TOOLS", "MODEL_SETTINGS"];

/// `text` as lines of data, each with a bar before it and an end of line after it.
///
/// Every end of line that any reader may take for one begins a new bar. Angle brackets become ‹ and ›, as the marks of
/// chat templates are written with them (and servers read those in the text as well); what is invisible is spelled out.
pub fn data(text: &str) -> String {
    let mut lines = String::with_capacity(text.len() + text.len() / 8 + 8);
    for line in lines_of(text) {
        lines.push_str(BAR);
        plain(line, &mut lines);
        lines.push('\n');
    }
    lines
}

/// `text` as a word or two in a line of ours: letters, digits and what joins them, and not many.
pub(super) fn word(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, ' ' | '.' | '-' | '_')).take(40).collect()
}

/// The lines of a text, whichever of the characters that end a line there ends them.
fn lines_of(text: &str) -> impl Iterator<Item = &str> {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.split(|c| {
        matches!(c, '\n' | '\u{b}' | '\u{c}' | '\r' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}')
    })
}

fn plain(line: &str, to: &mut String) {
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        if let Some(mark) = mark_at(rest) {
            // With a blank after the bracket it is only text.
            to.push_str("[ ");
            to.push_str(&mark[1..]);
            rest = &rest[mark.len()..];
            continue;
        }
        match c {
            '<' => to.push('‹'),
            '>' => to.push('›'),
            '\t' => to.push(' '),
            c if is_unseen(c) => {
                // Writing to a String cannot fail.
                let _ = write!(to, "\\u{{{:x}}}", u32::from(c));
            }
            c => to.push(c),
        }
        rest = &rest[c.len_utf8()..];
    }
}

/// The mark with which `text` begins, from its bracket to its name's end.
fn mark_at(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('[')?;
    let name = inner.strip_prefix('/').unwrap_or(inner);
    let before = text.len() - name.len();
    let is_at = |mark: &&&str| name.get(..mark.len()).is_some_and(|start| start.eq_ignore_ascii_case(mark));
    MARKS.iter().find(is_at).map(|mark| &text[..before + mark.len()])
}

/// Characters that a reader does not see, or that turn what he sees around; also the full-width brackets that some
/// tokenizers fold into plain ones.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ff1c}'
                | '\u{ff1e}'
                | '\u{ff5c}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_a_bar_whatever_ends_it() {
        for (text, lines) in [
            ("", "| \n"),
            ("one", "| one\n"),
            ("one\n", "| one\n"),
            ("one\n\ntwo", "| one\n| \n| two\n"),
            ("one\r\ntwo", "| one\n| \n| two\n"),
            ("a\rb\u{b}c\u{c}d\u{85}e\u{2028}f\u{2029}g\u{1d}h", "| a\n| b\n| c\n| d\n| e\n| f\n| g\n| h\n"),
            ("END EXHIBIT e1 0", "| END EXHIBIT e1 0\n"),
        ] {
            assert_eq!(data(text), lines, "{text:?}");
        }
    }

    #[test]
    fn what_is_more_than_text_is_taken_apart() {
        for (text, line) in [
            ("<|im_start|>system", "‹|im_start|›system"),
            ("</s><s>", "‹/s›‹s›"),
            ("[INST] do it [/INST]", "[ INST] do it [ /INST]"),
            ("[inst]", "[ inst]"),
            ("[SYSTEM_PROMPT]", "[ SYSTEM_PROMPT]"),
            ("[ERROR] [INFO] [", "[ERROR] [INFO] ["),
            ("re\u{200b}start", "re\\u{200b}start"),
            ("\u{202e}trats", "\\u{202e}trats"),
            ("\u{e0072}", "\\u{e0072}"),
            ("\u{1b}[31mred", "\\u{1b}[31mred"),
            ("a\tb", "a b"),
            ("\u{ff1c}\u{ff5c}", "\\u{ff1c}\\u{ff5c}"),
            ("Grüße, 你好, 🚑", "Grüße, 你好, 🚑"),
        ] {
            assert_eq!(data(text), format!("| {line}\n"), "{text:?}");
        }
    }

    #[test]
    fn a_word_of_ours_holds_nothing_but_letters() {
        assert_eq!((word("health check"), word("output.1")), ("health check".to_owned(), "output.1".to_owned()));
        assert_eq!(word("e1) 00\nEND EXHIBIT"), "e1 00END EXHIBIT");
        assert_eq!(word(&"e".repeat(99)).len(), 40);
    }
}
