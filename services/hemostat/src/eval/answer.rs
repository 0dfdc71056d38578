//! Answers a case by the rules, or by a model on the same path as in production.

use std::time::{Duration, Instant};

use hemostat_analyzer::model_client::{CallError, ModelClient, Question};
use hemostat_core::{Policy, policy::Model};
use hemostat_diagnosis::opinion::agree;
use hemostat_diagnosis::{conclude, question};
use hemostat_schema::{
    EventId, Partition,
    diagnosis::{Part, Reached, Usage},
};

use super::case::Labelled;

/// Who answers.
#[derive(Debug)]
pub enum Who {
    /// Only the rules.
    Rules,
    /// A model; the rules if it fails.
    Model(Model, Box<ModelClient>),
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The diagnosis; `None` if there would be none.
    pub reached: Option<Reached>,
    /// Whether the model agreed with the rules; `None` if it did not answer.
    pub agreed: Option<bool>,
    /// Why the model did not answer.
    pub snag: Option<CallError>,
    /// What it cost.
    pub usage: Usage,
    /// How long it took.
    pub took: Duration,
}

impl Who {
    /// The answer to the `n`th case.
    pub async fn answer(&self, n: u64, labelled: &Labelled, policy: &Policy) -> Answer {
        let begun = Instant::now();
        let case = labelled.case();
        let rules = conclude(&case, policy, &labelled.container);
        let by_rules =
            |rules| Answer { reached: rules, agreed: None, snag: None, usage: Usage::default(), took: begun.elapsed() };
        // If no rule applies, there is no diagnosis, and triage would not ask a model.
        let (Self::Model(model, model_client), Some(fallback)) = (self, rules.clone()) else { return by_rules(rules) };
        let sought = question(&case, policy, model, Part::Decides, fallback.clone());
        let asked = Question { id: EventId { partition: Partition(0), ms: n, seq: 0 }, sought: &sought, trace: None };
        let opinion = model_client.ask(asked, model_client.timeout()).await;
        let (usage, took) = (opinion.usage, begun.elapsed());
        match opinion.outcome {
            Ok(reached) => {
                let agreed = Some(agree(&reached, &fallback));
                Answer { reached: Some(reached), agreed, snag: None, usage, took }
            }
            Err(snag) => Answer { snag: Some(snag), usage, took, ..by_rules(Some(fallback)) },
        }
    }
}
