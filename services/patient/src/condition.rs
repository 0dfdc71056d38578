//! What the patient suffers from at present, and how often it has.
//!
//! An illness of a kind replaces the one of the same kind before it. None outlives the process (what it left on the disk is
//! taken away at the next start), so a restart cures all.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    Illness,
    illness::Disk,
    stress::{self, Growth},
};

/// One bout of an illness: over when its time is up or when it is ended, whichever comes first.
#[derive(Debug)]
pub(crate) struct Bout {
    begun: Instant,
    until: Option<Instant>,
    ended: Mutex<bool>,
    /// Rings when it is ended.
    bell: Condvar,
}

impl Bout {
    fn new(lasts: Option<Duration>) -> Arc<Self> {
        let begun = Instant::now();
        let until = lasts.map(|lasts| begun + lasts);
        Arc::new(Self { begun, until, ended: Mutex::new(false), bell: Condvar::new() })
    }

    fn end(&self) {
        *lock(&self.ended) = true;
        self.bell.notify_all();
    }

    pub(crate) fn is_over(&self) -> bool {
        *lock(&self.ended) || self.left().is_zero()
    }

    /// How long it has lasted.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Sleeps until it is over, at most for so long, and says whether it is over.
    pub(crate) fn rest(&self, at_most: Duration) -> bool {
        let nap = at_most.min(self.left());
        let slept = self.bell.wait_timeout_while(lock(&self.ended), nap, |ended| !*ended);
        drop(slept);
        self.is_over()
    }

    /// How long until its time is up.
    fn left(&self) -> Duration {
        self.until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()))
    }
}

/// What the patient suffers from at present, and how often it has.
#[derive(Debug, Default)]
pub struct Condition {
    bouts: Mutex<BTreeMap<&'static str, (Illness, Arc<Bout>)>>,
    counts: Mutex<BTreeMap<&'static str, u64>>,
    held: Arc<AtomicU64>,
    filled: Arc<AtomicU64>,
    crowd: Arc<AtomicU64>,
}

