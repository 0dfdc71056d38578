//! What is seen of one container becomes observations, and what of it is an illness becomes symptoms.
//!
//! ```text
//! inspect, Docker events, samples, time ──► observe ──► seen, started, exited, sampled …
//!                                              │
//!                                              └──────► symptom raised ──► worsened ──► cleared
//! ```
//!
//! A symptom is raised once, worsened at most once and cleared once, however often the container is looked at. It must
//! have held for its time before it is raised, and wellness must have held before it is cleared; between the two lies
//! no man's land, so nothing flaps.
//!
//! The state after is the fold of the events that come out ([`State::evolve`]), so it may be rebuilt from the log. Only
//! the windows of samples are not on the log (a sample in a few seconds is too much to keep): after a restart of
//! HemoStat a high level must hold for its time again, and what is usual is learnt anew. Whoever looks owns the clock: `at`
//! says when a thing was seen.
//!
//! A symptom of low severity is worth knowing and no illness: it belongs to no incident, begins none and holds none open.

use hemostat_schema::{
    Cause, IncidentId, NewEvent, Observation, Span, Subject, Timestamp,
    container::{Exit, ExitBy, Facts, Health, State as Life, Target, Vitals},
    observation::{
        DiskMeasured, Evidence, Exited, Frozen, HealthChanged, Removed, Sampled, Seen, Severity, Started, Stored,
        Symptom, SymptomCleared, Thawed,
    },
};

use crate::Policy;

mod baseline;
mod growth;
mod hold;
mod kills;
mod level;
mod signals;
mod state;
mod storage;
mod symptoms;
#[cfg(test)]
mod tests;

pub(crate) use signals::{crowding, worst};
pub use state::{Phase, Standing, State};
use symptoms::Change;

/// What the monitor saw of a container.
#[derive(Debug, Clone, PartialEq)]
pub enum Sight {
    /// Everything, by inspecting it: first of all, and again whenever something may have changed or been missed.
    Facts(Box<Facts>),
    /// A run began.
    Started(Target),
    /// A run ended.
    Exited(Target, Exit),
    /// An operator froze it.
    Frozen,
    /// An operator thawed it.
    Thawed,
    /// The health check says so.
    Health(Health),
    /// The kernel killed a process of it for want of memory. That is its own end, too, if the end follows at once.
    OutOfMemory,
    /// What it uses.
    Sample(Vitals),
    /// What it keeps on disk.
    Stored {
        /// How much.
        stored: Stored,
        /// The disk, where it can be seen.
        disk: Option<DiskMeasured>,
        /// Whether no other container of the host keeps more.
        largest: bool,
    },
    /// Nothing but that time has passed; see [`next_wake`].
    Tick,
    /// It is gone.
    Removed,
}

/// Takes in what was seen of `subject` at `at`, and tells what is to go on the log.
///
/// A container must be inspected before anything else counts. What is known already (a replayed Docker event, the same
/// facts again) gives no event, so a caller that is not sure looks again. A container that is gone for good leaves the
/// default state behind.
pub fn observe(state: &mut State, subject: &Subject, sight: Sight, policy: &Policy, at: Timestamp) -> Vec<NewEvent> {
    let mut story = Story { state, subject, policy, at, events: vec![], facts_told: None };
    let before = story.state.facts.as_ref().map(|facts| facts.state);
    story.tell(sight);
    let ended = match (before, &story.state.facts) {
        (Some(Life::Running | Life::Paused | Life::Restarting), Some(facts))
            if matches!(facts.state, Life::Exited | Life::Dead) =>
        {
            facts.exit
        }
        _ => None,
    };
    story.settle(ended);
    story.events
}

/// When something will have held for its time, if nothing else happens: the instant of the next [`Sight::Tick`].
pub fn next_wake(state: &State, subject: &Subject, policy: &Policy) -> Option<Timestamp> {
    symptoms::pending(state, subject.short(), policy, None).into_iter().map(|due| due.at).min()
}

/// Events as they are told, each folded into the state before the next is thought of.
struct Story<'a> {
    state: &'a mut State,
    subject: &'a Subject,
    policy: &'a Policy,
    at: Timestamp,
    events: Vec<NewEvent>,
    /// The index of the last event that is a fact and not a symptom: the cause of symptoms that change with it.
    facts_told: Option<usize>,
}

