//! How the illnesses are made: threads that burn, hold or exhaust what the container has.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::condition::Bout;

/// How often a thread looks whether its bout is over.
const TICK: Duration = Duration::from_millis(100);

/// How long what kills the process waits for the answer to get out.
const LAST_WORDS: Duration = Duration::from_millis(50);

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

/// Holds so much memory until the bout is over, and counts it in `held`.
///
/// Every page is written, or the kernel would not give it; it is anonymous memory, or it would count as page cache.
pub(crate) fn hold(bout: Arc<Bout>, size_mb: u64, held: Arc<AtomicU64>) {
    thread::spawn(move || {
        let size = usize::try_from(size_mb << 20).unwrap_or(usize::MAX);
        let mut memory: Vec<u8> = Vec::new();
        // One reservation, as the allocator maps a large one by itself and gives it back to the system when freed.
        if memory.try_reserve_exact(size).is_err() {
            return;
        }
        while memory.len() < size && !bout.is_over() {
            let grown = (memory.len() + (4 << 20)).min(size);
            held.fetch_add((grown - memory.len()) as u64, Ordering::Relaxed);
            memory.resize(grown, 0xa5);
        }
        while !bout.is_over() {
            thread::sleep(TICK);
        }
        let size = memory.len() as u64;
        drop(memory);
        held.fetch_sub(size, Ordering::Relaxed);
    });
}

/// Exits with `code`.
pub(crate) fn crash(code: i32) {
    thread::spawn(move || {
        thread::sleep(LAST_WORDS);
        std::process::exit(code)
    });
}

/// Takes memory until the kernel kills the process.
pub(crate) fn exhaust() {
    thread::spawn(|| {
        thread::sleep(LAST_WORDS);
        let mut taken = Vec::new();
        loop {
            taken.push(vec![0xa5_u8; 8 << 20]);
        }
    });
}

/// Whether the cgroup of this process limits its memory (version 2, then version 1).
pub(crate) fn memory_is_limited() -> bool {
    let read = |path| std::fs::read_to_string(path).ok();
    read("/sys/fs/cgroup/memory.max")
        .or_else(|| read("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
        .and_then(|limit| limit.trim().parse::<u64>().ok())
        // Version 1 writes "no limit" as the largest number of whole pages.
        .is_some_and(|bytes| bytes < 1 << 60)
}
