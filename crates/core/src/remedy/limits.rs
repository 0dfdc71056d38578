//! The reasons against a remedy, checked in one fixed order; the first that applies is the refusal.
//!
//! The order is that of [`Refusal`]: first what an operator or owner wants, then what is doubtful, then what exceeds a
//! limit. What is unknown counts against the remedy.
//!
//! **Stale.** The age of a diagnosis alone does not matter: one that HemoStat has kept observing through an hour of
//! tripped breaker is as good as new. A diagnosis is stale after HemoStat was away: if the evaluation comes long after
//! it was due (by the diagnosis or the timer), or if a running container has not been observed for as long. An ended
//! container has nothing more to report; the responder makes sure that it is still that ended run before it acts.

use hemostat_schema::{
    Span, Timestamp,
    action::{Limits, LimitsSnapshot, Need, Passage, Refusal, RemedyInfo, Target},
    container::{Facts, State as Life},
    diagnosis::Verdict,
};

use super::{breaker::Breaker, context::Context, state::RequestedRemedy};
use crate::policy::{ContainerPolicy, Mode};

/// The check of one requested remedy against every limit.
#[derive(Debug)]
pub(super) struct LimitCheck<'a> {
    context: Context<'a>,
    pub(super) requested: &'a RequestedRemedy,
    container: Option<ContainerPolicy>,
    /// How long after it was due the evaluation comes.
    late: Span,
}

impl<'a> LimitCheck<'a> {
    /// `due`: when this should have been evaluated.
    pub(super) fn new(context: Context<'a>, requested: &'a RequestedRemedy, due: Timestamp) -> Self {
        let container = context.state.condition.facts.as_ref().map(|facts| context.policy.for_container(facts));
        Self { context, requested, container, late: Span::between(due, context.now) }
    }

    /// The container's policy; none if nothing is known of the container.
    pub(super) fn container(&self) -> Option<&ContainerPolicy> {
        self.container.as_ref()
    }

    /// How far HemoStat may go.
    pub(super) fn mode(&self) -> Option<Mode> {
        self.container().map(|container| container.mode)
    }

