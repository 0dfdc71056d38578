//! How a case is answered: by the rules, or by a model on the very way that its opinions take for real.

use std::time::{Duration, Instant};

use hemostat_analyzer::counsel::{Asked, Counsel, Snag};
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
    /// The rules alone.
    Rules,
    /// A model; where it fails, the rules.
    Model(Model, Box<Counsel>),
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What HemoStat would go by; none where it would say nothing.
    pub reached: Option<Reached>,
    /// Whether a model answered as the rules would have; none where none answered.
    pub agreed: Option<bool>,
    /// Why a model that was asked did not answer.
    pub snag: Option<Snag>,
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
        // Where the rules have nothing to say, it is not HemoStat's to say anything, and nobody is asked.
        let (Self::Model(model, counsel), Some(fallback)) = (self, rules.clone()) else { return by_rules(rules) };
        let sought = question(&case, policy, model, Part::Decides, fallback.clone());
        let asked = Asked { id: EventId { partition: Partition(0), ms: n, seq: 0 }, sought: &sought, trace: None };
        let opinion = counsel.ask(asked, counsel.timeout()).await;
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
