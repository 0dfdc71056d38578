//! What a container's memory consists of: process memory, or page cache that the kernel reclaims; and the limit that its
//! program sets itself.

use hemostat_schema::{ByteCount, container::Vitals, observation::Symptom};

use crate::case::Case;

/// The maximum number of processes in an examination: at this number the list may be incomplete.
const MAX_LISTED: usize = 10;
/// Maximum share of process memory at which the memory counts as mostly page cache.
const PROCESS_SHARE: f64 = 0.5;
/// Percentage of time spent waiting for memory from which a container is short of memory.
const MEMORY_PRESSURE: f64 = 5.0;
/// Total memory of a program relative to the limit it sets itself (a heap is not all).
const OVERHEAD: f64 = 1.2;

impl Case<'_> {
    /// Whether most of its memory is page cache, which the kernel reclaims when memory is needed.
    ///
    /// Shared memory is counted for each process, so the processes hold less than the sum.
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    pub(super) fn is_page_cache(&self) -> bool {
        let processes = self.processes();
        let held: u64 = processes.iter().map(|process| process.memory.0).sum();
        let complete = !processes.is_empty() && processes.len() < MAX_LISTED && held > 0;
        let calm = |used: &Vitals| {
            used.strain.memory.is_some_and(|share| share.get() < MEMORY_PRESSURE)
                && held as f64 <= used.memory_used.0 as f64 * PROCESS_SHARE
        };
        let killed = self.has_symptom(Symptom::OomChild) || self.has_symptom(Symptom::OomKilled);
        complete && !killed && self.current_vitals().is_some_and(calm)
    }

    /// Whether its memory is high or grows, and is page cache or below the limit that its program sets itself.
    pub(super) fn is_cache_or_within_own_limit(&self) -> bool {
        let grows = self.has_symptom(Symptom::MemoryHigh) || self.has_symptom(Symptom::MemoryLeak);
        let critical = self.level(Symptom::MemoryHigh).is_some_and(|level| level.is_critical());
        grows && (self.is_page_cache() || !critical && self.own_memory_limit().is_some())
    }

    /// The limit that its program sets itself, if it is known, fits below the memory limit and is not exceeded.
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    pub(super) fn own_memory_limit(&self) -> Option<ByteCount> {
        let used = self.current_vitals()?;
        let process = self.processes().iter().max_by_key(|process| process.memory.0)?;
        let own = configured_limit(&process.command)?;
        let whole = own.0 as f64 * OVERHEAD;
        let fits = (used.memory_used.0 as f64) < whole && whole <= used.memory_limit.0 as f64;
        fits.then_some(own)
    }
}

/// The memory limit in a program's command line.
fn configured_limit(command: &str) -> Option<ByteCount> {
    const MIB: u64 = 1 << 20;
    let words: Vec<&str> = command.split_whitespace().collect();
    let program = words.first()?.rsplit('/').next()?;
    let after = |names: &[&str], unit: u64| {
        let at = words.iter().position(|word| names.contains(word))?;
        size(words.get(at + 1)?, unit)
    };
    let joined = |name: &str, unit: u64| words.iter().rev().find_map(|word| size(word.strip_prefix(name)?, unit));
    match program {
        "memcached" => after(&["-m", "--memory-limit"], MIB).or_else(|| joined("--memory-limit=", MIB)),
        "java" => joined("-Xmx", 1),
        "node" => joined("--max-old-space-size=", MIB).or_else(|| joined("--max_old_space_size=", MIB)),
        "redis-server" | "valkey-server" => after(&["--maxmemory"], 1),
        _ => None,
    }
}

/// `1024`, `512m`, `2gb`; without a unit in `unit`.
fn size(text: &str, unit: u64) -> Option<ByteCount> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let unit = match suffix.to_lowercase().as_str() {
        "" => unit,
        "k" | "kb" => 1 << 10,
        "m" | "mb" => 1 << 20,
        "g" | "gb" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit).filter(|size| *size > 0).map(ByteCount)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_programs_own_memory_limit_is_read_from_its_command_line() {
        let check = |command: &str, expected: Option<u64>| {
            assert_eq!(configured_limit(command), expected.map(|mib| ByteCount(mib << 20)), "{command}");
        };
        check("memcached -m 1024 -c 4096", Some(1024));
        check("/usr/bin/memcached --memory-limit=64", Some(64));
        check("java -Xms256m -Xmx2g -jar app.jar", Some(2048));
        check("node --max-old-space-size=512 server.js", Some(512));
        check("redis-server *:6379 --maxmemory 256mb", Some(256));
        check("redis-server *:6379", None);
        check("memcached -m", None);
        check("memcached -m x", None);
        check("java -Xmx99999999999999999999g", None);
        check("nginx -m 5", None);
        check("", None);
    }
}