/// The patient cannot fall ill in this way here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unlimited {
    /// It would take all the memory that there is.
    #[error(
        "this container has no memory limit, so it would take the host's memory: start it with one (docker run --memory)"
    )]
    Memory,
    /// Nothing would hold it back.
    #[error("this container has no CPU limit, so nothing would throttle it: start it with one (docker run --cpus)")]
    Cpu,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Condition {
    /// That of a process that has just begun: also without what the one before it left on the disk.
    pub fn at_birth() -> Self {
        stress::tidy();
        Self::default()
    }

    /// Falls ill. What kills the process does so a moment later, so that the answer still gets out.
    ///
    /// # Errors
    /// When asked to exhaust what nothing limits.
    pub fn fall_ill(&self, illness: Illness) -> Result<(), Unlimited> {
        match illness {
            Illness::Oom | Illness::OomChild if !stress::memory_is_limited() => return Err(Unlimited::Memory),
            Illness::Throttle(_) if !stress::cpu_is_limited() => return Err(Unlimited::Cpu),
            _ => {}
        }
        let bout = Bout::new(illness.lasts());
        if let Some((_, before)) = lock(&self.bouts).insert(illness.name(), (illness, Arc::clone(&bout))) {
            before.end();
        }
        *lock(&self.counts).entry(illness.name()).or_default() += 1;
        let (held, filled) = (Arc::clone(&self.held), Arc::clone(&self.filled));
        match illness {
            Illness::Cpu(cpu) => stress::burn(&bout, cpu.intensity),
            Illness::Throttle(throttle) => stress::strain(&bout, throttle.threads),
            Illness::Memory(memory) => {
                stress::hold(bout, Growth { total_mb: memory.size_mb, mb_per_minute: None }, held);
            }
            Illness::Leak(leak) => {
                let growth = Growth { total_mb: leak.total_mb(), mb_per_minute: Some(leak.mb_per_minute) };
                stress::hold(bout, growth, held);
            }
            Illness::Pids(pids) => stress::crowd(&bout, pids.count, &self.crowd),
            Illness::Disk(Disk { size_mb: total_mb, mb_per_minute, .. }) => {
                stress::fill(bout, Growth { total_mb, mb_per_minute }, filled);
            }
            // Told by the health check, which asks.
            Illness::Unhealthy(_) | Illness::Flap(_) => {}
            Illness::Crash(crash) => stress::crash(crash.code),
            Illness::Abort => stress::abort(),
            Illness::Oom => stress::exhaust(),
            Illness::OomChild => stress::lose_a_child(),
        }
        Ok(())
    }

    /// Ends every illness that can be ended.
    pub fn recover(&self) {
        lock(&self.bouts).values().for_each(|(_, bout)| bout.end());
    }

    /// Whether it suffers from the illness of this name.
    pub fn suffers(&self, name: &str) -> bool {
        lock(&self.bouts).get(name).is_some_and(|(_, bout)| !bout.is_over())
    }

    /// What the health check is to say.
    pub fn is_well(&self) -> bool {
        let bouts = lock(&self.bouts);
        !bouts.values().filter(|(_, bout)| !bout.is_over()).any(|(illness, bout)| match illness {
            Illness::Unhealthy(_) => true,
            // It fails at first, then changes its mind each time.
            Illness::Flap(flap) => {
                bout.elapsed().as_secs().checked_div(flap.every).is_none_or(|turn| turn.is_multiple_of(2))
            }
            _ => false,
        })
    }

    /// How many bytes it holds for its illness.
    pub fn held_bytes(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// How many bytes it has on the disk for its illness.
    pub fn filled_bytes(&self) -> u64 {
        self.filled.load(Ordering::Relaxed)
    }

    /// How many threads it has for its illness.
    pub fn crowd(&self) -> u64 {
        self.crowd.load(Ordering::Relaxed)
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
        text.push_str("# HELP patient_filled_bytes Disk filled for an illness.\n# TYPE patient_filled_bytes gauge\n");
        let _ = writeln!(text, "patient_filled_bytes {}", self.filled_bytes());
        text.push_str("# HELP patient_crowd Threads had for an illness.\n# TYPE patient_crowd gauge\n");
        let _ = writeln!(text, "patient_crowd {}", self.crowd());
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::illness::{Cpu, Flap, Leak, Memory, Pids, Unhealthy};

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
    fn a_leak_grows_at_its_pace_and_no_faster() {
        let condition = Condition::default();
        let begun = Instant::now();
        condition.fall_ill(Illness::Leak(Leak { duration: 60, mb_per_minute: 600 })).unwrap();
        eventually("holding 5 MiB", || condition.held_bytes() >= 5 << 20);
        assert!(begun.elapsed() >= Duration::from_millis(500), "ten MiB a second, not more");
        condition.recover();
        eventually("letting go of it", || condition.held_bytes() == 0);
    }

    #[test]
    fn a_crowd_is_there_as_threads_until_it_is_over() {
        let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
        let condition = Condition::default();
        condition.fall_ill(Illness::Pids(Pids { duration: 60, count: 300 })).unwrap();
        eventually("a crowd of 300", || condition.crowd() == 300);
        assert!(threads() >= 300, "{}", threads());
        condition.recover();
        eventually("nobody being left", || condition.crowd() == 0 && threads() < 300);
    }

    #[test]
    fn what_it_fills_the_disk_with_is_there_and_then_gone() {
        let condition = Condition::default();
        condition.fall_ill(Illness::Disk(Disk { duration: 60, size_mb: 20, mb_per_minute: None })).unwrap();
        eventually("filling 20 MiB", || condition.filled_bytes() == 20 << 20);
        let folder = std::env::temp_dir().join(format!("patient-{}", std::process::id()));
        let files = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().metadata().unwrap().len());
        assert_eq!(files.sum::<u64>(), 20 << 20);
        condition.recover();
        eventually("the file being gone", || condition.filled_bytes() == 0 && !folder.exists());
    }

    #[test]
    fn a_flapping_patient_fails_first_and_changes_its_mind() {
        let condition = Condition::default();
        condition.fall_ill(Illness::Flap(Flap { duration: None, every: 1 })).unwrap();
        assert!(!condition.is_well());
        eventually("getting well", || condition.is_well());
        eventually("falling ill again", || !condition.is_well());
        condition.recover();
        assert!(condition.is_well());
    }

    #[test]
    fn what_nothing_limits_is_not_exhausted() {
        let condition = Condition::default();
        for (name, limited, refusal) in [
            ("oom", stress::memory_is_limited(), Unlimited::Memory),
            ("oom_child", stress::memory_is_limited(), Unlimited::Memory),
            ("throttle", stress::cpu_is_limited(), Unlimited::Cpu),
        ] {
            assert!(!limited, "this test is to run where neither memory nor CPU is limited");
            assert_eq!(condition.fall_ill(name.parse().unwrap()), Err(refusal), "{name}");
            assert!(!condition.suffers(name), "{name}");
        }
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
