//! What does an inspection say of what was heard, or of what was not?
//!
//! An event that begins or ends a run waits for its inspection, and goes on with it. One that was made without an event
//! behind it is compared with what is known.

use std::{collections::VecDeque, time::Duration};

use hemostat_core::observe::Sight;
use hemostat_schema::{
    ContainerId, ContainerName, Timestamp,
    container::{Exit, ExitBy, Facts, Health, State as Life},
};
use tracing::debug;

use super::{Ask, Waiting, Watch};
use crate::{
    ending::{self, Run},
    event::{Happening, What},
    facts::Inspected,
};

/// An inspection that shows a run to have begun or ended of which no event told is not believed at once: the event,
/// which knows more, may be on its way.
pub(super) const SECOND_LOOK: Duration = Duration::from_secs(1);

impl Watch {
    pub(super) fn wait_for_inspection(&mut self, trigger: Happening) {
        let token = self.put(trigger.id.clone(), Duration::ZERO, true);
        if let Some(tracked) = self.tracked.get_mut(&trigger.id) {
            self.progress.waits(&trigger);
            tracked.waiting = Some(Waiting { token, trigger, behind: VecDeque::new() });
        }
    }

    pub(super) fn ask(&mut self, id: ContainerId, after: Duration) {
        self.put(id, after, false);
    }

    fn put(&mut self, id: ContainerId, after: Duration, awaited: bool) -> u64 {
        self.count += 1;
        self.asks.push(Ask { id, token: self.count, after, awaited });
        self.count
    }

    /// The answer to an [`Ask`]; none where the container is gone or the engine did not say.
    pub fn answered(&mut self, ask: &Ask, answer: Option<Inspected>, now: Timestamp) {
        let tracked = self.tracked.entry(ask.id.clone()).or_default();
        match tracked.waiting.take_if(|waiting| waiting.token == ask.token) {
            Some(Waiting { trigger, behind, .. }) => {
                self.progress.waits_no_more(&ask.id);
                self.resume(trigger, answer);
                for happening in behind {
                    match self.tracked.get_mut(&ask.id).and_then(|tracked| tracked.waiting.as_mut()) {
                        Some(waiting) => waiting.behind.push_back(happening),
                        None => self.take_in(happening),
                    }
                }
            }
            None => self.compare(ask, answer, now),
        }
    }

    /// Goes on with the event that waited for an inspection.
    fn resume(&mut self, trigger: Happening, answer: Option<Inspected>) {
        let Happening { at, id, what, name } = trigger;
        let Some(inspected) = answer else {
            // It is gone already (`docker run --rm`), so its end is told by the event alone.
            if let What::Died { code } = what {
                self.ended(&id, code, at);
            }
            debug!(container = %name, "no inspection after {what:?}");
            if self.tracked.get(&id).is_some_and(|tracked| tracked.name.is_none()) {
                self.tracked.remove(&id);
            }
            return;
        };
        let known = self.meet(&inspected, at);
        let Inspected { name, facts, stop_signal, out_of_memory, .. } = inspected;
        match what {
            What::Started => {
                if let Some(tracked) = self.tracked.get_mut(&id) {
                    tracked.run = Run::new(stop_signal);
                    tracked.sample = None;
                }
                self.began(&name, facts, at);
            }
            What::Died { code } => {
                let same_run = known.as_ref().is_none_or(|known| known.started_at == facts.started_at);
                if same_run
                    && out_of_memory
                    && let Some(tracked) = self.tracked.get_mut(&id)
                {
                    tracked.run.had_run_out_of_memory(at);
                }
                if known.is_some() {
                    self.ended(&id, code, at);
                }
                if same_run {
                    self.facts(&name, facts, at);
                }
            }
            What::Created | What::Changed | What::Destroyed | What::Stopped => self.facts(&name, facts, at),
            What::Signalled { .. } | What::OutOfMemory | What::Paused | What::Unpaused | What::Health(_) => {
                // The first that is heard of it.
                self.facts(&name, facts, at);
                self.take_in(Happening { at, id, what, name });
            }
        }
    }

