//! Whose the memory is that a container holds: its processes', or the kernel's, which takes it back; and how much its
//! program allows itself.

use hemostat_schema::{ByteCount, container::Vitals, observation::Symptom};

use super::Case;

/// The monitor tells of so many processes; where it tells of as many there may be more.
const ALL_TOLD: usize = 10;
/// Whose processes hold no more than this share of it, its memory is mostly the kernel's.
const OF_PROCESSES: f64 = 0.5;
/// Who waits for so much of the time is short of memory.
const SHORT: f64 = 5.0;
/// A program needs so much beside what it allows itself.
const BESIDE: f64 = 1.2;

impl Case<'_> {
    /// Whether most of its memory is no process's: what was read and written of files, which the kernel keeps as long as
    /// nobody needs the room, and then gives back without anybody's doing.
    ///
    /// What several processes share is counted for each of them, so what they hold is less than their sum.
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    pub(super) fn is_page_cache(&self) -> bool {
        let processes = self.processes();
        let held: u64 = processes.iter().map(|process| process.memory.0).sum();
        let told = !processes.is_empty() && processes.len() < ALL_TOLD && held > 0;
        let calm = |used: &Vitals| {
            used.strain.memory.is_some_and(|share| share.get() < SHORT)
                && held as f64 <= used.memory_used.0 as f64 * OF_PROCESSES
        };
        let killed = self.is_ill_of(Symptom::OomChild) || self.is_ill_of(Symptom::OomKilled);
        told && !killed && self.vitals_now().is_some_and(calm)
    }

    /// Whether its memory is high or grows, and is the kernel's to take back or no more than its program allows itself.
    pub(super) fn is_not_its_own(&self) -> bool {
        let grows = self.is_ill_of(Symptom::MemoryHigh) || self.is_ill_of(Symptom::MemoryLeak);
        let critical = self.level(Symptom::MemoryHigh).is_some_and(|level| level.is_critical());
        grows && (self.is_page_cache() || !critical && self.own_allowance().is_some())
    }

    /// What its program allows itself, where that is known and leaves room below the limit, and it has not passed it.
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    pub(super) fn own_allowance(&self) -> Option<ByteCount> {
        let used = self.vitals_now()?;
        let process = self.processes().iter().max_by_key(|process| process.memory.0)?;
        let own = allowance(&process.command)?;
        let whole = own.0 as f64 * BESIDE;
        let fits = (used.memory_used.0 as f64) < whole && whole <= used.memory_limit.0 as f64;
        fits.then_some(own)
    }
}

/// What a program was told that it may use at most.
fn allowance(command: &str) -> Option<ByteCount> {
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

/// `1024`, `512m`, `2gb`, in this unit where none is said.
fn size(text: &str, unit: u64) -> Option<ByteCount> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, of) = text.split_at(digits);
    let unit = match of.to_lowercase().as_str() {
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
    fn what_a_program_allows_itself_is_read_of_its_command() {
        let check = |command: &str, expected: Option<u64>| {
            assert_eq!(allowance(command), expected.map(|mib| ByteCount(mib << 20)), "{command}");
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
