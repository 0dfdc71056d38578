//! From evidence to a diagnosis: the first rule that applies, minus a remedy that is contraindicated.

use hemostat_core::Policy;
use hemostat_schema::{
    Confidence, Span,
    diagnosis::{Method, Reached, Verdict},
};

use crate::{case::Case, contraindications::safe, exhibits::exhibits, rules::RULES};

/// How much less confident a rule is of its remedy when the container's image has just changed.
const RECENT_IMAGE_PENALTY: f64 = 0.05;
/// How many characters of an image digest a diagnosis shows.
const DIGEST: usize = 19;

/// What the rules conclude.
pub(crate) struct Conclusion {
    pub(crate) reached: Reached,
    /// When to evaluate the case again, although nothing may have happened until then.
    pub(crate) recheck_after: Option<Span>,
}

/// The diagnosis of the rules; `None` where there is no symptom to treat, an operator halted the container, or HemoStat
/// does not watch it.
pub fn conclude(case: &Case<'_>, policy: &Policy, name: &str) -> Option<Reached> {
    evaluate(case, policy, name).map(|conclusion| conclusion.reached)
}

pub(crate) fn evaluate(case: &Case<'_>, policy: &Policy, name: &str) -> Option<Conclusion> {
    let symptoms: Vec<_> = case.serious_symptoms().collect();
    if symptoms.is_empty() || case.operator_halt.is_some() || !policy.watches(name, case.facts) {
        return None;
    }
    let (rule, finding) = RULES.iter().find_map(|rule| Some((rule, (rule.apply)(case)?)))?;
    let (mut why, mut confidence) = (finding.why, finding.confidence);
    let remedy = finding.remedy.filter(|remedy| match safe(case, remedy) {
        Ok(()) => true,
        Err(against) => {
            why.push_str(&format!("; {} is ruled out: {against}", remedy.name()));
            false
        }
    });
    if let Some(failed) = case.last_failed_remedy() {
        why.push_str(&format!("; the last {} did not help", failed.name()));
    }
    if let Some(before) = case.previous_image().filter(|_| finding.verdict == Verdict::Sick) {
        let before: String = before.chars().take(DIGEST).collect();
        why.push_str(&format!("; its image changed shortly before: a rollback to {before} may be the better remedy"));
        confidence -= if remedy.is_some() { RECENT_IMAGE_PENALTY } else { 0.0 };
    }
    let cited = |id: &String| finding.cites.contains(id) || symptoms.iter().any(|symptom| symptom.name() == id);
    let cites = exhibits(case).into_iter().map(|exhibit| exhibit.id).filter(cited).collect();
    let reached = Reached {
        verdict: finding.verdict,
        target: case.facts.target(),
        root_cause: finding.root_cause,
        remedy,
        confidence: Confidence::clamped(confidence),
        method: Method::Rule { rule: rule.name.to_owned() },
        why,
        examination: case.examination,
        cites,
        usage: None,
        symptoms,
        policy: None,
        trigger: None,
    };
    Some(Conclusion { reached, recheck_after: finding.recheck_after })
}

/// The name of the rule that gave the diagnosis; empty if a model gave it.
pub(crate) fn rule_of(reached: &Reached) -> &str {
    match &reached.method {
        Method::Rule { rule } => rule,
        Method::Model { .. } => "",
    }
}
