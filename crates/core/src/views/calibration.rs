//! The view `calibration`: how good the confidence of diagnoses was, measured by the outcomes of the remedies that they
//! asked for.
//!
//! ```text
//! diagnosis.reached ──► action.authorised ──► action.verified
//!   by whom, confidence   which diagnosis       whether it helped
//! ```
//!
//! A rule or a model that states 0.8 is calibrated if eight of ten of its remedies help. So each judged attempt counts
//! once for the rule or model that asked for it, at the stated confidence. What was not tried does not count: a
//! diagnosis below the threshold, one without a remedy, a dry run.
//!
//! There is one row per container, because the row of the container joins a verdict with its diagnosis; [`overall`]
//! sums the rows.

use std::collections::{BTreeMap, VecDeque};

use hemostat_schema::{
    Action, Confidence, Diagnosis, Event, EventId, Family, Recorded,
    action::Remedy,
    diagnosis::{Method, Opined, Reached},
};
use serde::{Deserialize, Serialize};

use crate::projection::Projection;

mod reliability;
#[cfg(test)]
mod tests;

pub use reliability::{BINS, Bin, Opinions, Record};

/// The view itself.
#[derive(Debug, Clone, Copy)]
pub struct Calibration;

/// Maximum diagnoses of a container that wait for an outcome; the latest are kept.
const MAX_AWAITED: usize = 16;

/// The calibration of the diagnoses of one container, by the container's key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// By rule or model, as [`name`] writes it.
    pub methods: BTreeMap<String, Record>,
    /// Diagnoses whose outcome is not known yet, oldest first.
    awaited: VecDeque<Awaited>,
    /// The last event applied.
    pub last: EventId,
}

/// A diagnosis whose remedy was not tried or not judged yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Awaited {
    diagnosis: EventId,
    remedy: Remedy,
    /// Who asked for this remedy, with what confidence: the rule or model of the diagnosis, and a shadow model that
    /// agreed.
    claims: Vec<Claim>,
    /// The pending attempt.
    action: Option<EventId>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Claim {
    by: String,
    confidence: Confidence,
}

/// The name of a rule or model: `rule:unhealthy`, `model:openai/gpt-4o`.
pub fn name(method: &Method) -> String {
    match method {
        Method::Rule { rule } => format!("rule:{rule}"),
        Method::Model { provider, model } => model_name(provider, model),
    }
}

fn model_name(provider: &str, model: &str) -> String {
    format!("model:{provider}/{model}")
}

/// The sum of the rows of many containers.
pub fn overall<'a>(rows: impl IntoIterator<Item = &'a Row>) -> BTreeMap<String, Record> {
    let mut all = BTreeMap::<String, Record>::new();
    for (by, record) in rows.into_iter().flat_map(|row| &row.methods) {
        all.entry(by.clone()).or_default().add(record);
    }
    all
}

impl Row {
    fn of(&mut self, by: String) -> &mut Record {
        self.methods.entry(by).or_default()
    }

    fn reached(&mut self, id: EventId, reached: &Reached) {
        let by = name(&reached.method);
        self.of(by.clone()).reached += 1;
        let Some(remedy) = reached.remedy.clone() else { return };
        if self.awaited.len() == MAX_AWAITED {
            self.awaited.pop_front();
        }
        let claims = vec![Claim { by, confidence: reached.confidence }];
        self.awaited.push_back(Awaited { diagnosis: id, remedy, claims, action: None });
    }

    /// A shadow model that asks for the same remedy is judged with it.
    fn opined(&mut self, opined: &Opined) {
        let (by, rules) = (name(&opined.opinion.method), &opined.rules);
        let opinions = &mut self.of(by.clone()).opinions;
        opinions.answered += 1;
        opinions.agreed += u64::from(opined.agrees);
        if !opined.agrees {
            return;
        }
        let claim = Claim { by: name(&rules.method), confidence: rules.confidence };
        let is_same = |awaited: &&mut Awaited| {
            awaited.claims.first() == Some(&claim)
                && rules.remedy.as_ref() == Some(&awaited.remedy)
                && awaited.claims.iter().all(|claim| claim.by != by)
        };
        if let Some(awaited) = self.awaited.iter_mut().rev().find(is_same) {
            awaited.claims.push(Claim { by, confidence: opined.opinion.confidence });
        }
    }

    fn act(&mut self, id: EventId, action: &Action) {
        match action {
            Action::Authorised(intent) if !intent.dry_run => {
                let requested = self.awaited.iter_mut().find(|awaited| awaited.diagnosis == intent.diagnosis);
                if let Some(awaited) = requested {
                    awaited.action = Some(id);
                }
            }
            Action::Verified(verdict) => {
                let judged = self.awaited.iter_mut().find(|awaited| awaited.action == Some(verdict.action));
                let Some(awaited) = judged else { return };
                awaited.action = None;
                for Claim { by, confidence } in awaited.claims.clone() {
                    self.of(by).judge(confidence, verdict.outcome);
                }
            }
            _ => {}
        }
    }
}

impl Projection for Calibration {
    const NAME: &'static str = "calibration";
    const VERSION: u16 = 1;
    const READS: &'static [Family] = &[Family::Diagnosis, Family::Action];
    type Row = Row;

    fn keys(event: &Recorded) -> Vec<String> {
        match event.event() {
            Some(
                Event::Diagnosis(Diagnosis::Reached(_) | Diagnosis::Opined(_) | Diagnosis::Failed(_))
                | Event::Action(Action::Authorised(_) | Action::Verified(_)),
            ) => vec![event.subject.to_string()],
            _ => vec![],
        }
    }

    fn evolve(row: Option<Row>, _: &str, event: &Recorded) -> Option<Row> {
        let Some(known) = event.event() else { return row };
        let mut row = match (row, known) {
            (Some(row), _) if event.id <= row.last => return Some(row),
            (Some(row), _) => row,
            // The diagnosis of an earlier attempt is not on the log, so its outcome cannot be attributed.
            (None, Event::Diagnosis(_)) => {
                Row { methods: BTreeMap::new(), awaited: VecDeque::new(), last: EventId::start(event.id.partition) }
            }
            (None, _) => return None,
        };
        match known {
            Event::Diagnosis(Diagnosis::Reached(reached)) => row.reached(event.id, reached),
            Event::Diagnosis(Diagnosis::Opined(opined)) => row.opined(opined),
            Event::Diagnosis(Diagnosis::Failed(failed)) => {
                row.of(model_name(&failed.provider, &failed.model)).opinions.failed += 1;
            }
            Event::Action(action) => row.act(event.id, action),
            Event::Diagnosis(Diagnosis::OpinionSought(_))
            | Event::Observation(_)
            | Event::Alert(_)
            | Event::Sample(_) => {}
        }
        row.last = event.id;
        Some(row)
    }
}
