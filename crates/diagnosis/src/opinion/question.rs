//! The question to a model: its exhibits, the remedies that it offers, and a fingerprint to recognise the same question.

use std::collections::BTreeSet;

use hemostat_schema::{
    action::{Remedy, RemedyKind},
    diagnosis::{OpinionSought, Part, Reached},
};
use sha2::{Digest, Sha256};

use hemostat_core::{Policy, policy::Model};

use crate::{case::Case, contraindications::safe, exhibits::exhibits};

/// The question about `case` to `model`; `fallback` is the diagnosis of the rules.
pub fn question(case: &Case<'_>, policy: &Policy, model: &Model, part: Part, fallback: Reached) -> OpinionSought {
    let container_policy = policy.for_container(case.facts);
    let may = |kind: &RemedyKind| kind.info().model_may_choose && container_policy.remedies.contains(kind);
    let choices = RemedyKind::ALL.into_iter().filter(may).filter_map(RemedyKind::plain);
    let remedies: Vec<Remedy> = choices.filter(|remedy| safe(case, remedy).is_ok()).collect();
    OpinionSought {
        provider: model.provider.clone(),
        model: model.name.clone(),
        part,
        fingerprint: fingerprint(case, &remedies),
        evidence: exhibits(case),
        remedies,
        fallback,
    }
}

/// A fingerprint of the evidence, equal for equal evidence at any time and on any container: SHA-256, in hexadecimal.
///
/// It leaves out times, measurements and ids, because these differ in every incident. Log output counts as the set of its
/// lines without numbers.
pub fn fingerprint(case: &Case<'_>, remedies: &[Remedy]) -> String {
    let facts = case.facts;
    let mut parts = vec![
        format!("image {}", facts.image_id),
        format!("{:?} {:?} {:?} {:?}", facts.state, facts.health, facts.restart_policy, facts.limits),
        format!("exit {:?}", facts.exit.map(|exit| (exit.code, exit.by))),
    ];
    parts.extend(case.active_symptoms.iter().map(|(symptom, active)| format!("{symptom} {:?}", active.severity)));
    parts.extend(case.attempts.iter().map(|attempt| format!("tried {} {:?}", attempt.remedy.name(), attempt.outcome)));
    parts.extend(case.past_incidents.iter().map(|past| {
        let attempt = past.attempt.as_ref().map(|attempt| (attempt.remedy.name(), attempt.outcome));
        format!("past {:?} {attempt:?}", past.symptoms)
    }));
    parts.extend(remedies.iter().map(|remedy| format!("may {}", remedy.name())));
    if let Some(examined) = case.examined {
        parts.push(format!("killed {}", examined.out_of_memory));
        let relatives = examined.relatives.iter();
        parts.extend(
            relatives.map(|other| format!("{} {:?} {:?} {:?}", other.name, other.relation, other.state, other.health)),
        );
        let checks =
            examined.checks.iter().map(|check| format!("check {} {}", check.code, without_numbers(&check.output)));
        let output = examined.output.iter().map(|line| format!("line {}", without_numbers(&line.text)));
        let processes = examined.processes.iter().map(|process| format!("runs {}", without_numbers(&process.command)));
        parts.extend(checks.chain(output).chain(processes).collect::<BTreeSet<_>>());
        parts.extend(case.previous_image().map(|from| format!("was {from}")));
    }
    let mut hash = Sha256::new();
    for part in parts {
        // The length separates one part from the next.
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `text` with `#` for what differs each time: numbers (except status codes such as 404) and long hexadecimal ids.
fn without_numbers(text: &str) -> String {
    let mut words = vec![];
    for word in text.split_whitespace() {
        let is_status = word.len() == 3 && word.parse::<u16>().is_ok_and(|code| (100..600).contains(&code));
        let is_id = |part: &str| part.len() >= 8 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        let parts = word.split_inclusive(|c: char| !c.is_alphanumeric());
        words.push(match is_status {
            true => word.to_owned(),
            false => parts
                .map(|part| {
                    let (word, mark) = part.split_at(part.trim_end_matches(|c: char| !c.is_alphanumeric()).len());
                    if is_id(word) { format!("#{mark}") } else { format!("{}{mark}", without_digits(word)) }
                })
                .collect(),
        });
    }
    words.join(" ")
}

/// `word` with one `#` for each run of digits.
fn without_digits(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    for c in word.chars() {
        match c.is_ascii_digit() {
            true if out.ends_with('#') => {}
            true => out.push('#'),
            false => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ids_are_left_out() {
        let check = |text: &str, expected: &str| assert_eq!(without_numbers(text), expected);
        check("2026-11-25T10:00:00Z took 12ms", "#-#-#T#:#:#Z took #ms");
        check("GET /a 404 152", "GET /a 404 152");
        check("GET /a 404 1520", "GET /a 404 #");
        check("request 4f3a9c21b7 from 10.0.0.3:51234", "request # from #.#.#.#:#");
        check("worker3 died", "worker# died");
    }
}
