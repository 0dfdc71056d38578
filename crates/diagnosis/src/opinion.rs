//! The question to a language model about an incident, and the validation of its answer.
//!
//! ```text
//! case ──► exhibits, remedies ──► opinion_sought ──► (a model) ──► text ──► validate ──► reached
//!                                                                              └──► faults, sent back to the model once
//! ```
//!
//! The answer is untrusted: the model has read log lines that anyone may have written. So it can only choose one of three
//! verdicts and one of the remedies that the question offers, give a confidence, and cite exhibits. Anything else is a
//! fault; each fault is a sentence that is sent back to the model, which may correct its answer once. The analyzer calls
//! the model and words the prompt.

use std::collections::BTreeSet;

use hemostat_schema::{
    Confidence,
    action::Remedy,
    diagnosis::{Method, OpinionSought, Reached, Verdict},
};
mod answer;
mod fault;
pub(crate) mod question;
mod reading;
#[cfg(test)]
mod tests;

pub use answer::{Answer, NAME, NO_REMEDY, choices, schema};
pub use fault::{Fault, repair};
pub use question::{fingerprint, question};

use answer::VERDICTS;
use reading::Fields;

/// Maximum characters of a sentence in a model's answer; the rest is cut off.
pub const SENTENCE: usize = 400;

/// The diagnosis in `text`, a model's answer to `sought`. The caller adds the usage.
///
/// Text around the JSON (a code fence, an introduction, reasoning in `<think>`) is ignored.
///
/// # Errors
/// Everything that is wrong with it; [`repair`] words that for the model.
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
                policy: None,
                trigger: None,
            })
        }
        _ => Err(fields.faults),
    }
}

/// Whether two diagnoses agree: same verdict, same remedy.
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

/// The cited exhibits, without duplicates, in the order in which they were shown.
fn cites(ids: Vec<String>, sought: &OpinionSought) -> Result<Vec<String>, Fault> {
    let cited: BTreeSet<String> = ids.into_iter().collect();
    let shown = || sought.evidence.iter().map(|exhibit| &exhibit.id);
    let invented: Vec<&String> = cited.iter().filter(|id| !shown().any(|known| known == *id)).collect();
    if !invented.is_empty() {
        return Err(Fault::invented(&invented, sought));
    }
    Ok(shown().filter(|id| cited.contains(*id)).cloned().collect())
}
