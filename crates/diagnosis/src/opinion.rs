//! What a language model is asked about a sick container, and what of its answer is believed.
//!
//! ```text
//! case ──► exhibits, remedies ──► opinion_sought ──► (a model) ──► text ──► validate ──► reached
//!                                                                              └──► faults, told to the model once
//! ```
//!
//! The answer is text by a stranger who has just read what other strangers printed. So a model can say little: one of
//! three verdicts, one of the remedies that the question offers, how sure it is, and which exhibits say so. What is
//! not of this form is a fault, and each fault is a sentence that the model can be told, so that it may mend its answer
//! once. How a model is reached, and in which words it is asked, is not settled here: that is the analyzer's.

use std::collections::BTreeSet;

use hemostat_schema::{
    Confidence,
    action::Remedy,
    diagnosis::{Method, OpinionSought, Reached, Verdict},
};
use serde::Serialize;
use serde_json::{Value, json};

mod exhibits;
mod fault;
mod question;
mod reading;
#[cfg(test)]
mod tests;

pub(crate) use exhibits::output_id;
pub use exhibits::{EXHIBITS_BYTES, exhibits};
pub use fault::{Fault, repair};
pub use question::{fingerprint, question};

use reading::Fields;
pub(crate) use reading::plain;

/// What the answer is called where a provider wants a name for it: a schema's, or a tool's.
pub const NAME: &str = "diagnosis";

/// What a model says where no remedy of the question's would help.
pub const NO_REMEDY: &str = "none";

/// A sentence of a model's is kept up to so many characters.
pub const SENTENCE: usize = 400;

/// The verdicts as a model says them.
const VERDICTS: [(&str, Verdict); 3] =
    [("real", Verdict::Sick), ("false_alarm", Verdict::FalseAlarm), ("unclear", Verdict::Unclear)];

/// A model's answer, as it is written; [`schema`] describes it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// Whether it is an illness: `real`, `false_alarm` or `unclear`.
    pub verdict: String,
    /// What is wrong, in a sentence.
    pub root_cause: String,
    /// The name of one of the question's remedies, or [`NO_REMEDY`].
    pub remedy: String,
    /// How sure it is, 0 to 1.
    pub confidence: f64,
    /// The ids of the exhibits that say so.
    pub evidence: Vec<String>,
    /// Why, in a sentence.
    pub why: String,
}

/// The JSON Schema of the answer to `sought`.
///
/// Flat, every field required and no other allowed, choices as enums of strings: what OpenAI's strict mode and
/// Anthropic's tools both take, and what small local servers can turn into a grammar. Ranges are left out, as not
/// all of them know them; [`validate`] looks at those.
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
                "description": "What would help; none where none of the others would, or where the verdict is not real",
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

/// What a model may choose among: the question's remedies, and none.
pub fn choices(sought: &OpinionSought) -> impl Iterator<Item = &'static str> {
    sought.remedies.iter().map(Remedy::name).chain([NO_REMEDY])
}

/// The diagnosis that `text`, a model's answer to `sought`, comes to. What it cost is for the caller to add.
///
/// Text around the JSON (a fence, an introduction, a train of thought in `<think>`) is passed over.
///
/// # Errors
/// Everything that is wrong with it; [`repair`] puts that to the model.
pub fn validate(text: &str, sought: &OpinionSought) -> Result<Reached, Vec<Fault>> {
    let object = reading::object(text).map_err(|fault| vec![fault])?;
    let mut fields = Fields::new(&object);
    let verdict = fields.text("verdict").and_then(|word| fields.or_fault(verdict(&word)));
    let root_cause = fields.sentence("root_cause", SENTENCE);
    let remedy = fields.text("remedy").and_then(|name| fields.or_fault(remedy(&name, sought)));
    let confidence = fields.number("confidence").and_then(|number| fields.or_fault(confidence(number)));
    let cites = fields.texts("evidence").and_then(|ids| fields.or_fault(cites(ids, sought)));
    let why = fields.sentence("why", SENTENCE);
    match (verdict, remedy.as_ref(), cites.as_ref()) {
        (Some(Verdict::FalseAlarm | Verdict::Unclear), Some(Some(remedy)), _) => {
            fields.faults.push(Fault::RemedyForNothing { remedy: remedy.name() });
        }
        (Some(Verdict::Sick), _, Some(cites)) if cites.is_empty() => fields.faults.push(Fault::NoEvidence),
        _ => {}
    }
    match (verdict, root_cause, remedy, confidence, cites, why) {
        (Some(verdict), Some(root_cause), Some(remedy), Some(confidence), Some(cites), Some(why))
            if fields.faults.is_empty() =>
        {
            Ok(Reached {
                verdict,
                symptoms: sought.fallback.symptoms.clone(),
                target: sought.fallback.target.clone(),
                root_cause,
                remedy,
                confidence,
                method: Method::Model { provider: sought.provider.clone(), model: sought.model.clone() },
                why,
                examination: sought.fallback.examination,
                cites,
                usage: None,
            })
        }
        _ => Err(fields.faults),
    }
}

/// Whether two diagnoses come to the same: the same verdict, and the same remedy.
pub fn agree(one: &Reached, other: &Reached) -> bool {
    one.verdict == other.verdict && one.remedy == other.remedy
}

fn verdict(word: &str) -> Result<Verdict, Fault> {
    let known = VERDICTS.iter().find(|(name, _)| *name == word);
    known.map(|(_, verdict)| *verdict).ok_or_else(|| Fault::unknown_verdict(word))
}

fn remedy(name: &str, sought: &OpinionSought) -> Result<Option<Remedy>, Fault> {
    if name == NO_REMEDY {
        return Ok(None);
    }
    let offered = sought.remedies.iter().find(|remedy| remedy.name() == name).cloned();
    offered.map(Some).ok_or_else(|| Fault::not_offered(name, sought))
}

fn confidence(number: f64) -> Result<Confidence, Fault> {
    Confidence::new(number).ok_or_else(|| Fault::OutOfRange { got: number.to_string() })
}

/// The exhibits that are cited, each once, in the order in which they were shown.
fn cites(ids: Vec<String>, sought: &OpinionSought) -> Result<Vec<String>, Fault> {
    let cited: BTreeSet<String> = ids.into_iter().collect();
    let shown = || sought.evidence.iter().map(|exhibit| &exhibit.id);
    let invented: Vec<&String> = cited.iter().filter(|id| !shown().any(|known| known == *id)).collect();
    if !invented.is_empty() {
        return Err(Fault::invented(&invented, sought));
    }
    Ok(shown().filter(|id| cited.contains(*id)).cloned().collect())
}