impl Story<'_> {
    fn tell(&mut self, sight: Sight) {
        if let Sight::Facts(facts) = sight {
            return self.inspected(*facts);
        }
        let Some(known) = &self.state.facts else { return };
        let target = known.target();
        match sight {
            Sight::Facts(_) | Sight::Tick => {}
            Sight::Started(next) if next.id == target.id && next.started_at > target.started_at => {
                self.fact(Observation::Started(Started { target: next }));
            }
            Sight::Started(_) => {}
            Sight::Exited(ended, exit) if ended == target && is_up(known) => {
                self.fact(Observation::Exited(Exited { target: ended, exit }));
            }
            Sight::Exited(..) => {}
            Sight::Frozen if known.state == Life::Running => self.fact(Observation::Frozen(Frozen { target })),
            Sight::Frozen => {}
            Sight::Thawed if known.state == Life::Paused => self.fact(Observation::Thawed(Thawed { target })),
            Sight::Thawed => {}
            Sight::Health(to) => self.health(to),
            Sight::OutOfMemory if is_up(known) => self.state.signals.kills.take(self.at, self.policy.loop_within),
            Sight::OutOfMemory => {}
            Sight::Sample(vitals) if known.state == Life::Running => self.sampled(vitals),
            Sight::Sample(_) => {}
            Sight::Stored { stored, disk, largest } if stored.target.id == target.id => {
                self.stored(stored, disk, largest);
            }
            Sight::Stored { .. } => {}
            Sight::Removed => self.removed(target),
        }
    }

    /// Finds out what must have happened since, and tells that; the facts themselves only where they still differ.
    fn inspected(&mut self, mut facts: Facts) {
        let Some(known) = self.state.facts.clone() else {
            return self.fact(Observation::Seen(Seen { facts }));
        };
        if known.id != facts.id {
            self.removed(known.target());
            return self.fact(Observation::Seen(Seen { facts }));
        }
        let target = facts.target();
        if facts.started_at > known.started_at {
            self.fact(Observation::Started(Started { target: target.clone() }));
        }
        if let (Some(exit), Some(true), Life::Exited | Life::Dead | Life::Restarting) =
            (facts.exit, self.state.facts.as_ref().map(is_up), facts.state)
        {
            self.fact(Observation::Exited(Exited { target: target.clone(), exit }));
        }
        match (self.state.facts.as_ref().map(|known| known.state), facts.state) {
            (Some(Life::Running), Life::Paused) => self.fact(Observation::Frozen(Frozen { target })),
            (Some(Life::Paused), Life::Running) => self.fact(Observation::Thawed(Thawed { target })),
            _ => {}
        }
        self.health(facts.health);
        let Some(known) = &self.state.facts else { return };
        if known.started_at == facts.started_at
            && known.exit.is_some()
            && facts.exit.is_some_and(|exit| exit.by != ExitBy::Operator)
        {
            // The end as it was seen says who ended it; inspecting afterwards cannot. Only that an operator stopped it
            // between two runs is known later than the end itself.
            facts.exit = known.exit;
        }
        if *known != facts {
            self.fact(Observation::Seen(Seen { facts }));
        }
    }

    fn health(&mut self, to: Health) {
        let Some(known) = &self.state.facts else { return };
        let from = known.health;
        if from != to && from != Health::None && to != Health::None && is_up(known) {
            let target = known.target();
            self.fact(Observation::HealthChanged(HealthChanged { target, from, to }));
        }
    }

    fn sampled(&mut self, vitals: Vitals) {
        let Some(facts) = &self.state.facts else { return };
        let (care, started, spread) = (self.policy.care_of(facts), facts.started_at, facts.id.spread());
        self.state.signals.take(self.at, &vitals, started, &care, &self.policy.sensitivity);
        let due = self.state.sampled_at.is_none_or(|last| is_turn(spread, last, self.at, self.policy.sample_every));
        if due || self.changes(Change::rests_on_samples) {
            self.fact(Observation::Sampled(Sampled { vitals }));
        }
    }

    fn stored(&mut self, stored: Stored, disk: Option<DiskMeasured>, largest: bool) {
        self.state.signals.storage.take(self.at, &stored, disk, largest);
        let told = self.state.stored.as_ref().map(storage::kept);
        let is_news = told.is_none_or(|told| storage::is_notable(told, storage::kept(&stored)));
        if is_news || self.changes(|change| change.symptom() == Symptom::DiskFilling) {
            self.fact(Observation::Stored(stored));
        }
    }

    /// Whether a symptom of this kind changes now.
    fn changes(&self, is_such: fn(&Change) -> bool) -> bool {
        let pending = symptoms::pending(self.state, self.subject.short(), self.policy, None);
        pending.iter().any(|due| due.at <= self.at && is_such(&due.change))
    }

    fn removed(&mut self, target: Target) {
        self.fact(Observation::Removed(Removed { target }));
        self.settle(None);
    }

    /// Raises, worsens and clears what is due by now.
    fn settle(&mut self, ended: Option<Exit>) {
        for due in symptoms::pending(self.state, self.subject.short(), self.policy, ended.as_ref()) {
            if due.at > self.at {
                continue;
            }
            let cause = self.facts_told.map(Cause::Sibling);
            let is_illness = self.is_illness(&due.change);
            let change = match due.change {
                Change::Raise(mut raised) => {
                    if let Evidence::Health { held } = &mut raised.evidence {
                        *held = Span::between(raised.since, self.at);
                    }
                    Observation::SymptomRaised(raised)
                }
                Change::Worsen(worsened) => Observation::SymptomWorsened(worsened),
                Change::Clear(symptom, why) => {
                    let stood = self
                        .state
                        .standing
                        .get(&symptom)
                        .map_or(Span::ZERO, |standing| Span::between(standing.since, self.at));
                    Observation::SymptomCleared(SymptomCleared { symptom, why, stood })
                }
            };
            let begun = || Some(IncidentId::begun(self.subject, self.at));
            let incident = if is_illness { self.incident().or_else(begun) } else { None };
            self.push(change, incident, cause);
        }
    }

    /// Whether what changes is an illness, and not merely worth knowing.
    fn is_illness(&self, change: &Change) -> bool {
        match change {
            Change::Raise(raised) => raised.severity > Severity::Low,
            Change::Worsen(worsened) => worsened.severity > Severity::Low,
            Change::Clear(symptom, _) => self.state.standing.get(symptom).is_some_and(Standing::is_illness),
        }
    }

    fn fact(&mut self, seen: Observation) {
        self.facts_told = Some(self.events.len());
        self.push(seen, self.incident(), None);
    }

    fn push(&mut self, seen: Observation, incident: Option<IncidentId>, cause: Option<Cause>) {
        self.state.evolve(self.at, incident.as_ref(), &seen);
        self.events.push(NewEvent {
            subject: self.subject.clone(),
            at: self.at,
            incident,
            cause,
            trace: None,
            event: hemostat_schema::Event::Observation(seen),
        });
    }

    /// The incident that what happens now is part of: the one that stands, or that ended so lately that this is its sequel.
    fn incident(&self) -> Option<IncidentId> {
        let open = match self.state.cleared_at {
            Some(cleared) => Span::between(cleared, self.at) <= self.policy.stabilisation,
            None => true,
        };
        self.state.incident.clone().filter(|_| open)
    }
}

/// Whether it is a container's turn to be told of, which was told of `last`. All have their turn at another instant of
/// that time, so that ten thousand are not told of at once.
fn is_turn(spread: u64, last: Timestamp, now: Timestamp, every: Span) -> bool {
    let every = i64::try_from(every.as_millis()).unwrap_or(i64::MAX).max(1);
    let offset = i64::try_from(spread % every.unsigned_abs()).unwrap_or(0);
    let turn = |at: Timestamp| at.as_millisecond().saturating_add(offset).div_euclid(every);
    // The first turn may come at once after the beginning of a run, of which it was told.
    turn(now) > turn(last) && now.as_millisecond().saturating_sub(last.as_millisecond()) >= every / 2
}

/// Whether a run is under way.
fn is_up(facts: &Facts) -> bool {
    matches!(facts.state, Life::Running | Life::Paused)
}