    /// What is known of the container.
    pub(super) fn facts(&self) -> Option<&'a Facts> {
        self.context.state.condition.facts.as_ref()
    }

    /// What the remedy would act on.
    pub(super) fn target(&self) -> Option<Target> {
        Target::of(self.requested.remedy.info().scope, self.facts()?)
    }

    /// The first reason against the remedy.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        let Context { state, shared, policy, .. } = self.context;
        if shared.paused {
            return Some(Refusal::Paused);
        }
        let age = self.age();
        if age > policy.stale_after {
            return Some(Refusal::Stale { age, limit: policy.stale_after });
        }
        let (Some(facts), Some(container)) = (self.facts(), self.container()) else {
            return Some(Refusal::Protected { why: "HemoStat knows nothing about it".into() });
        };
        if let Some(why) = self.protection(facts, container) {
            return Some(Refusal::Protected { why });
        }
        if container.mode == Mode::Observe {
            return Some(Refusal::Observing);
        }
        if state.condition.operator_halt.is_some() {
            return Some(Refusal::OperatorStopped);
        }
        if container.maintenance {
            return Some(Refusal::Maintenance { until: None });
        }
        let confidence = self.requested.confidence;
        if self.requested.verdict != Verdict::Sick || confidence < policy.min_confidence {
            return Some(Refusal::Unsure { confidence, threshold: policy.min_confidence });
        }
        if !container.remedies.contains(&self.requested.remedy.kind()) || container.max_attempts == 0 {
            return Some(Refusal::NotPermitted);
        }
        let sick = self.sick();
        if sick > policy.storm_threshold {
            return Some(Refusal::Storm { sick, limit: policy.storm_threshold });
        }
        if state.attempts.pending().is_some() {
            return Some(Refusal::InHand);
        }
        let shows = |symptom| state.condition.shows(symptom, Some(&self.requested.target));
        if !self.requested.symptoms.iter().copied().any(shows) {
            return Some(Refusal::Moot);
        }
        self.rate_limit(container).or_else(|| self.unsupported(facts))
    }

    /// Where each limit stands, for the record of an authorisation.
    pub(super) fn limits(&self) -> Limits {
        let Context { state, policy, now, .. } = self.context;
        Limits {
            attempt: state.attempts.count_within(policy.attempt_window, now).saturating_add(1),
            of: self.container().map_or(0, |container| container.max_attempts),
            snapshot: self.container().map(|container| self.snapshot(container)),
        }
    }

    fn snapshot(&self, container: &ContainerPolicy) -> LimitsSnapshot {
        let Context { state, policy, .. } = self.context;
        let incident = self.requested.incident.as_ref();
        let mut breaker = state.breaker;
        breaker.pass(incident, &state.attempts);
        LimitsSnapshot {
            mode: container.mode,
            confidence: self.requested.confidence,
            threshold: policy.min_confidence,
            age: self.age(),
            stale_after: policy.stale_after,
            sick: self.sick(),
            storm: policy.storm_threshold,
            window: policy.attempt_window,
            backoff: state.attempts.backoff_end(incident, &policy.backoff),
            cooldown: state.cooldown.as_ref().map(|cooldown| cooldown.until(container.cooldown)),
            breaker: match breaker {
                Breaker::Probing => Passage::Probing,
                Breaker::Passing | Breaker::Tripped { .. } => Passage::Passing,
            },
        }
    }

    /// The sick containers of the host.
    fn sick(&self) -> u32 {
        u32::try_from(self.context.shared.sick.len()).unwrap_or(u32::MAX)
    }

    /// How old the basis of the decision is: the diagnosis or timer, or the last observation of a running container.
    fn age(&self) -> Span {
        let condition = &self.context.state.condition;
        let unobserved = match condition.observed_at {
            Some(at) if condition.is_running() => Span::between(at, self.context.now),
            _ => Span::ZERO,
        };
        self.late.max(unobserved)
    }

    fn protection(&self, facts: &Facts, container: &ContainerPolicy) -> Option<String> {
        let off = || (!container.enabled).then(|| "its labels switch HemoStat off".to_owned());
        self.context.policy.protection(self.context.subject.short(), facts).or_else(off)
    }

    /// A tripped breaker answers for the limits behind it, so that giving up is not reported as a mere delay.
    fn rate_limit(&self, container: &ContainerPolicy) -> Option<Refusal> {
        let Context { state, policy, now, .. } = self.context;
        let incident = self.requested.incident.as_ref();
        let tripped = state.breaker.tripped_until(now);
        let backoff = state.attempts.backs_off_until(incident, &policy.backoff, now);
        let window = state.attempts.window_frees_at(container.max_attempts, policy.attempt_window, now);
        if let Some(until) = backoff.max(window).filter(|_| tripped.is_none()) {
            return Some(Refusal::BackingOff { until });
        }
        let cooldown = state.cooldown.as_ref();
        if let Some(until) = cooldown.and_then(|cooldown| cooldown.holds(incident, container.cooldown, now)) {
            return Some(Refusal::CoolingDown { until });
        }
        tripped.map(|until| Refusal::Tripped { until })
    }

    fn unsupported(&self, facts: &Facts) -> Option<Refusal> {
        let remedy = self.requested.remedy.info();
        let why = match () {
            () if self.context.shared.engine_lost => Some("its Docker engine does not answer"),
            () if matches!(facts.state, Life::Removing | Life::Dead) => Some("Docker is removing it"),
            () => remedy.unsupported.or_else(|| missing(&remedy, facts)),
        };
        why.map(|why| Refusal::Unsupported { why: why.into() })
    }
}

/// What the remedy needs and lacks. Whether the container runs is left to the responder, which looks when it acts.
fn missing(remedy: &RemedyInfo, facts: &Facts) -> Option<&'static str> {
    match Target::of(remedy.scope, facts) {
        None => Some("it belongs to no service"),
        Some(_) => remedy.needs.iter().find_map(|need| match need {
            Need::Running | Need::Ended => None,
            Need::AllowList => Some("the policy lists nothing that it may do"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use hemostat_schema::{action::RemedyKind, container::Swarm};

    use super::*;
    use crate::testing::facts;

    #[test]
    fn what_a_remedy_needs_and_does_not_find_is_missing() {
        let check = |kind: RemedyKind, facts: &Facts, expected: Option<&str>| {
            assert_eq!(missing(&kind.info(), facts), expected, "{kind:?}");
        };
        let swarm = Swarm { service_id: "x1".into(), service: "api".into() };
        let in_service = Facts { swarm: Some(swarm), compose: None, ..facts() };
        let alone = Facts { swarm: None, compose: None, ..facts() };
        check(RemedyKind::Restart, &alone, None);
        check(RemedyKind::Start, &alone, None);
        check(RemedyKind::Scale, &alone, Some("it belongs to no service"));
        check(RemedyKind::Scale, &in_service, None);
        check(RemedyKind::Cleanup, &alone, Some("the policy lists nothing that it may do"));
        check(RemedyKind::Exec, &alone, Some("the policy lists nothing that it may do"));
    }
}
