//! Who gave a command.

#[cfg(feature = "json-schema")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{InvalidId, words::words};

/// The person or program that gave a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Operator {
    /// The name, such as `ann` or `root@web-1`.
    pub name: String,
    /// How HemoStat knows the name.
    pub identity: Identity,
}

words! {
    /// How the name of an operator is known.
    pub enum Identity {
        /// The client gave the name, and nothing verified it.
        Claimed = "claimed",
        /// HemoStat verified it. (Nothing writes this yet; programs of today can read it.)
        Authenticated = "authenticated",
    }
}

impl Operator {
    /// An operator who only claims to be `name`.
    ///
    /// # Errors
    /// When `name` is no name: 1 to 128 characters, none of them a control character, not only spaces.
    pub fn claimed(name: &str) -> Result<Self, InvalidId> {
        let is_valid = name.len() <= 128 && !name.trim().is_empty() && !name.contains(char::is_control);
        if !is_valid {
            return Err(InvalidId::new(name, "an operator's name: 1 to 128 characters, such as ann"));
        }
        Ok(Self { name: name.trim().to_owned(), identity: Identity::Claimed })
    }
}

impl std::fmt::Display for Operator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.identity {
            Identity::Claimed => write!(f, "{} (claimed)", self.name),
            Identity::Authenticated => f.write_str(&self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claimed_name_is_told_as_claimed() {
        assert_eq!(Operator::claimed(" ann ").unwrap().to_string(), "ann (claimed)");
        let verified = Operator { name: "ann".into(), identity: Identity::Authenticated };
        assert_eq!(verified.to_string(), "ann");
    }

    #[test]
    fn a_name_is_short_and_has_no_control_characters() {
        for name in ["", "  ", "a\nb", &"a".repeat(129)] {
            assert!(Operator::claimed(name).is_err(), "{name:?}");
        }
    }
}
