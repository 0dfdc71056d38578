//! How the illnesses are made: threads that burn, hold, fill or exhaust what the container has.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{child, condition::Bout};

/// How often a thread looks whether its bout is over.
const TICK: Duration = Duration::from_millis(100);

/// How long what kills the process waits for the answer to get out.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// A sleeping thread needs next to no stack.
const SLEEPERS_STACK: usize = 64 << 10;

/// Memory and disk are taken in such steps.
const STEP: u64 = 4 << 20;

/// How much there is to be of something, and how fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Growth {
    /// In the end, in MiB.
    pub total_mb: u64,
    /// In MiB; none for all at once.
    pub mb_per_minute: Option<u64>,
}

impl Growth {
    /// How many bytes there are to be so long after the beginning.
    fn bytes_after(self, elapsed: Duration) -> u64 {
        let total = self.total_mb << 20;
        let Some(pace) = self.mb_per_minute else { return total };
        let ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        (pace.saturating_mul(1 << 20).saturating_mul(ms) / 60_000).min(total)
    }

    /// The next step up from `have`; none while there is nothing to do.
    fn next(self, have: u64, elapsed: Duration) -> Option<u64> {
        let due = self.bytes_after(elapsed);
        (due > have).then(|| (due - have).min(STEP))
    }
}

/// Keeps each core that the container may use busy for `intensity` of each tick.
pub(crate) fn burn(bout: &Arc<Bout>, intensity: f64) {
    // Takes the container's CPU quota into account.
    let cores = thread::available_parallelism().map_or(1, usize::from);
    for _ in 0..cores {
        let bout = Arc::clone(bout);
        thread::spawn(move || {
            let busy = TICK.mul_f64(intensity);
            while !bout.is_over() {
                let begun = Instant::now();
                while begun.elapsed() < busy {
                    std::hint::spin_loop();
                }
                thread::sleep(TICK.saturating_sub(begun.elapsed()));
            }
        });
    }
}

/// Keeps so many threads busy without a rest, however little CPU the container may use.
pub(crate) fn strain(bout: &Arc<Bout>, threads: u64) {
    for _ in 0..threads {
        let bout = Arc::clone(bout);
        thread::spawn(move || {
            while !bout.is_over() {
                let begun = Instant::now();
                while begun.elapsed() < TICK {
                    std::hint::spin_loop();
                }
            }
        });
    }
}

/// Holds memory until the bout is over, and counts it in `held`.
///
/// Every page is written, or the kernel would not give it; it is anonymous memory, or it would count as page cache.
pub(crate) fn hold(bout: Arc<Bout>, growth: Growth, held: Arc<AtomicU64>) {
    thread::spawn(move || {
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let mut memory: Vec<u8> = Vec::new();
        // One reservation, as the allocator maps a large one by itself and gives it back to the system when freed.
        if memory.try_reserve_exact(size(growth.total_mb << 20)).is_err() {
            return;
        }
        while !bout.is_over() {
            match growth.next(memory.len() as u64, bout.elapsed()) {
                Some(step) => {
                    held.fetch_add(step, Ordering::Relaxed);
                    memory.resize(memory.len() + size(step), 0xa5);
                }
                None => drop(bout.rest(TICK)),
            }
        }
        let size = memory.len() as u64;
        drop(memory);
        held.fetch_sub(size, Ordering::Relaxed);
    });
}

/// Has so many more threads that sleep, as far as the container's limit lets it.
pub(crate) fn crowd(bout: &Arc<Bout>, count: u64, crowd: &Arc<AtomicU64>) {
    for _ in 0..count {
        let (bout, crowd) = (Arc::clone(bout), Arc::clone(crowd));
        let sleep = move || {
            crowd.fetch_add(1, Ordering::Relaxed);
            while !bout.rest(Duration::from_secs(3600)) {}
            crowd.fetch_sub(1, Ordering::Relaxed);
        };
        if thread::Builder::new().stack_size(SLEEPERS_STACK).spawn(sleep).is_err() {
            return;
        }
    }
}

/// Where a patient's files are: in the container's writable layer.
fn files() -> PathBuf {
    std::env::temp_dir().join(format!("patient-{}", std::process::id()))
}

/// Takes away what a patient that was this process before left on the disk: a restart cures.
pub(crate) fn tidy() {
    // Where there is nothing, there is nothing to do.
    let _ = fs::remove_dir_all(files());
}

