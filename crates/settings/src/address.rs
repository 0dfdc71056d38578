//! Web addresses, shown without the password that one may contain.

use std::{fmt, ops::Deref, str::FromStr};

/// The address of a server: `http://localhost:11434/v1`.
#[derive(Clone, PartialEq, Eq)]
pub struct WebAddress(String);

impl FromStr for WebAddress {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")).ok_or(())?;
        let host = rest.split(['/', '?', '#']).next().and_then(|authority| authority.rsplit('@').next()).ok_or(())?;
        let is_right = !host.is_empty() && !host.starts_with(':') && text.chars().all(|c| c.is_ascii_graphic());
        if is_right { Ok(Self(text.to_owned())) } else { Err(()) }
    }
}

impl Deref for WebAddress {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// Without user and password.
impl fmt::Display for WebAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("", &self.0));
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        match authority.rsplit_once('@') {
            Some((_, host)) => write!(f, "{scheme}://***@{host}{path}"),
            None => f.write_str(&self.0),
        }
    }
}

/// As [`Display`](fmt::Display).
impl fmt::Debug for WebAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_and_a_host_and_shows_no_password() {
        for (text, shown) in [
            ("http://localhost:11434/v1", "http://localhost:11434/v1"),
            ("https://me:s3cret@host/v1", "https://***@host/v1"),
            ("http://host/a@b", "http://host/a@b"),
        ] {
            let address: WebAddress = text.parse().unwrap();
            assert_eq!((address.to_string().as_str(), &*address), (shown, text));
            assert!(!format!("{address:?}").contains("s3cret"));
        }
        for bad in ["", "localhost:11434", "ftp://host", "http://", "http:///v1", "http://:80", "http://a b"] {
            assert!(bad.parse::<WebAddress>().is_err(), "{bad}");
        }
    }
}
