//! Removes escape sequences, control characters and invisible characters.
//!
//! They can hide a secret from the detectors, and can manipulate the terminal on which an event is printed.

/// `text` without escape sequences, control characters and invisible characters. Tabs become spaces, line breaks stay.
pub fn strip_control_characters(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\n' => clean.push('\n'),
            '\t' => clean.push(' '),
            '\u{1b}' => match chars.next() {
                Some('[') => skip_sequence(&mut chars),
                // An operating system command, such as the window title, up to BEL or ESC \.
                Some(']' | 'P' | 'X' | '^' | '_') => {
                    while let Some(char) = chars.next_if(|char| *char != '\n') {
                        if char == '\u{7}' || (char == '\u{1b}' && chars.next_if_eq(&'\\').is_some()) {
                            break;
                        }
                    }
                }
                Some('(' | ')' | '*' | '+' | '#' | '%') => _ = chars.next_if(|char| !char.is_control()),
                Some('\n') => clean.push('\n'),
                _ => {}
            },
            '\u{9b}' => skip_sequence(&mut chars),
            char if char.is_control() || is_invisible(char) => {}
            char => clean.push(char),
        }
    }
    clean
}

/// Skips the rest of a control sequence: `ESC [ 1 ; 31 m`.
fn skip_sequence(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while chars.next_if(|char| matches!(char, '\u{20}'..='\u{3f}')).is_some() {}
    _ = chars.next_if(|char| matches!(char, '\u{40}'..='\u{7e}'));
}

/// Zero-width characters, direction marks and replacement characters.
fn is_invisible(char: char) -> bool {
    matches!(
        char,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_removed_and_text_stays() {
        for (text, cleaned) in [
            ("plain, with ümläuts and 漢字", "plain, with ümläuts and 漢字"),
            ("\u{1b}[1;31mERROR\u{1b}[0m it broke", "ERROR it broke"),
            ("\u{1b}]0;title\u{7}after", "after"),
            ("\u{1b}]8;;http://x\u{1b}\\link", "link"),
            ("\u{9b}2Jgone", "gone"),
            ("a\tb\r\nc\u{0}\u{8}d", "a b\ncd"),
            ("pass\u{200b}word=x", "password=x"),
            ("\u{202e}txet", "txet"),
            ("\u{1b}(B after", " after"),
            ("cut \u{1b}[", "cut "),
            ("cut \u{1b}", "cut "),
            ("\u{1b}]never ended\nnext", "\nnext"),
        ] {
            assert_eq!(strip_control_characters(text), cleaned, "{text:?}");
        }
    }
}
