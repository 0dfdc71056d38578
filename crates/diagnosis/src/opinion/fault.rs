//! What can be wrong with a model's answer, as sentences that the model can be told.

use std::fmt;

use hemostat_schema::diagnosis::OpinionSought;

use super::{VERDICTS, choices, reading::plain};

/// Of what a model wrote, so much is repeated to it.
const QUOTED: usize = 40;
/// So many ids that do not exist are named.
const NAMED: usize = 5;

/// One thing that is wrong with a model's answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Fault {
    /// There is no JSON object with an answer in it.
    NoAnswer,
    /// It is so long that it was not read.
    TooLong {
        /// How many bytes are read.
        limit: usize,
    },
    /// There are several answers, and they differ.
    Several {
        /// How many.
        count: usize,
    },
    /// A field is not there.
    Missing {
        /// Which.
        field: &'static str,
    },
    /// A field is of another kind.
    WrongType {
        /// Which.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// A sentence has no words.
    Empty {
        /// Which.
        field: &'static str,
    },
    /// The verdict is none of the three.
    UnknownVerdict {
        /// What it says.
        got: String,
    },
    /// The remedy is none of those that were offered.
    NotOffered {
        /// What it says.
        got: String,
        /// What was offered.
        choices: String,
    },
    /// The confidence is not between 0 and 1.
    OutOfRange {
        /// What it says.
        got: String,
    },
    /// Evidence is cited that was not shown.
    Invented {
        /// What is cited.
        got: String,
        /// From where to where the ids go.
        shown: String,
    },
    /// It is sick, and no evidence says so.
    NoEvidence,
    /// It is not known to be sick, and is to be healed.
    RemedyForNothing {
        /// With what.
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

/// What the model is told, so that it may mend its answer.
pub fn repair(faults: &[Fault]) -> String {
    let list: String = faults.iter().map(|fault| format!("- {fault}\n")).collect();
    format!(
        "Your answer cannot be used:\n{list}Answer once more, with nothing but one JSON object that has the fields \
         verdict, root_cause, remedy, confidence, evidence and why."
    )
}
