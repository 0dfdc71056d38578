//! The policy as a value on the log: its canonical form, its hash, and in what two policies differ.
//!
//! The form is the JSON of [`Policy`]: one object with the names of its fields, a length of time as text (`1h30m`), a
//! share as a number. A field that an older program did not record is read with its default, one that only a later
//! program knows is ignored. It has no secrets, as the policy has none: keys and addresses are settings of the services.

use std::collections::{BTreeMap, BTreeSet};

use hemostat_schema::{PolicyHash, action::PolicyChanged};
use serde_json::Value;

use super::Policy;

impl Policy {
    /// Its form on the log.
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).expect("a policy has only texts, numbers, lists and objects with text keys")
    }

    /// Its hash, by which decisions name it.
    pub fn hash(&self) -> PolicyHash {
        PolicyHash::of(&self.to_value())
    }

    /// The policy that this event recorded.
    ///
    /// # Errors
    /// If a later program wrote a value that this one does not know.
    pub fn recorded(changed: &PolicyChanged) -> Result<Self, serde_json::Error> {
        serde_json::from_value(changed.policy.clone())
    }
}

/// A value in which two policies differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The value, with dots: `container_defaults.cooldown`.
    pub key: String,
    /// What it was; `-` where there was none.
    pub was: String,
    /// What it is.
    pub is: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} → {}", self.key, self.was, self.is)
    }
}

/// In what the policy `is`, in its form on the log, differs from the policy `was`.
pub fn differences(was: &Value, is: &Value) -> Vec<Difference> {
    let (was, is) = (leaves(was), leaves(is));
    let keys: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    let shown = |values: &BTreeMap<String, String>, key| values.get(key).map_or("-", String::as_str).to_owned();
    let differing = keys.into_iter().filter(|key| was.get(*key) != is.get(*key));
    differing.map(|key| Difference { key: key.clone(), was: shown(&was, key), is: shown(&is, key) }).collect()
}

/// Every value that is no object, by its key with dots.
fn leaves(value: &Value) -> BTreeMap<String, String> {
    fn walk(key: &str, value: &Value, leaves: &mut BTreeMap<String, String>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                    walk(&key, value, leaves);
                }
            }
            Value::String(text) => drop(leaves.insert(key.to_owned(), text.clone())),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
                leaves.insert(key.to_owned(), value.to_string());
            }
        }
    }
    let mut leaves = BTreeMap::new();
    walk("", value, &mut leaves);
    leaves
}

/// A length of time as people write it.
pub(super) mod written {
    use hemostat_schema::Span;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    pub fn serialize<S: Serializer>(span: &Span, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&span.written())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Span, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use hemostat_schema::{Percent, Span, action::Mode};
    use serde_json::json;

    use super::*;
    use crate::policy::{Model, NamePatterns, Opinion};

    fn unlike_the_default() -> Policy {
        let mut policy = Policy {
            exclude: NamePatterns::new(["hemostat-*", "db"]).unwrap(),
            opinion: Opinion::Decides(Model { provider: "openai".into(), name: "gpt-4o-mini".into() }),
            stale_after: Span::from_millis(90_500),
            dry_run: true,
            ..Policy::default()
        };
        policy.container_defaults.cooldown = Span::from_secs(60);
        policy.container_defaults.mode = Mode::Approve;
        policy.container_defaults.remedies.clear();
        policy.container_defaults.stop_timeout = Some(Span::from_secs(3));
        policy.sensitivity.disk = Percent::clamped(33.3);
        policy
    }

    #[test]
    fn a_policy_is_read_back_as_it_was_recorded() {
        for policy in [Policy::default(), unlike_the_default()] {
            let value = policy.to_value();
            assert_eq!(serde_json::from_value::<Policy>(value.clone()).unwrap(), policy);
            assert_eq!(PolicyHash::of(&value), policy.hash());
            // As the log stores it.
            let bytes = rmp_serde::to_vec_named(&value).unwrap();
            assert_eq!(PolicyHash::of(&rmp_serde::from_slice(&bytes).unwrap()), policy.hash());
        }
        assert_ne!(Policy::default().hash(), unlike_the_default().hash());
    }

    #[test]
    fn a_field_that_was_not_recorded_has_its_default_and_an_unknown_one_is_ignored() {
        let read: Policy = serde_json::from_value(json!({ "dry_run": true, "mood": "good", "backoff": {} })).unwrap();
        assert_eq!(read, Policy { dry_run: true, ..Policy::default() });
        assert!(serde_json::from_value::<Policy>(json!({ "stale_after": "soon" })).is_err());
    }

    #[test]
    fn two_policies_differ_in_the_values_that_are_shown() {
        let (was, is) = (Policy::default().to_value(), unlike_the_default().to_value());
        let shown: Vec<_> = differences(&was, &is).iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "container_defaults.cooldown 1h → 1m",
                "container_defaults.mode auto → approve",
                "container_defaults.remedies [\"restart\",\"start\"] → []",
                "container_defaults.stop_timeout - → 3000",
                "dry_run false → true",
                "exclude [] → [\"hemostat-*\",\"db\"]",
                "opinion rules → -",
                "opinion.decides.name - → gpt-4o-mini",
                "opinion.decides.provider - → openai",
                "sensitivity.disk 90.0 → 33.3",
                "stale_after 10m → 1m30s500ms",
            ]
        );
        assert_eq!(differences(&is, &is), []);
    }
}
