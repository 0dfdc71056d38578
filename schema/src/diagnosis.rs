//! Diagnoses: what was concluded from the symptoms, and what was asked of a model.

#[cfg(feature = "json-schema")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Confidence, EventId, Span, action::Remedy, container::Target, kinds::family, observation::Symptom,
    words::wire_names,
};

family! {
    /// What is wrong, and what would help.
    Diagnosis {
        /// A conclusion.
        Reached = "reached" @ 2,
        /// A model is about to be asked.
        OpinionSought = "opinion_sought" @ 2,
        /// A model has answered, and its answer is only to be compared with that of the rules.
        Opined = "opined" @ 1,
        /// A model did not answer usefully.
        Failed = "failed" @ 2,
    }
}

/// A conclusion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
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
    /// The examination that it rests on; none where none came in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub examination: Option<EventId>,
    /// The pieces of evidence that it names, by their [`Exhibit::id`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cites: Vec<String>,
    /// What asking a model cost; none where none was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// Whether it is an illness. Three answers, because "nothing can be done" and "I am not sure" are not "all is well".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is.
    Sick,
    /// It is not.
    FalseAlarm,
    /// The evidence does not say.
    Unclear,
}

wire_names!(Verdict { Sick = "sick", FalseAlarm = "false_alarm", Unclear = "unclear" });

impl Verdict {
    /// What it says, as a clause: `it is an illness`.
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::Sick => "it is an illness",
            Self::FalseAlarm => "it is not an illness",
            Self::Unclear => "the evidence does not say",
        }
    }
}

/// Who concluded it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct OpinionSought {
    /// Whose model.
    pub provider: String,
    /// Which model.
    pub model: String,
    /// What its answer is for.
    pub part: Part,
    /// What the rules say; it stands when the model fails.
    pub fallback: Reached,
    /// What the model is shown, and may cite.
    pub evidence: Vec<Exhibit>,
    /// The remedies among which it may choose.
    pub remedies: Vec<Remedy>,
    /// The same for the same evidence, whenever it was gathered: SHA-256, in hexadecimal.
    pub fingerprint: String,
}

/// What a model's answer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// It is the diagnosis.
    Decides,
    /// The rules decide; the answer is only compared with theirs.
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
    /// By which it can be cited, such as `facts` or `output.2`.
    pub id: String,
    /// What kind of thing it is, such as `health check` or `output`.
    pub kind: String,
    /// What it says. Of what the container itself printed, nothing is to be believed.
    pub text: String,
}

/// A model has answered, and its answer is only to be compared with that of the rules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Opined {
    /// What it would have concluded.
    pub opinion: Reached,
    /// What the rules concluded.
    pub rules: Reached,
    /// Whether both are for the same remedy and the same verdict.
    pub agrees: bool,
}

/// What asking a model cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Usage {
    /// Tokens of the question; zero where the provider did not say.
    pub tokens_in: u64,
    /// Tokens of the answer.
    pub tokens_out: u64,
    /// What they cost, in millionths of a US dollar, where the price is known.
    pub cost_micros: Option<u64>,
    /// How often it was asked.
    pub requests: u32,
    /// How long it took.
    pub took: Span,
    /// Whether the answer was one that had been given to the same evidence before.
    pub cached: bool,
}

/// A model did not answer usefully.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Failed {
    /// Whose model.
    pub provider: String,
    /// Which model.
    pub model: String,
    /// In which way.
    pub trouble: Trouble,
    /// What happened.
    pub error: String,
    /// How long it took.
    pub took: Span,
    /// What it cost all the same.
    pub usage: Option<Usage>,
}

/// In which way a model did not answer usefully.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// It could not be reached.
    Unreachable,
    /// It refused: a key that is wrong, a model that there is not, a request that it does not take.
    Refused,
    /// It is asked too often.
    RateLimited,
    /// It did not answer in time.
    TimedOut,
    /// It answered, and not with a diagnosis, also when it was asked once more.
    Invalid,
    /// The budget for this hour is spent.
    OverBudget,
    /// It has failed so often that it is not asked for a while.
    BreakerOpen,
    /// Something else, as events of version 1 did not say.
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