    /// A run began at `at`. What the inspection says of later is left to the events that will tell it.
    fn began(&mut self, name: &ContainerName, facts: Facts, at: Timestamp) {
        // A run that began after this event is not the one that the event is about; its own event follows.
        let started_at = facts.started_at.filter(|started| *started <= at).or(Some(at));
        let health = if facts.health == Health::None { Health::None } else { Health::Starting };
        let facts = Facts { state: Life::Running, started_at, exit: None, health, ..facts };
        self.see(name, Sight::Started(facts.target()), at);
        self.facts(name, facts, at);
    }

    /// The known run of a container ended, unless it began after that.
    pub(super) fn ended(&mut self, id: &ContainerId, code: i64, at: Timestamp) {
        let Some(name) = self.tracked.get(id).and_then(|tracked| tracked.name.clone()) else { return };
        let known = self.facts_of(id, &name).filter(|known| known.started_at.is_none_or(|began| began <= at));
        let Some(target) = known.map(Facts::target) else { return };
        let Some(tracked) = self.tracked.get_mut(id) else { return };
        (tracked.sample, tracked.process) = (None, None);
        let exit = Exit { at, code, by: tracked.run.ended(code, at) };
        self.see(&name, Sight::Exited(target, exit), at);
    }

    /// An inspection without an event behind it: is what is known still right?
    fn compare(&mut self, ask: &Ask, answer: Option<Inspected>, now: Timestamp) {
        let Some(tracked) = self.tracked.get_mut(&ask.id) else { return };
        let Some(inspected) = answer else {
            if tracked.name.is_none() && tracked.waiting.is_none() {
                self.tracked.remove(&ask.id);
            }
            return;
        };
        if tracked.waiting.is_some() {
            return;
        }
        if tracked.heard > ask.token {
            // Something happened meanwhile, so the answer may be older than what is known.
            self.ask(ask.id.clone(), Duration::ZERO);
            return;
        }
        let known = tracked.name.as_ref().and_then(|name| self.states.get(name)?.facts());
        let known = known.filter(|known| known.id == ask.id);
        let is_news = known.is_some_and(|known| {
            known.started_at != inspected.facts.started_at || is_up(known) != is_up(&inspected.facts)
        });
        if is_news && !tracked.doubted {
            tracked.doubted = true;
            self.ask(ask.id.clone(), SECOND_LOOK);
            return;
        }
        tracked.doubted = false;
        self.meet(&inspected, now);
        self.facts(&inspected.name, inspected.facts, now);
    }

    /// Learns the name of an inspected container; gives what was known of it.
    fn meet(&mut self, inspected: &Inspected, at: Timestamp) -> Option<Facts> {
        let id = &inspected.facts.id;
        let tracked = self.tracked.entry(id.clone()).or_default();
        tracked.process = inspected.process;
        if tracked.stop_signal.replace(inspected.stop_signal) != Some(inspected.stop_signal) {
            tracked.run.is_asked_to_end_by(inspected.stop_signal);
        }
        let renamed = tracked.name.replace(inspected.name.clone()).filter(|before| *before != inspected.name);
        if let Some(before) = renamed {
            self.see_of(id, &before, Sight::Removed, at);
        }
        self.facts_of(id, &inspected.name).cloned()
    }

    /// Takes facts in, with the best that is known about who ended the last run.
    pub(super) fn facts(&mut self, name: &ContainerName, facts: Facts, at: Timestamp) {
        let known = self.states.get(name).and_then(|state| state.facts());
        let known = known.filter(|known| known.id == facts.id && known.started_at == facts.started_at);
        let asked_to_end = self.tracked.get(&facts.id).is_some_and(|tracked| tracked.run.was_to_end());
        let exit = facts.exit.map(|exit| match known {
            Some(Facts { exit: Some(seen), .. }) if asked_to_end => Exit { by: ExitBy::Operator, ..*seen },
            Some(Facts { exit: Some(seen), .. }) => *seen,
            _ if asked_to_end => Exit { by: ExitBy::Operator, ..exit },
            known => {
                let out_of_memory = exit.by == ExitBy::Oom;
                Exit { by: ending::guessed(exit.code, out_of_memory, known.is_some_and(is_up)), ..exit }
            }
        });
        self.see(name, Sight::Facts(Box::new(Facts { exit, ..facts })), at);
    }
}

fn is_up(facts: &Facts) -> bool {
    matches!(facts.state, Life::Running | Life::Paused)
}
