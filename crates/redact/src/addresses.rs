//! Where does an address carry credentials?
//!
//! `postgres://app:hunter2@db/shop`: what stands between `://` and the `@` before the host goes, the user's name too, as
//! it is often a token. Secrets among an address's parameters are [`pairs`](super::pairs)' and
//! [`shapes`](super::shapes)' to find.

use std::ops::Range;

/// Credentials in addresses.
pub(super) fn find(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = vec![];
    let mut from = 0;
    while let Some(colon) = text[from..].find("://") {
        let (scheme_end, start) = (from + colon, from + colon + "://".len());
        from = start;
        let scheme = text[..scheme_end].rsplit(|char: char| !is_of_scheme(char)).next().unwrap_or_default();
        if !scheme.contains(|char: char| char.is_ascii_alphabetic()) {
            continue;
        }
        let rest = &text[start..];
        let address = &rest[..rest.find(ends).unwrap_or(rest.len())];
        if let Some(length) = credentials(&scheme.to_ascii_lowercase(), address) {
            found.push(start..start + length);
            from = start + length;
        }
    }
    found
}

/// How long the credentials are at the beginning of an address without its scheme.
fn credentials(scheme: &str, address: &str) -> Option<usize> {
    // An `@` may be in a password, so the last one counts, but not one that is in the path or the query.
    let path = address.find(['/', '?', '#']).unwrap_or(address.len());
    if let Some(at) = address[..path].rfind('@') {
        return Some(at).filter(|at| *at > 0);
    }
    // A password that has a slash in it is not allowed so, and met all the same.
    let at = address.rfind('@')?;
    let (_, after_user) = address[..at].split_once(':').filter(|(user, _)| !user.contains(['/', '?', '#']))?;
    let is_port = {
        let digits = after_user.find(|char: char| !char.is_ascii_digit()).unwrap_or(after_user.len());
        (1..=5).contains(&digits) && after_user[digits..].starts_with(['/', '?', '#'])
    };
    let is_web = matches!(scheme, "http" | "https" | "ws" | "wss");
    (!is_port || !is_web).then_some(at)
}

fn is_of_scheme(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '+' | '-' | '.')
}

fn ends(char: char) -> bool {
    char.is_whitespace() || matches!(char, '"' | '\'' | '<' | '>' | '`' | '\\')
}
