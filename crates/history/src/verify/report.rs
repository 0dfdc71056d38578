//! The result of a verification.

use std::fmt;

use hemostat_archive::{Archive, Witness};
use hemostat_schema::{EventId, Family, Partition};
use serde::Serialize;

/// The result of a verification.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Report {
    /// How many events were read.
    pub events: u64,
    /// How many rows were compared.
    pub rows: u64,
    /// How many events are in the chains of hashes that were computed again.
    pub chained: u64,
    /// What differs.
    pub differences: Vec<Difference>,
    /// What could not be checked, and why.
    pub unchecked: Vec<String>,
    /// Remarks that explain the result.
    pub notes: Vec<String>,
}

/// Something that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum Difference {
    /// A stored row differs from the fold of its events.
    Row {
        /// The view, such as `containers.1`.
        view: String,
        /// The key of the row.
        key: String,
        /// The folded row; `None` when there should be none.
        expected: Option<serde_json::Value>,
        /// The stored row; `None` when there is none.
        found: Option<serde_json::Value>,
    },
    /// History differs from what the notary has seen.
    History {
        /// The partition.
        partition: Partition,
        /// The family.
        family: Family,
        /// The first event that differs, if it is known.
        event: Option<EventId>,
        /// In which way.
        why: String,
    },
    /// An object of the archive differs from what was sealed.
    Archive {
        /// The object.
        object: String,
        /// In which way.
        why: String,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown =
            |row: &Option<serde_json::Value>| row.as_ref().map_or("no row".to_owned(), |row| format!("{row:#}"));
        match self {
            Self::Row { view, key, expected: Some(expected), found: Some(found) } => {
                write!(f, "row {key} of the view {view} differs from the fold of its events")?;
                let mut fields = vec![];
                differing(String::new(), expected, found, &mut fields);
                fields.iter().try_for_each(|(path, expected, found)| {
                    write!(f, "\n  {path}\n    expected {expected}\n    found    {found}")
                })
            }
            Self::Row { view, key, expected, found } => {
                write!(f, "row {key} of the view {view} differs from the fold of its events")?;
                write!(f, "\n  expected {}\n  found    {}", shown(expected), shown(found))
            }
            Self::History { partition, family, why, .. } => {
                write!(f, "history of {family}s in partition {partition}: {why}")
            }
            Self::Archive { object, why } => write!(f, "archive: {object}: {why}"),
        }
    }
}

/// The innermost fields in which two values differ.
fn differing(
    path: String,
    expected: &serde_json::Value,
    found: &serde_json::Value,
    fields: &mut Vec<(String, String, String)>,
) {
    use serde_json::Value::{Array, Null, Object};
    match (expected, found) {
        (Array(expected), Array(found)) if expected.len() == found.len() => {
            for (n, (expected, found)) in expected.iter().zip(found).enumerate() {
                differing(format!("{path}[{n}]"), expected, found, fields);
            }
        }
        (Object(expected), Object(found)) => {
            let mut names: Vec<&String> = expected.keys().chain(found.keys()).collect();
            names.sort_unstable();
            names.dedup();
            for name in names {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                differing(path, expected.get(name).unwrap_or(&Null), found.get(name).unwrap_or(&Null), fields);
            }
        }
        (expected, found) if expected != found => {
            let path = if path.is_empty() { "all of it".to_owned() } else { path };
            fields.push((path, expected.to_string(), found.to_string()));
        }
        _ => {}
    }
}

/// What is checked besides the log.
#[derive(Debug, Clone, Copy, Default)]
pub struct Others<'a> {
    /// The archive, if there is one.
    pub archive: Option<&'a Archive>,
    /// The notary's witness, if there is one.
    pub witness: Option<&'a Witness>,
}

/// An error with its sources.
pub(super) fn chain_of(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
