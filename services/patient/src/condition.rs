//! The patient's current illnesses, and how often it has had each.
//!
//! An illness replaces a previous one of the same kind. Illnesses live in the process, so a restart ends all of them.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{episode::Episode, illness::Illness, stress};

/// The patient's current illnesses, and how often it has had each.
#[derive(Debug, Default)]
pub struct Condition {
    episodes: Mutex<BTreeMap<&'static str, Arc<Episode>>>,
    counts: Mutex<BTreeMap<&'static str, u64>>,
    /// How long a flapping health check keeps each result.
    flap_period: Mutex<Duration>,
    held: Arc<AtomicU64>,
}

/// The illness would exhaust the host's memory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "this container has no memory limit, so it would take the host's memory: start it with one (docker run --memory)"
)]
pub struct NoMemoryLimit;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Condition {
    /// Starts an illness. One that kills the process does so a moment later, so that the HTTP response gets out.
    ///
    /// # Errors
    /// When the illness exhausts memory and the container has no limit.
    pub fn fall_ill(&self, illness: Illness) -> Result<(), NoMemoryLimit> {
        let exhausts_memory = matches!(illness, Illness::Oom | Illness::OomChild);
        if exhausts_memory && !stress::memory_is_limited() {
            return Err(NoMemoryLimit);
        }
        let episode = Episode::new(illness.duration());
        if let Some(before) = lock(&self.episodes).insert(illness.name(), Arc::clone(&episode)) {
            before.end();
        }
        *lock(&self.counts).entry(illness.name()).or_default() += 1;
        match illness {
            Illness::Cpu(cpu) => stress::burn(&episode, cpu.intensity),
            Illness::Memory(memory) => stress::hold(episode, memory.size_mb, Arc::clone(&self.held)),
            Illness::Unhealthy(_) => {}
            Illness::Crash(crash) => stress::crash(crash.code),
            Illness::Oom => stress::exhaust(),
            Illness::OomChild => stress::exhaust_in_child(),
            Illness::Leak(leak) => stress::leak(episode, leak.mb_per_second, Arc::clone(&self.held)),
            Illness::Crowd(crowd) => stress::crowd(&episode, crowd.threads),
            Illness::Flapping(flapping) => *lock(&self.flap_period) = Duration::from_secs_f64(flapping.every),
            Illness::Disk(disk) => stress::fill(episode, disk.size_mb),
        }
        Ok(())
    }

    /// Ends every illness that has not killed the process.
    pub fn recover(&self) {
        lock(&self.episodes).values().for_each(|episode| episode.end());
    }

    /// Whether it has the illness of this name.
    pub fn has(&self, name: &str) -> bool {
        lock(&self.episodes).get(name).is_some_and(|episode| !episode.is_over())
    }

    /// The result of the health check.
    pub fn is_healthy(&self) -> bool {
        !self.has("unhealthy") && !self.flaps_down()
    }

    /// Whether its health check flaps and currently fails; the first period fails.
    fn flaps_down(&self) -> bool {
        let period = *lock(&self.flap_period);
        let episodes = lock(&self.episodes);
        episodes.get("flapping").filter(|episode| !episode.is_over()).is_some_and(|episode| {
            let periods = episode.elapsed().as_millis().checked_div(period.as_millis()).unwrap_or(0);
            periods.is_multiple_of(2)
        })
    }

    /// Memory held for an illness, in bytes.
    pub fn held_bytes(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// Its metrics, in Prometheus's text format.
    pub fn metrics(&self) -> String {
        let mut text =
            String::from("# HELP patient_well Whether the health check passes.\n# TYPE patient_well gauge\n");
        // Writing to a String cannot fail.
        let _ = writeln!(text, "patient_well {}", u8::from(self.is_healthy()));
        text.push_str("# HELP patient_ill Whether the patient has this illness.\n# TYPE patient_ill gauge\n");
        for name in Illness::NAMES {
            let _ = writeln!(text, "patient_ill{{illness=\"{name}\"}} {}", u8::from(self.has(name)));
        }
        text.push_str(
            "# HELP patient_illnesses_total How often the patient fell ill.\n# TYPE patient_illnesses_total counter\n",
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
    use std::time::Instant;

    use super::*;
    use crate::illness::{Cpu, Crowd, Disk, Flapping, Leak, Memory, Unhealthy};

    fn eventually(what: &str, check: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !check() {
            assert!(Instant::now() < deadline, "{what} did not happen within 20 s");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Resident memory of this process.
    fn resident_bytes() -> u64 {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
    }

    #[test]
    fn an_illness_ends_on_request_and_after_its_duration() {
        let condition = Condition::default();
        assert!(condition.is_healthy());
        condition.fall_ill(Illness::Unhealthy(Unhealthy { duration: None })).unwrap();
        assert!(!condition.is_healthy());
        condition.recover();
        assert!(condition.is_healthy());
        condition.fall_ill(Illness::Unhealthy(Unhealthy { duration: Some(1) })).unwrap();
        eventually("the end of a one-second illness", || condition.is_healthy());
    }

    #[test]
    fn held_memory_is_resident_and_released() {
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
    fn a_flapping_health_check_alternates() {
        let condition = Condition::default();
        condition.fall_ill(Illness::Flapping(Flapping { duration: 60, every: 0.1 })).unwrap();
        for _ in 0..3 {
            eventually("failing", || !condition.is_healthy());
            eventually("passing", || condition.is_healthy());
        }
        condition.recover();
        assert!(condition.is_healthy());
    }

    #[test]
    fn extra_threads_start_and_end() {
        let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
        let condition = Condition::default();
        condition.fall_ill(Illness::Crowd(Crowd { duration: 60, threads: 200 })).unwrap();
        eventually("two hundred threads", || threads() >= 200);
        condition.recover();
        eventually("their end", || threads() < 150);
    }

    #[test]
    fn a_file_exists_during_the_illness() {
        let condition = Condition::default();
        let file = stress::ballast_file();
        condition.fall_ill(Illness::Disk(Disk { duration: 60, size_mb: 3 })).unwrap();
        let size = || std::fs::metadata(&file).map_or(0, |file| file.len());
        eventually("a file of 3 MiB", || size() == 3 << 20);
        condition.recover();
        eventually("its end", || !file.exists());
    }

    #[test]
    fn metrics_show_current_and_past_illnesses() {
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
