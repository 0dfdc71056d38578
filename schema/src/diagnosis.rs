//! Diagnoses: the conclusions from symptoms, and the questions to a language model.

#[cfg(feature = "json-schema")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Confidence, DecidedOn, EventId, PolicyHash, Span, action::Remedy, container::Run, kinds::family, symptom::Symptom,
    words::words,
};

family! {
    /// The cause of symptoms, and the remedy that would help.
    Diagnosis {
        /// A diagnosis.
        Reached = "reached" @ 3,
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
    pub target: Run,
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
    /// The policy that it was decided by; none in old events, which did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyHash>,
    /// What it was decided on; none in old events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<DecidedOn>,
}

words! {
    /// Whether the container is sick. `FalseAlarm` and `Unclear` are distinct, as a lack of evidence does not mean that all is
    /// well.
    pub enum Verdict {
        /// The container is sick.
        Sick = "sick" => "the container is sick",
        /// The container is not sick.
        FalseAlarm = "false_alarm" => "it is a false alarm",
        /// The evidence does not say.
        Unclear = "unclear" => "the evidence does not say",
    }

    /// What it says, as a clause: `the container is sick`.
    pub const fn phrase(self);
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

words! {
    /// How the answer of a model is used.
    pub enum Part {
        /// It is the diagnosis.
        Decides = "decides" => "its answer is the diagnosis",
        /// Shadow mode: the rules decide, and the answer is only compared with theirs.
        Shadows = "shadows" => "its answer is only compared with that of the rules",
    }

    /// What it says, as a clause.
    pub const fn phrase(self);
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

words! {
    /// Why a model gave no usable answer.
    pub enum Trouble {
        /// The model could not be reached.
        Unreachable = "unreachable",
        /// The provider refused: wrong key, unknown model or invalid request.
        Refused = "refused",
        /// The provider's rate limit was exceeded.
        RateLimited = "rate_limited",
        /// The model did not answer in time.
        TimedOut = "timed_out",
        /// The answer was no valid diagnosis, also after one retry.
        Invalid = "invalid",
        /// The budget of this hour is spent.
        OverBudget = "over_budget",
        /// The circuit breaker is open after repeated failures.
        BreakerOpen = "breaker_open",
        /// Something else; also events of version 1, which did not classify it.
        Other = "other",
    }
}
