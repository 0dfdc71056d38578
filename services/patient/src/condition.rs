//! What the patient suffers from at present, and how often it has.
//!
//! An illness of a kind replaces the one of the same kind before it. None outlives the process, so a restart cures all.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{Illness, stress};

/// One bout of an illness: over when its time is up or when it is ended, whichever comes first.
#[derive(Debug)]
pub(crate) struct Bout {
    ended: AtomicBool,
    begun: Instant,
    until: Option<Instant>,
}

impl Bout {
    fn new(lasts: Option<Duration>) -> Arc<Self> {
        let begun = Instant::now();
        Arc::new(Self { ended: AtomicBool::new(false), begun, until: lasts.map(|lasts| begun + lasts) })
    }

    fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.ended.load(Ordering::Relaxed) || self.until.is_some_and(|until| Instant::now() >= until)
    }
}

/// What the patient suffers from at present, and how often it has.
#[derive(Debug, Default)]
pub struct Condition {
    bouts: Mutex<BTreeMap<&'static str, Arc<Bout>>>,
    counts: Mutex<BTreeMap<&'static str, u64>>,
    /// The turn of a health check that flaps.
    turn: Mutex<Duration>,
    held: Arc<AtomicU64>,
}

/// The patient cannot fall ill in this way here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "this container has no memory limit, so it would take the host's memory: start it with one (docker run --memory)"
)]
pub struct Unlimited;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Condition {
    /// Falls ill. What kills the process does so a moment later, so that the answer still gets out.
    ///
    /// # Errors
    /// When asked to exhaust memory that nothing limits.
    pub fn fall_ill(&self, illness: Illness) -> Result<(), Unlimited> {
        let takes_all = matches!(illness, Illness::Oom | Illness::OomChild);
        if takes_all && !stress::memory_is_limited() {
            return Err(Unlimited);
        }
        let bout = Bout::new(illness.lasts());
        if let Some(before) = lock(&self.bouts).insert(illness.name(), Arc::clone(&bout)) {
            before.end();
        }
        *lock(&self.counts).entry(illness.name()).or_default() += 1;
        match illness {
            Illness::Cpu(cpu) => stress::burn(&bout, cpu.intensity),
            Illness::Memory(memory) => stress::hold(bout, memory.size_mb, Arc::clone(&self.held)),
            Illness::Unhealthy(_) => {}
            Illness::Crash(crash) => stress::crash(crash.code),
            Illness::Oom => stress::exhaust(),
            Illness::OomChild => stress::lose_a_child(),
            Illness::Leak(leak) => stress::leak(bout, leak.mb_per_second, Arc::clone(&self.held)),
            Illness::Crowd(crowd) => stress::crowd(&bout, crowd.threads),
            Illness::Flapping(flapping) => *lock(&self.turn) = Duration::from_secs_f64(flapping.every),
            Illness::Disk(disk) => stress::fill(bout, disk.size_mb),
        }
        Ok(())
    }

    /// Ends every illness that can be ended.
    pub fn recover(&self) {
        lock(&self.bouts).values().for_each(|bout| bout.end());
    }

    /// Whether it suffers from the illness of this name.
    pub fn suffers(&self, name: &str) -> bool {
        lock(&self.bouts).get(name).is_some_and(|bout| !bout.is_over())
    }

    /// What the health check is to say.
    pub fn is_well(&self) -> bool {
        !self.suffers("unhealthy") && !self.flaps_down()
    }

    /// Whether its health check flaps, and it is the turn of failing, which comes first.
    fn flaps_down(&self) -> bool {
        let turn = *lock(&self.turn);
        let bouts = lock(&self.bouts);
        bouts.get("flapping").filter(|bout| !bout.is_over()).is_some_and(|bout| {
            let turns = bout.begun.elapsed().as_millis().checked_div(turn.as_millis()).unwrap_or(0);
            turns.is_multiple_of(2)
        })
    }

