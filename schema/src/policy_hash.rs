//! The hash of a policy, by which decisions name the policy that they were made by.

use std::{
    fmt::{self, Write as _},
    str::FromStr,
};

#[cfg(feature = "json-schema")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{InvalidId, id::as_text};

/// The first 64 bits of the SHA-256 of a policy's canonical JSON, as 16 hexadecimal digits.
///
/// Canonical JSON has the keys of each object in the order of their bytes, no white space, and texts and numbers as
/// `serde_json` writes them. 64 bits tell the few policies of one installation apart; they are no proof against forgery,
/// which the hash chains of the log are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PolicyHash(u64);

impl PolicyHash {
    /// The hash of this policy.
    pub fn of(policy: &Value) -> Self {
        let mut canonical = String::new();
        write_canonical(policy, &mut canonical);
        let digest = Sha256::digest(canonical.as_bytes());
        Self(digest.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte)))
    }
}

fn write_canonical(value: &Value, to: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(key, _)| *key);
            to.push('{');
            for (index, (key, value)) in fields.into_iter().enumerate() {
                to.push_str(if index == 0 { "" } else { "," });
                // A `Value` that is a text displays as JSON text, quoted and escaped.
                let _ = write!(to, "{}:", Value::from(key.as_str()));
                write_canonical(value, to);
            }
            to.push('}');
        }
        Value::Array(items) => {
            to.push('[');
            for (index, item) in items.iter().enumerate() {
                to.push_str(if index == 0 { "" } else { "," });
                write_canonical(item, to);
            }
            to.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            let _ = write!(to, "{value}");
        }
    }
}

impl fmt::Display for PolicyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for PolicyHash {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let digits = Some(text).filter(|text| text.len() == 16 && text.bytes().all(is_digit));
        let hash = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        hash.map(Self).ok_or_else(|| InvalidId::new(text, "the hash of a policy: 16 hexadecimal digits"))
    }
}

as_text!(PolicyHash, "^[0-9a-f]{16}$");

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_hash_is_of_the_values_and_not_of_how_they_are_written() {
        let one: Value = serde_json::from_str(r#"{"b": [1, 2.50], "a": {"y": "\u00e9", "x": null}}"#).unwrap();
        let same: Value = serde_json::from_str("{\"a\":{\"x\":null,\"y\":\"é\"},\n\"b\":[1,2.5]}").unwrap();
        assert_eq!(PolicyHash::of(&one), PolicyHash::of(&same));
        let mut canonical = String::new();
        write_canonical(&one, &mut canonical);
        assert_eq!(canonical, r#"{"a":{"x":null,"y":"é"},"b":[1,2.5]}"#);
        for other in [json!({ "a": 1 }), json!({ "a": 1.5 }), json!({ "b": 1 }), json!({}), json!([])] {
            assert_ne!(PolicyHash::of(&one), PolicyHash::of(&other));
        }
    }

    #[test]
    fn a_hash_is_the_beginning_of_the_sha_256_and_is_parsed_as_it_is_written() {
        // printf '{}' | sha256sum
        let hash = PolicyHash::of(&json!({}));
        assert_eq!(hash.to_string(), "44136fa355b3678a");
        assert_eq!(hash.to_string().parse(), Ok(hash));
        for bad in ["", "44136fa355b3678", "44136FA355B3678A", "44136fa355b3678a0", "+4136fa355b3678a"] {
            assert!(bad.parse::<PolicyHash>().is_err(), "{bad}");
        }
    }
}
