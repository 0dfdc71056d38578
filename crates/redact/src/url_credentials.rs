//! Finds credentials in URLs.
//!
//! In `postgres://app:hunter2@db/shop` everything between `://` and the `@` before the host is removed, including the user
//! name, which is often a token. Secrets in URL parameters are found by `key_values` and `token_formats`.

use std::ops::Range;

/// Credentials in URLs.
pub(super) fn find(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = vec![];
    let mut from = 0;
    while let Some(colon) = text[from..].find("://") {
        let (scheme_end, start) = (from + colon, from + colon + "://".len());
        from = start;
        let scheme = text[..scheme_end].rsplit(|char: char| !is_scheme_character(char)).next().unwrap_or_default();
        if !scheme.contains(|char: char| char.is_ascii_alphabetic()) {
            continue;
        }
        let rest = &text[start..];
        let address = &rest[..rest.find(ends_url).unwrap_or(rest.len())];
        if let Some(length) = credentials(&scheme.to_ascii_lowercase(), address) {
            found.push(start..start + length);
            from = start + length;
        }
    }
    found
}

/// The length of the credentials at the beginning of a URL without its scheme.
fn credentials(scheme: &str, address: &str) -> Option<usize> {
    // A password may contain `@`, so the last one counts, but not one in the path or the query.
    let path = address.find(['/', '?', '#']).unwrap_or(address.len());
    if let Some(at) = address[..path].rfind('@') {
        return Some(at).filter(|at| *at > 0);
    }
    // A slash in a password is not valid, but occurs.
    let at = address.rfind('@')?;
    let (_, after_user) = address[..at].split_once(':').filter(|(user, _)| !user.contains(['/', '?', '#']))?;
    let is_port = {
        let digits = after_user.find(|char: char| !char.is_ascii_digit()).unwrap_or(after_user.len());
        (1..=5).contains(&digits) && after_user[digits..].starts_with(['/', '?', '#'])
    };
    let is_web = matches!(scheme, "http" | "https" | "ws" | "wss");
    (!is_port || !is_web).then_some(at)
}

fn is_scheme_character(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '+' | '-' | '.')
}

fn ends_url(char: char) -> bool {
    char.is_whitespace() || matches!(char, '"' | '\'' | '<' | '>' | '`' | '\\')
}
