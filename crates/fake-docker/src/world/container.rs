//! One simulated container: what it is, and how it is at an instant.

use std::{borrow::Cow, collections::VecDeque, sync::Arc, time::Duration};

use serde::Serialize;

use super::{ContainerId, Ticket};
use crate::{Illness, Kind, Moment, Spec, line::Line};

/// Docker keeps the last five checks.
const CHECKS_KEPT: usize = 5;
/// So many lines of output are kept.
const LINES_KEPT: usize = 64;
/// What the kernel counts as one period of CPU, ten of them a second.
const PERIODS_PER_SECOND: f64 = 10.0;
/// How fast memory is taken by one who takes it until the end.
const GREED: f64 = 256.0 * 1024.0 * 1024.0;

/// Where a container is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "Docker's own words")]
pub enum Life {
    Created,
    Running,
    Paused,
    Restarting,
    Exited,
}

/// What a health check has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "Docker's own words")]
pub enum Health {
    Starting,
    Healthy,
    Unhealthy,
}

/// The health check of a container.
#[derive(Debug)]
pub(crate) struct Checking {
    pub(crate) health: Health,
    pub(crate) streak: u32,
    pub(crate) log: VecDeque<Checked>,
}

/// One check.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checked {
    pub(crate) at: Moment,
    pub(crate) passed: bool,
}

impl Default for Checking {
    fn default() -> Self {
        Self { health: Health::Starting, streak: 0, log: VecDeque::new() }
    }
}

impl Checking {
    pub(crate) fn keep(&mut self, checked: Checked) {
        if self.log.len() == CHECKS_KEPT {
            self.log.pop_front();
        }
        self.log.push_back(checked);
    }
}

/// An illness that a container has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bout {
    pub(crate) number: u32,
    pub(crate) illness: Illness,
    /// Since when; none where it has not set in.
    pub(crate) since: Option<Moment>,
}

/// Somebody has asked that it ends.
#[derive(Debug)]
pub(crate) struct Ending {
    /// What follows.
    pub(crate) then: Then,
    /// Who waits for it.
    pub(crate) tickets: Vec<Ticket>,
}

/// What follows an end that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Then {
    /// Nothing: it was killed.
    Nothing,
    /// It is told that it was stopped.
    Stopped,
    /// It is started again.
    StartedAgain,
    /// It is taken away.
    Removed,
}

/// A line of its output.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) at: Moment,
    pub(crate) on_stderr: bool,
    pub(crate) text: Cow<'static, str>,
}

/// What it uses, since its run began; the writable layer since it was made.
#[derive(Debug)]
pub(crate) struct Counters {
    /// Nanoseconds.
    pub(crate) cpu: Line,
    pub(crate) throttled_periods: Line,
    /// Nanoseconds.
    pub(crate) throttled: Line,
    pub(crate) memory: Line,
    pub(crate) pids: Line,
    pub(crate) network: Line,
    pub(crate) blocks: Line,
    pub(crate) layer: Line,
    /// How often the kernel killed a process of it.
    pub(crate) killed: u32,
}

impl Counters {
    pub(crate) fn at_zero(now: Moment) -> Self {
        let zero = Line::level(0.0, now);
        Self {
            cpu: zero,
            throttled_periods: zero,
            throttled: zero,
            memory: zero,
            pids: zero,
            network: zero,
            blocks: zero,
            layer: zero,
            killed: 0,
        }
    }
}

/// A simulated container.
#[derive(Debug)]
pub struct Container {
    /// Its id.
    pub id: ContainerId,
    /// What it is called.
    pub name: Arc<str>,
    /// How it is set up.
    pub spec: Arc<Spec>,
    /// Where it is in its life.
    pub life: Life,
    /// When it was made.
    pub created: Moment,
    /// When its present or last run began.
    pub started: Option<Moment>,
    /// When its last run ended.
    pub finished: Option<Moment>,
    /// With which code its last run ended.
    pub exit_code: u8,
    /// Whether the kernel killed its last run for want of memory.
    pub out_of_memory: bool,
    /// How often the engine has restarted it since somebody started it.
    pub restarts: u32,
    pub(crate) pid: u32,
    pub(crate) backoff: Duration,
    /// Somebody signalled this run, so that the engine does not restart it.
    pub(crate) touched: bool,
    pub(crate) checking: Option<Checking>,
    /// The checks that are due are those of this round; freezing it ends the round.
    pub(crate) checks: u32,
    pub(crate) bouts: Vec<Bout>,
    pub(crate) counters: Counters,
    pub(crate) ending: Option<Ending>,
    pub(crate) said: VecDeque<Said>,
    /// Timers of another epoch mean nothing any more.
    pub(crate) epoch: u32,
    /// Its own place in every wave.
    pub(crate) phase: f64,
}

