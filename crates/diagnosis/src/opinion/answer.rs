//! The form of a model's answer.

use hemostat_schema::{
    action::Remedy,
    diagnosis::{OpinionSought, Verdict},
};
use serde::Serialize;
use serde_json::{Value, json};

/// The name of the schema or tool, for providers that require one.
pub const NAME: &str = "diagnosis";

/// What a model answers if no offered remedy would help.
pub const NO_REMEDY: &str = "none";

/// The verdicts, by the words that a model uses.
pub(super) const VERDICTS: [(&str, Verdict); 3] =
    [("real", Verdict::Sick), ("false_alarm", Verdict::FalseAlarm), ("unclear", Verdict::Unclear)];

/// A model's answer; [`schema`] is its JSON Schema.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// `real`, `false_alarm` or `unclear`.
    pub verdict: String,
    /// The root cause, in one sentence.
    pub root_cause: String,
    /// The name of an offered remedy, or [`NO_REMEDY`].
    pub remedy: String,
    /// The confidence, 0 to 1.
    pub confidence: f64,
    /// The ids of the exhibits that support it.
    pub evidence: Vec<String>,
    /// The reason, in one sentence.
    pub why: String,
}

/// The JSON Schema of the answer to `sought`.
///
/// Flat, all fields required, no additional fields, choices as string enums: both OpenAI's strict mode and Anthropic's
/// tools accept that, and small local servers can turn it into a grammar. It has no ranges, because not all of them
/// support those; [`super::validate`] checks them.
pub fn schema(sought: &OpinionSought) -> Value {
    let verdicts: Vec<&str> = VERDICTS.iter().map(|(word, _)| *word).collect();
    let remedies: Vec<&str> = choices(sought).collect();
    let ids: Vec<&str> = sought.evidence.iter().map(|exhibit| exhibit.id.as_str()).collect();
    let id = if ids.is_empty() { json!({ "type": "string" }) } else { json!({ "type": "string", "enum": ids }) };
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["evidence", "root_cause", "why", "verdict", "remedy", "confidence"],
        "properties": {
            "verdict": {
                "type": "string",
                "enum": verdicts,
                "description": "real: it is an illness; false_alarm: it is not; unclear: the evidence does not say",
            },
            "root_cause": { "type": "string", "description": "What is wrong, in one sentence" },
            "remedy": {
                "type": "string",
                "enum": remedies,
                "description": "What would help; none if no other remedy would help, or if the verdict is not real",
            },
            "confidence": { "type": "number", "description": "How sure you are, from 0 to 1" },
            "evidence": {
                "type": "array",
                "items": id,
                "description": "The ids of the exhibits that the verdict rests on",
            },
            "why": { "type": "string", "description": "Why, in one sentence" },
        },
    })
}

/// What a model may choose: the offered remedies, and none.
pub fn choices(sought: &OpinionSought) -> impl Iterator<Item = &'static str> {
    sought.remedies.iter().map(Remedy::name).chain([NO_REMEDY])
}
