//! Diagnoses: what was concluded from the symptoms, and what was asked of a model.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Confidence, Span, action::Remedy, container::Target, kinds::family, observation::Symptom};

family! {
    /// What is wrong, and what would help.
    Diagnosis {
        /// A conclusion.
        Reached = "reached" @ 1,
        /// A model is about to be asked.
        OpinionSought = "opinion_sought" @ 1,
        /// A model did not answer usefully.
        Failed = "failed" @ 1,
    }
}

/// A conclusion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reached {
    /// Whether it is an illness.
    pub verdict: Verdict,
    /// The symptoms that it explains.
    pub symptoms: Vec<Symptom>,
    /// The run that is ill.
    pub target: Target,
    /// What is wrong, in a sentence.
    pub root_cause: String,
    /// What would help; none where nothing that HemoStat can do would.
    pub remedy: Option<Remedy>,
    /// How sure it is.
    pub confidence: Confidence,
    /// Who concluded it.
    pub method: Method,
    /// Why, in a sentence.
    pub why: String,
}

/// Whether it is an illness. Three answers, because "nothing can be done" and "I am not sure" are not "all is well".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is.
    Sick,
    /// It is not.
    FalseAlarm,
    /// The evidence does not say.
    Unclear,
}

impl Verdict {
    /// The wire name, such as `false_alarm`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sick => "sick",
            Self::FalseAlarm => "false_alarm",
            Self::Unclear => "unclear",
        }
    }
}

/// Who concluded it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum Method {
    /// A rule of `core::diagnose`.
    Rule {
        /// Its name.
        rule: String,
    },
    /// A language model.
    Model {
        /// Whose.
        provider: String,
        /// Which.
        model: String,
    },
}

/// A model is about to be asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OpinionSought {
    /// Whose model.
    pub provider: String,
    /// Which model.
    pub model: String,
    /// What the rules say meanwhile; it stands when the model fails.
    pub fallback: Reached,
}

/// A model did not answer usefully.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Failed {
    /// Whose model.
    pub provider: String,
    /// Which model.
    pub model: String,
    /// What happened.
    pub error: String,
    /// How long it took.
    pub took: Span,
}