impl Container {
    /// What its health check says, where it has one.
    pub fn health(&self) -> Option<Health> {
        self.checking.as_ref().map(|checking| checking.health)
    }

    /// Whether there is a process.
    pub fn is_up(&self) -> bool {
        matches!(self.life, Life::Running | Life::Paused)
    }

    /// The illnesses that it has now.
    pub(crate) fn ill(&self) -> impl Iterator<Item = (Kind, Moment)> {
        self.bouts.iter().filter_map(|bout| Some((bout.illness.kind, bout.since?)))
    }

    /// Whether a check made now passes.
    pub(crate) fn passes(&self, now: Moment) -> bool {
        self.ill().all(|(kind, since)| match kind {
            Kind::Unhealthy => false,
            Kind::Flapping { every } => (now.since(since).as_nanos() / every.as_nanos().max(1)) % 2 == 1,
            _ => true,
        })
    }

    /// Whether it hears the signal to end.
    pub(crate) fn hears(&self) -> bool {
        self.ill().all(|(kind, _)| kind != Kind::Deaf)
    }

    /// The most memory that it can have.
    pub(crate) fn memory_limit(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "bytes of a machine")]
        self.spec.memory.map(|bytes| bytes as f64)
    }

    /// How much CPU it wants, in cores.
    fn wants(&self) -> f64 {
        let busy: f64 = self.ill().map(|(kind, _)| if let Kind::Busy { cores } = kind { cores } else { 0.0 }).sum();
        self.spec.at_rest.cores + busy
    }

    /// Sets the slopes of its counters by what it has now.
    #[expect(clippy::cast_precision_loss, reason = "bytes of a machine")]
    pub(crate) fn settle(&mut self, now: Moment) {
        let running = if self.life == Life::Running { 1.0 } else { 0.0 };
        let (rest, wants) = (self.spec.at_rest, self.wants());
        let gets = wants.min(self.spec.cpus.unwrap_or(f64::INFINITY));
        let starved = wants > gets;
        let (mut memory, mut pids, mut layer) = (0.0, 0.0, 0.0);
        for (kind, _) in self.ill() {
            match kind {
                Kind::Leak { bytes_per_minute } => memory += bytes_per_minute as f64 / 60.0,
                Kind::OutOfMemory => memory += GREED,
                Kind::Spawns { per_minute } => pids += per_minute as f64 / 60.0,
                Kind::Writes { bytes_per_minute } => layer += bytes_per_minute as f64 / 60.0,
                _ => {}
            }
        }
        let (counters, phase) = (&mut self.counters, self.phase);
        counters.cpu.turn_waving(gets * 1e9 * running, now, phase);
        counters.throttled_periods.turn(if starved { PERIODS_PER_SECOND * running } else { 0.0 }, now);
        counters.throttled.turn((wants - gets) * 1e9 * running, now);
        counters.memory.turn(memory * running, now);
        counters.pids.turn(pids * running, now);
        counters.network.turn_waving(rest.network as f64 * running, now, phase);
        counters.blocks.turn_waving(rest.blocks as f64 * running, now, phase);
        counters.layer.turn(layer * running, now);
    }

    /// How many periods of CPU have passed in its run, where it has a limit.
    pub(crate) fn periods(&self, now: Moment) -> f64 {
        match (self.spec.cpus, self.started) {
            (Some(_), Some(started)) if self.is_up() => now.since(started).as_secs_f64() * PERIODS_PER_SECOND,
            _ => 0.0,
        }
    }

    /// It says a line.
    pub(crate) fn say(&mut self, text: impl Into<Cow<'static, str>>, on_stderr: bool, at: Moment) {
        if self.said.len() == LINES_KEPT {
            self.said.pop_front();
        }
        self.said.push_back(Said { at, on_stderr, text: text.into() });
    }
}