/// Fills the disk until the bout is over, and counts it in `filled`.
pub(crate) fn fill(bout: Arc<Bout>, growth: Growth, filled: Arc<AtomicU64>) {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let path = files().join(format!("filling-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
    thread::spawn(move || {
        let written = write(&path, &bout, growth, &filled);
        if let Err(error) = &written {
            complain(&format!("could not fill {} any further: {error}", path.display()));
        }
        while !bout.rest(TICK) {}
        let size = fs::metadata(&path).map_or(0, |file| file.len());
        let _ = fs::remove_file(&path);
        // Refused while another bout's file is there.
        let _ = fs::remove_dir(files());
        filled.fetch_sub(size, Ordering::Relaxed);
    });
}

fn write(path: &Path, bout: &Bout, growth: Growth, filled: &AtomicU64) -> std::io::Result<()> {
    fs::create_dir_all(files())?;
    let mut file = File::create(path)?;
    // Not zeros, which a file system may leave out.
    let piece = vec![0xa5_u8; 1 << 20];
    let (mut have, total) = (0, growth.total_mb << 20);
    while have < total && !bout.is_over() {
        match growth.next(have, bout.elapsed()) {
            Some(step) => {
                let step = usize::try_from(step).unwrap_or(usize::MAX).min(piece.len());
                file.write_all(&piece[..step])?;
                have += step as u64;
                filled.fetch_add(step as u64, Ordering::Relaxed);
            }
            None => drop(bout.rest(TICK)),
        }
    }
    Ok(())
}

/// Exits with `code`.
pub(crate) fn crash(code: i32) {
    thread::spawn(move || {
        thread::sleep(LAST_WORDS);
        std::process::exit(code)
    });
}

/// Dies of a signal.
///
/// The first process of a container takes no signal that it does not handle, so there the C library goes on to an
/// instruction that only the kernel may execute, which ends every process: by SIGSEGV.
pub(crate) fn abort() {
    thread::spawn(|| {
        thread::sleep(LAST_WORDS);
        std::process::abort()
    });
}

/// Takes memory until the kernel kills the process.
pub(crate) fn exhaust() {
    thread::spawn(|| {
        thread::sleep(LAST_WORDS);
        take_memory()
    });
}

/// Takes memory for ever.
pub(crate) fn take_memory() -> ! {
    let mut taken = Vec::new();
    loop {
        taken.push(vec![0xa5_u8; 8 << 20]);
    }
}

/// Has a child that takes memory until the kernel kills it, and buries it.
pub(crate) fn lose_a_child() {
    thread::spawn(|| {
        let live = || Command::new(std::env::current_exe()?).arg(child::COMMAND).spawn()?.wait();
        match live() {
            Ok(status) => complain(&format!("lost a child: {status}")),
            Err(error) => complain(&format!("could not have a child: {error}")),
        }
    });
}

#[expect(clippy::print_stderr, reason = "standard error is the patient's log")]
fn complain(about: &str) {
    eprintln!("patient: {about}");
}

/// Whether the cgroup of this process limits its memory (version 2, then version 1).
pub(crate) fn memory_is_limited() -> bool {
    read("/sys/fs/cgroup/memory.max")
        .or_else(|| read("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
        .and_then(|limit| limit.trim().parse::<u64>().ok())
        // Version 1 writes "no limit" as the largest number of whole pages.
        .is_some_and(|bytes| bytes < 1 << 60)
}

/// Whether the cgroup of this process limits its CPU (version 2, then version 1).
pub(crate) fn cpu_is_limited() -> bool {
    // `max 100000` or `50000 100000`; version 1 writes "no limit" as -1.
    read("/sys/fs/cgroup/cpu.max")
        .or_else(|| read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"))
        .and_then(|limit| limit.split_whitespace().next()?.parse::<i64>().ok())
        .is_some_and(|quota| quota > 0)
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_comes_at_once_or_at_its_pace_and_ends() {
        const MB: u64 = 1 << 20;
        let at_once = Growth { total_mb: 10, mb_per_minute: None };
        let paced = Growth { total_mb: 10, mb_per_minute: Some(60) };
        let hasty = Growth { total_mb: 10, mb_per_minute: Some(u64::MAX) };
        for (growth, ms, bytes) in [
            (at_once, 0, 10 * MB),
            (paced, 0, 0),
            (paced, 500, MB / 2),
            (paced, 3_000, 3 * MB),
            (paced, 60_000, 10 * MB),
            (hasty, 1_000, 10 * MB),
        ] {
            assert_eq!(growth.bytes_after(Duration::from_millis(ms)), bytes, "{growth:?} after {ms} ms");
        }
        assert_eq!(at_once.next(0, Duration::ZERO), Some(STEP));
        assert_eq!(paced.next(3 * MB, Duration::from_secs(3)), None);
        assert_eq!(paced.next(3 * MB, Duration::from_secs(4)), Some(MB));
    }
}
