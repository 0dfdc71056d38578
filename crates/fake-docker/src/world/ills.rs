//! How an illness sets in and passes, and what the kernel does about memory.

use std::time::Duration;

use super::{Due, World, container::Life};
use crate::{Kind, Moment, line::Line};

/// What one who takes memory until the end can get where there is no limit.
const PLENTY: f64 = 512.0 * 1024.0 * 1024.0;

impl World {
    pub(super) fn sets_in(&mut self, index: u32, number: u32, at: Moment) {
        let Some(container) = self.get_mut(index) else { return };
        if container.life != Life::Running {
            // What is frozen does not fall ill.
            return self.schedule(index, at + Duration::from_secs(1), Due::SetsIn { bout: number });
        }
        let Some(bout) = container.bouts.iter_mut().find(|bout| bout.number == number && bout.since.is_none()) else {
            return;
        };
        bout.since = Some(at);
        let illness = bout.illness;
        match illness.kind {
            Kind::Exits { code } => {
                container.say(format!("fatal: giving up with code {code}"), true, at);
                return self.end(index, code, false, at);
            }
            Kind::ChildOutOfMemory => {
                container.counters.killed += 1;
                container.say("a worker was killed; starting another", true, at);
                self.tell(index, "oom", vec![], at);
            }
            #[expect(clippy::cast_precision_loss, reason = "bytes of a machine")]
            Kind::Holds { bytes } => container.counters.memory.rise(bytes as f64),
            Kind::Unhealthy => container.say("health: not serving any more", true, at),
            Kind::Leak { .. } | Kind::OutOfMemory => container.say("cache: no eviction policy is set", true, at),
            Kind::Writes { .. } => container.say("debug log enabled, writing to /var/log/app.log", true, at),
            Kind::Spawns { .. } => container.say("spawned a worker that nobody waits for", true, at),
            Kind::Flapping { .. } | Kind::Busy { .. } | Kind::Deaf => {}
        }
        if let Some(container) = self.get_mut(index) {
            container.settle(at);
        }
        if let Some(lasts) = illness.lasts {
            self.schedule(index, at + lasts, Due::Passes { bout: number });
        }
        self.watch_memory(index, at);
    }

    pub(super) fn passes(&mut self, index: u32, number: u32, at: Moment) {
        let Some(container) = self.get_mut(index) else { return };
        let Some(place) = container.bouts.iter().position(|bout| bout.number == number && bout.since.is_some()) else {
            return;
        };
        let kind = container.bouts[place].illness.kind;
        if container.bouts[place].illness.chronic {
            container.bouts[place].since = None;
        } else {
            container.bouts.remove(place);
        }
        let rest = container.spec.at_rest;
        let held =
            container.ill().map(|(kind, _)| if let Kind::Holds { bytes } = kind { bytes } else { 0 }).sum::<u64>();
        #[expect(clippy::cast_precision_loss, reason = "bytes of a machine")]
        match kind {
            Kind::Leak { .. } | Kind::OutOfMemory | Kind::Holds { .. } => {
                container.counters.memory = Line::level((rest.memory + rest.cache + held) as f64, at);
            }
            Kind::Spawns { .. } => container.counters.pids = Line::level(rest.pids as f64, at),
            _ => {}
        }
        container.settle(at);
    }

    /// Makes sure that the kernel looks when the memory will be full.
    pub(super) fn watch_memory(&mut self, index: u32, at: Moment) {
        let Some(container) = self.get(index).filter(|container| container.life == Life::Running) else { return };
        let greedy = container.ill().any(|(kind, _)| kind == Kind::OutOfMemory);
        let limit = container.memory_limit().or(greedy.then_some(PLENTY));
        if let Some(full) = limit.and_then(|limit| container.counters.memory.until(limit, at)) {
            self.schedule(index, at + full, Due::MemoryFull);
        }
    }

    pub(super) fn memory_full(&mut self, index: u32, at: Moment) {
        let Some(container) = self.get_mut(index).filter(|container| container.life == Life::Running) else { return };
        let limit = container.memory_limit().unwrap_or(PLENTY);
        // A byte of rounding is no reprieve; a limit that was raised meanwhile is.
        if container.counters.memory.at(at) + 1.0 < limit {
            return self.watch_memory(index, at);
        }
        self.tell(index, "oom", vec![], at);
        self.end(index, 137, true, at);
    }
}
