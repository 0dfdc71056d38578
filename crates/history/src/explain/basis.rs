//! What a decision rests on: the policy that it was made by, how that differs from the one before and from the present
//! one, and what it was decided on.

use hemostat_core::policy::differences;
use hemostat_schema::{DecidedOn, Event, PolicyHash, action::PolicyChanged};

use super::details::{Detail, detail};
use crate::Policies;

/// The details of the decisions of one story, in order.
pub(super) struct BasisDetails<'a> {
    pub policies: &'a Policies,
    /// The policy of the decision before.
    pub before: Option<PolicyHash>,
}

impl BasisDetails<'_> {
    /// The details of an event; none if it is no decision, or does not record what it rests on.
    pub fn of(&mut self, event: &Event) -> Vec<Detail> {
        let Some(basis) = event.basis() else { return vec![] };
        let mut details = vec![];
        if let Some(hash) = basis.policy {
            details.extend(self.policy(hash));
            self.before = Some(hash);
        }
        details.extend(basis.trigger.map(|trigger| match trigger {
            DecidedOn::Event(id) => detail("decided on", format!("event {id}")),
            DecidedOn::Timer { name, due } => detail("decided on", format!("timer {name}, due {due:.0}")),
        }));
        details
    }

    fn policy(&self, hash: PolicyHash) -> Vec<Detail> {
        let Some((id, recorded)) = self.policies.recorded(hash) else {
            return vec![detail("policy", format!("{hash}, which is not recorded in this history"))];
        };
        let since = id.appended_at();
        let mut details = vec![detail("policy", format!("{hash}, from {}, since {since:.0}", recorded.origin))];
        let before = self.before.filter(|before| *before != hash).and_then(|before| self.policies.recorded(before));
        details.extend(before.map(|(_, before)| detail("changed", changes(before, recorded))));
        let present = self.policies.last().filter(|present| present.hash != hash);
        details.extend(
            present.map(|present| {
                detail("at present", format!("policy {}: {}", present.hash, changes(recorded, present)))
            }),
        );
        details
    }
}

fn changes(was: &PolicyChanged, is: &PolicyChanged) -> String {
    let changes: Vec<_> = differences(&was.policy, &is.policy).iter().map(ToString::to_string).collect();
    changes.join(", ")
}
