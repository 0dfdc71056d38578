//! Diagnoses: the conclusions from symptoms, and the questions to a language model.

#[cfg(feature = "json-schema")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Confidence, EventId, Span, action::Remedy, container::Target, kinds::family, symptom::Symptom, words::wire_names,
};

family! {
    /// The cause of symptoms, and the remedy that would help.
    Diagnosis {
        /// A diagnosis.
        Reached = "reached" @ 2,
        /// A model is about to be asked.
        OpinionSought = "opinion_sought" @ 2,
        /// A model answered in shadow mode: its answer is only compared with that of the rules.
        Opined = "opined" @ 1,
        /// A model gave no usable answer.
        Failed = "failed" @ 2,
    }
}

/// A diagnosis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Reached {
    /// Whether the container is sick.
    pub verdict: Verdict,
    /// The explained symptoms.
    pub symptoms: Vec<Symptom>,
    /// The sick run.
    pub target: Target,
    /// The root cause, in a sentence.
    pub root_cause: String,
    /// The remedy that would help; none if HemoStat has none.
    pub remedy: Option<Remedy>,
    /// Its confidence.
    pub confidence: Confidence,
    /// The rule or model that concluded it.
    pub method: Method,
    /// The reason, in a sentence.
    pub why: String,
    /// The examination that it used; none if there was none in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub examination: Option<EventId>,
    /// The cited pieces of evidence, by [`Exhibit::id`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cites: Vec<String>,
    /// The usage of the model; none if no model was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// Whether the container is sick. `FalseAlarm` and `Unclear` are distinct, as a lack of evidence does not mean that all is
/// well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The container is sick.
    Sick,
    /// The container is not sick.
    FalseAlarm,
    /// The evidence does not say.
    Unclear,
}

wire_names!(Verdict { Sick = "sick", FalseAlarm = "false_alarm", Unclear = "unclear" });

impl Verdict {
    /// What it says, as a clause: `the container is sick`.
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::Sick => "the container is sick",
            Self::FalseAlarm => "it is a false alarm",
            Self::Unclear => "the evidence does not say",
        }
    }
}

/// The rule or model that concluded it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum Method {
    /// A rule of `hemostat-diagnosis`.
    Rule {
        /// The name of the rule.
        rule: String,
    },
    /// A language model.
    Model {
        /// The provider.
        provider: String,
        /// The model.
        model: String,
    },
}

/// A model is about to be asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct OpinionSought {
    /// The provider.
    pub provider: String,
    /// The model.
    pub model: String,
    /// How its answer is used.
    pub part: Part,
    /// The diagnosis of the rules, which applies if the model fails.
    pub fallback: Reached,
    /// The evidence that the model is shown and may cite.
    pub evidence: Vec<Exhibit>,
    /// The remedies that it may choose from.
    pub remedies: Vec<Remedy>,
    /// SHA-256 of the evidence in hexadecimal, independent of when it was gathered.
    pub fingerprint: String,
}

/// How the answer of a model is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// It is the diagnosis.
    Decides,
    /// Shadow mode: the rules decide, and the answer is only compared with theirs.
    Shadows,
}

wire_names!(Part { Decides = "decides", Shadows = "shadows" });

impl Part {
    /// What it says, as a clause.
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::Decides => "its answer is the diagnosis",
            Self::Shadows => "its answer is only compared with that of the rules",
        }
    }
}

/// One piece of evidence, as a model is shown it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Exhibit {
    /// The id by which it is cited, such as `facts` or `output.2`.
    pub id: String,
    /// Its kind, such as `health check` or `output`.
    pub kind: String,
    /// Its content. Output of the container is untrusted.
    pub text: String,
}

/// A model answered in shadow mode: its answer is only compared with that of the rules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Opined {
    /// The diagnosis of the model.
    pub opinion: Reached,
    /// The diagnosis of the rules.
    pub rules: Reached,
    /// Whether both have the same remedy and the same verdict.
    pub agrees: bool,
}

/// The usage of a model: tokens, cost and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Usage {
    /// Input tokens; zero if the provider did not report them.
    pub tokens_in: u64,
    /// Output tokens.
    pub tokens_out: u64,
    /// Cost in millionths of a US dollar, if the price is known.
    pub cost_micros: Option<u64>,
    /// Number of requests.
    pub requests: u32,
    /// How long it took.
    pub took: Span,
    /// Whether the answer came from the cache of earlier answers to the same evidence.
    pub cached: bool,
}

/// A model gave no usable answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Failed {
    /// The provider.
    pub provider: String,
    /// The model.
    pub model: String,
    /// The class of the failure.
    pub trouble: Trouble,
    /// The error.
    pub error: String,
    /// How long it took.
    pub took: Span,
    /// The usage, which is billed although it failed.
    pub usage: Option<Usage>,
}

/// Why a model gave no usable answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// The model could not be reached.
    Unreachable,
    /// The provider refused: wrong key, unknown model or invalid request.
    Refused,
    /// The provider's rate limit was exceeded.
    RateLimited,
    /// The model did not answer in time.
    TimedOut,
    /// The answer was no valid diagnosis, also after one retry.
    Invalid,
    /// The budget of this hour is spent.
    OverBudget,
    /// The circuit breaker is open after repeated failures.
    BreakerOpen,
    /// Something else; also events of version 1, which did not classify it.
    Other,
}

wire_names!(Trouble {
    Unreachable = "unreachable",
    Refused = "refused",
    RateLimited = "rate_limited",
    TimedOut = "timed_out",
    Invalid = "invalid",
    OverBudget = "over_budget",
    BreakerOpen = "breaker_open",
    Other = "other",
});