    /// How many bytes it holds for its illness.
    pub fn held_bytes(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// In Prometheus's text format.
    pub fn metrics(&self) -> String {
        let mut text =
            String::from("# HELP patient_well Whether the health check passes.\n# TYPE patient_well gauge\n");
        // Writing to a String cannot fail.
        let _ = writeln!(text, "patient_well {}", u8::from(self.is_well()));
        text.push_str("# HELP patient_ill Whether it suffers from this illness.\n# TYPE patient_ill gauge\n");
        for name in Illness::NAMES {
            let _ = writeln!(text, "patient_ill{{illness=\"{name}\"}} {}", u8::from(self.suffers(name)));
        }
        text.push_str(
            "# HELP patient_illnesses_total How often it fell ill.\n# TYPE patient_illnesses_total counter\n",
        );
        let counts = lock(&self.counts);
        for name in Illness::NAMES {
            let count = counts.get(name).copied().unwrap_or(0);
            let _ = writeln!(text, "patient_illnesses_total{{illness=\"{name}\"}} {count}");
        }
        text.push_str("# HELP patient_held_bytes Memory held for an illness.\n# TYPE patient_held_bytes gauge\n");
        let _ = writeln!(text, "patient_held_bytes {}", self.held_bytes());
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::illness::{Cpu, Crowd, Disk, Flapping, Leak, Memory, Unhealthy};

    fn eventually(what: &str, check: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !check() {
            assert!(Instant::now() < deadline, "{what} did not happen within 20 s");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// This process's resident memory.
    fn resident_bytes() -> u64 {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
    }

    #[test]
    fn an_illness_ends_when_told_to_and_when_its_time_is_up() {
        let condition = Condition::default();
        assert!(condition.is_well());
        condition.fall_ill(Illness::Unhealthy(Unhealthy { duration: None })).unwrap();
        assert!(!condition.is_well());
        condition.recover();
        assert!(condition.is_well());
        condition.fall_ill(Illness::Unhealthy(Unhealthy { duration: Some(1) })).unwrap();
        eventually("the end of a one-second illness", || condition.is_well());
    }

    #[test]
    fn held_memory_is_resident_and_given_back() {
        let condition = Condition::default();
        let before = resident_bytes();
        condition.fall_ill(Illness::Memory(Memory { duration: 60, size_mb: 200 })).unwrap();
        eventually("holding 200 MiB", || condition.held_bytes() == 200 << 20);
        assert!(resident_bytes() > before + (180 << 20), "the pages were not touched");
        condition.recover();
        eventually("letting go of it", || condition.held_bytes() == 0 && resident_bytes() < before + (100 << 20));
    }

    #[test]
    fn a_leak_grows_until_it_is_ended() {
        let condition = Condition::default();
        condition.fall_ill(Illness::Leak(Leak { duration: 60, mb_per_second: 50.0 })).unwrap();
        eventually("leaking 20 MiB", || condition.held_bytes() >= 20 << 20);
        condition.recover();
        eventually("letting go of it", || condition.held_bytes() == 0);
    }

    #[test]
    fn health_that_flaps_fails_and_passes_by_turns() {
        let condition = Condition::default();
        condition.fall_ill(Illness::Flapping(Flapping { duration: 60, every: 0.1 })).unwrap();
        for _ in 0..3 {
            eventually("failing", || !condition.is_well());
            eventually("passing", || condition.is_well());
        }
        condition.recover();
        assert!(condition.is_well());
    }

    #[test]
    fn a_crowd_comes_and_goes() {
        let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
        let condition = Condition::default();
        condition.fall_ill(Illness::Crowd(Crowd { duration: 60, threads: 200 })).unwrap();
        eventually("two hundred threads", || threads() >= 200);
        condition.recover();
        eventually("their end", || threads() < 150);
    }

    #[test]
    fn a_file_is_kept_while_it_is_ill() {
        let condition = Condition::default();
        let file = stress::ballast();
        condition.fall_ill(Illness::Disk(Disk { duration: 60, size_mb: 3 })).unwrap();
        let size = || std::fs::metadata(&file).map_or(0, |file| file.len());
        eventually("a file of 3 MiB", || size() == 3 << 20);
        condition.recover();
        eventually("its end", || !file.exists());
    }

    #[test]
    fn metrics_tell_the_condition_and_the_history() {
        let condition = Condition::default();
        for _ in 0..2 {
            condition.fall_ill(Illness::Cpu(Cpu { duration: 1, intensity: 0.01 })).unwrap();
        }
        let metrics = condition.metrics();
        for line in ["patient_well 1", "patient_ill{illness=\"cpu\"} 1", "patient_illnesses_total{illness=\"cpu\"} 2"] {
            assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
        }
    }
}
