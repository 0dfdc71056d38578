//! Faults in a model's answer, as sentences that are sent back to the model.

use std::fmt;

use hemostat_schema::diagnosis::OpinionSought;

use super::answer::{VERDICTS, choices};
use crate::plain_text::plain;

/// How many characters of a model's text a fault quotes.
const QUOTED: usize = 40;
/// How many unknown ids a fault lists.
const NAMED: usize = 5;

/// One fault in a model's answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Fault {
    /// It contains no JSON object with an answer.
    NoAnswer,
    /// It is too long to be read.
    TooLong {
        /// The maximum, in bytes.
        limit: usize,
    },
    /// It contains several different answers.
    Several {
        /// How many.
        count: usize,
    },
    /// A field is missing.
    Missing {
        /// The field.
        field: &'static str,
    },
    /// A field has the wrong type.
    WrongType {
        /// The field.
        field: &'static str,
        /// The expected type.
        expected: &'static str,
    },
    /// A sentence is empty.
    Empty {
        /// The field.
        field: &'static str,
    },
    /// The verdict is unknown.
    UnknownVerdict {
        /// The value.
        got: String,
    },
    /// The remedy was not offered.
    NotOffered {
        /// The value.
        got: String,
        /// The offered remedies.
        choices: String,
    },
    /// The confidence is not between 0 and 1.
    OutOfRange {
        /// The value.
        got: String,
    },
    /// It cites exhibits that were not shown.
    Invented {
        /// The cited ids.
        got: String,
        /// The range of ids that were shown.
        shown: String,
    },
    /// The verdict is real, but it cites no evidence.
    NoEvidence,
    /// It names a remedy although the verdict is not real.
    RemedyForNothing {
        /// The remedy.
        remedy: &'static str,
    },
}

impl Fault {
    pub(super) fn unknown_verdict(word: &str) -> Self {
        Self::UnknownVerdict { got: plain(word, QUOTED) }
    }

    pub(super) fn not_offered(name: &str, sought: &OpinionSought) -> Self {
        Self::NotOffered { got: plain(name, QUOTED), choices: list(choices(sought)) }
    }

    pub(super) fn invented(ids: &[&String], sought: &OpinionSought) -> Self {
        let got = list(ids.iter().take(NAMED).map(|id| plain(id, QUOTED)));
        let shown = match (sought.evidence.first(), sought.evidence.last()) {
            (Some(first), Some(last)) if first.id != last.id => format!("{} to {}", first.id, last.id),
            (Some(only), _) => format!("only {}", only.id),
            (None, _) => "none".into(),
        };
        Self::Invented { got, shown }
    }
}

fn list(items: impl Iterator<Item = impl AsRef<str>>) -> String {
    items.map(|item| format!("\"{}\"", item.as_ref())).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer => f.write_str("there is no JSON object with the fields of a diagnosis in it"),
            Self::TooLong { limit } => write!(f, "it is longer than {limit} bytes"),
            Self::Several { count } => write!(f, "it holds {count} answers that differ, and exactly one is wanted"),
            Self::Missing { field } => write!(f, "the field \"{field}\" is missing"),
            Self::WrongType { field, expected } => write!(f, "\"{field}\" must be {expected}"),
            Self::Empty { field } => write!(f, "\"{field}\" is empty, and a sentence is wanted"),
            Self::UnknownVerdict { got } => {
                let words = list(VERDICTS.iter().map(|(word, _)| *word));
                write!(f, "\"verdict\" is \"{got}\", and must be one of {words}")
            }
            Self::NotOffered { got, choices } => write!(f, "\"remedy\" is \"{got}\", and must be one of {choices}"),
            Self::OutOfRange { got } => write!(f, "\"confidence\" is {got}, and must be between 0 and 1"),
            Self::Invented { got, shown } => {
                write!(f, "\"evidence\" names {got}, which was not shown; the exhibits are {shown}")
            }
            Self::NoEvidence => {
                f.write_str("\"verdict\" is \"real\", and \"evidence\" names no exhibit that it rests on")
            }
            Self::RemedyForNothing { remedy } => {
                write!(f, "\"remedy\" is \"{remedy}\" though \"verdict\" is not \"real\"; it must then be \"none\"")
            }
        }
    }
}

impl std::error::Error for Fault {}

/// The message that asks the model to correct its answer.
pub fn repair(faults: &[Fault]) -> String {
    let list: String = faults.iter().map(|fault| format!("- {fault}\n")).collect();
    format!(
        "Your answer cannot be used:\n{list}Answer once more, with nothing but one JSON object that has the fields \
         verdict, root_cause, remedy, confidence, evidence and why."
    )
}
