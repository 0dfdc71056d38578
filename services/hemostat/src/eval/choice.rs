//! A remedy of a labelled case, or none; in TOML its name, or `none`.

use hemostat_schema::action::{Remedy, RemedyKind};
use serde::{Deserialize, Serialize};

/// A remedy, or none.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Choice(pub Option<Remedy>);

const NONE: &str = "none";

impl Choice {
    /// Its name.
    pub fn name(&self) -> &'static str {
        self.0.as_ref().map_or(NONE, Remedy::name)
    }
}

impl TryFrom<String> for Choice {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        if name == NONE {
            return Ok(Self(None));
        }
        let remedy = RemedyKind::from_name(&name).and_then(RemedyKind::plain);
        remedy.map(|remedy| Self(Some(remedy))).ok_or_else(|| format!("{name:?} is not a remedy, or none"))
    }
}

impl From<Choice> for String {
    fn from(choice: Choice) -> Self {
        choice.name().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_a_remedy_or_none() {
        for name in ["none", "restart", "start", "stop", "scale", "cleanup"] {
            assert_eq!(Choice::try_from(name.to_owned()).map(String::from), Ok(name.to_owned()));
        }
        assert!(Choice::try_from("reboot".to_owned()).is_err());
    }
}
