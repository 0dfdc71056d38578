//! What stands against a remedy, in one fixed order; the first reason that applies is the answer.
//!
//! The order is that of [`Refusal`]: first what an operator or owner wants, then what is doubtful, then what is too much.
//! What is not known counts against the remedy.
//!
//! **Stale.** A diagnosis is not acted on by its age alone: one that has stood under HemoStat's eyes for the hour that the
//! breaker held is as good as new. It is stale when HemoStat was away: when the thought comes long after the instant at
//! which it was due (the diagnosis', or the timer's), or when a running container has not been observed for as long. An
//! ended container tells nothing any more, and needs not: the act itself makes sure that it is still that ended run.

use hemostat_schema::{
    Span, Timestamp,
    action::{Leeway, Limits, Passage, Refusal, Remedy},
    container::{Facts, State as Life, Target},
    diagnosis::Verdict,
};

use super::{Thought, state::Wanted};
use crate::{
    breaker::Breaker,
    policy::{Allowed, Care, Mode},
};

/// One remedy for one container at one instant.
#[derive(Debug)]
pub(super) struct Case<'a> {
    thought: Thought<'a>,
    pub(super) wanted: &'a Wanted,
    care: Option<Care>,
    late: Span,
}

impl<'a> Case<'a> {
    /// `since` is when this should have been decided.
    pub(super) fn new(thought: Thought<'a>, wanted: &'a Wanted, since: Timestamp) -> Self {
        let care = thought.state.condition.facts.as_ref().map(|facts| thought.policy.care_of(facts));
        Self { thought, wanted, care, late: Span::between(since, thought.now) }
    }

    /// How the container is cared for; none where nothing is known of it.
    pub(super) fn care(&self) -> Option<&Care> {
        self.care.as_ref()
    }

    /// How far HemoStat may go.
    pub(super) fn mode(&self) -> Option<Mode> {
        self.care().map(|care| care.mode)
    }

    /// What is known of it.
    pub(super) fn facts(&self) -> Option<&'a Facts> {
        self.thought.state.condition.facts.as_ref()
    }

    /// The run that a remedy would act on: the present one.
    pub(super) fn target(&self) -> Option<Target> {
        self.facts().map(Facts::target)
    }

    /// The first reason against it.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        let Thought { state, shared, policy, .. } = self.thought;
        if shared.paused {
            return Some(Refusal::Paused);
        }
        let age = self.late.max(self.unobserved());
        if age > policy.stale_after {
            return Some(Refusal::Stale { age, limit: policy.stale_after });
        }
        let (Some(facts), Some(care)) = (self.facts(), self.care()) else {
            return Some(Refusal::Protected { why: "nothing is known of it".into() });
        };
        if let Some(why) = self.protection(facts, care) {
            return Some(Refusal::Protected { why });
        }
        if care.mode == Mode::Observe {
            return Some(Refusal::Observing);
        }
        if state.condition.halted.is_some() {
            return Some(Refusal::OperatorStopped);
        }
        if care.maintenance {
            return Some(Refusal::Maintenance { until: None });
        }
        if self.wanted.verdict != Verdict::Sick || self.wanted.confidence < policy.confidence {
            return Some(Refusal::Unsure { confidence: self.wanted.confidence, threshold: policy.confidence });
        }
        if !care.remedies.contains(&Allowed::from(&self.wanted.remedy)) || care.max_retries == 0 {
            return Some(Refusal::NotPermitted);
        }
        let sick = u32::try_from(shared.sick.len()).unwrap_or(u32::MAX);
        if sick > policy.storm {
            return Some(Refusal::Storm { sick, limit: policy.storm });
        }
        if state.attempts.in_hand().is_some() {
            return Some(Refusal::InHand);
        }
        let shows = |symptom| state.condition.shows(symptom, &self.wanted.target);
        if !self.wanted.symptoms.iter().copied().any(shows) {
            return Some(Refusal::Moot);
        }
        self.too_much(care).or_else(|| self.unsupported(facts))
    }

    /// Where each limit stands, for the record of an authority.
    pub(super) fn limits(&self) -> Limits {
        let Thought { state, policy, now, .. } = self.thought;
        Limits {
            attempt: state.attempts.within(policy.window, now).saturating_add(1),
            of: self.care().map_or(0, |care| care.max_retries),
            leeway: self.care().map(|care| self.leeway(care)),
        }
    }

    fn leeway(&self, care: &Care) -> Leeway {
        let Thought { state, shared, policy, .. } = self.thought;
        let incident = self.wanted.incident.as_ref();
        let mut breaker = state.breaker;
        breaker.attempt(incident, &state.attempts);
        Leeway {
            mode: care.mode,
            confidence: self.wanted.confidence,
            threshold: policy.confidence,
            age: self.late.max(self.unobserved()),
            stale_after: policy.stale_after,
            sick: u32::try_from(shared.sick.len()).unwrap_or(u32::MAX),
            storm: policy.storm,
            window: policy.window,
            backoff: state.attempts.waits(incident, &policy.backoff),
            cooldown: state.cooldown.as_ref().map(|rest| rest.until(care.cooldown)),
            breaker: match breaker {
                Breaker::Probing => Passage::Probing,
                Breaker::Passing | Breaker::Tripped { .. } => Passage::Passing,
            },
        }
    }

    /// For how long a container that runs, and so has something to tell, has not been observed.
    fn unobserved(&self) -> Span {
        match self.thought.state.condition.observed_at {
            Some(at) if self.thought.state.condition.runs() => Span::between(at, self.thought.now),
            _ => Span::ZERO,
        }
    }

    fn protection(&self, facts: &Facts, care: &Care) -> Option<String> {
        let off = || (!care.enabled).then(|| "its labels switch HemoStat off".to_owned());
        self.thought.policy.protection(self.thought.subject.short(), facts).or_else(off)
    }

    /// A breaker that holds answers for the limits that it stands for, so that giving up is not told as a mere delay.
    fn too_much(&self, care: &Care) -> Option<Refusal> {
        let Thought { state, policy, now, .. } = self.thought;
        let incident = self.wanted.incident.as_ref();
        let held = state.breaker.holds(now);
        let due = state.attempts.due(incident, &policy.backoff, now);
        let room = state.attempts.room(care.max_retries, policy.window, now);
        if let Some(until) = due.max(room).filter(|_| held.is_none()) {
            return Some(Refusal::BackingOff { until });
        }
        if let Some(until) = state.cooldown.as_ref().and_then(|rest| rest.holds(incident, care.cooldown, now)) {
            return Some(Refusal::CoolingDown { until });
        }
        held.map(|until| Refusal::Tripped { until })
    }

    fn unsupported(&self, facts: &Facts) -> Option<Refusal> {
        let why = match (&self.wanted.remedy, facts.state) {
            _ if self.thought.shared.engine_lost => "its Docker engine does not answer",
            (_, Life::Removing | Life::Dead) => "Docker is removing it",
            (Remedy::Restart | Remedy::Start, _) => return None,
            (Remedy::Stop, _) => "HemoStat cannot stop containers yet",
            (Remedy::Scale, _) => "HemoStat cannot scale services yet",
            (Remedy::Cleanup, _) => "HemoStat cannot clean up yet",
            (Remedy::Exec { .. }, _) => "HemoStat cannot run commands yet",
        };
        Some(Refusal::Unsupported { why: why.into() })
    }
}
