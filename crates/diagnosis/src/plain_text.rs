//! Text from outside (log lines, health checks, a model's answer) made safe to show on one line.

/// `text` on one line of at most `longest` characters, without control characters and without characters that are
/// invisible or change the direction of text.
pub(crate) fn plain(text: &str, longest: usize) -> String {
    let shown: String = text.chars().filter(|c| !is_hidden(*c)).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(longest) {
        Some(_) => line.chars().take(longest.saturating_sub(1)).chain(['…']).collect(),
        None => line,
    }
}

/// Invisible characters: zero width, direction marks, tags.
fn is_hidden(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}
