//! How the illnesses are made: threads that burn, hold or exhaust what the container has.

use std::{
    fs,
    io::Write as _,
    path::PathBuf,
    process::Command,
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

/// Holds so much more every second until the bout is over, and counts it in `held`.
pub(crate) fn leak(bout: Arc<Bout>, mb_per_second: f64, held: Arc<AtomicU64>) {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 100 MiB")]
    let piece = (mb_per_second * 1_048_576.0 * TICK.as_secs_f64()) as usize;
    thread::spawn(move || {
        let mut leaked: Vec<Vec<u8>> = Vec::new();
        let mut size = 0;
        while !bout.is_over() {
            leaked.push(vec![0xa5_u8; piece]);
            size += piece as u64;
            held.fetch_add(piece as u64, Ordering::Relaxed);
            thread::sleep(TICK);
        }
        drop(leaked);
        held.fetch_sub(size, Ordering::Relaxed);
    });
}

/// Has so many more threads until the bout is over, or as many as it may.
pub(crate) fn crowd(bout: &Arc<Bout>, threads: u64) {
    for _ in 0..threads {
        let bout = Arc::clone(bout);
        let idle = move || {
            while !bout.is_over() {
                thread::sleep(TICK);
            }
        };
        if thread::Builder::new().stack_size(64 << 10).spawn(idle).is_err() {
            return;
        }
    }
}

/// Where a patient whose illness is the disk keeps its file.
pub(crate) fn ballast() -> PathBuf {
    std::env::temp_dir().join(format!("patient-ballast-{}", std::process::id()))
}

/// Keeps a file of so many MiB until the bout is over.
pub(crate) fn fill(bout: Arc<Bout>, size_mb: u64) {
    thread::spawn(move || {
        let path = ballast();
        // The image has no /tmp.
        let directory = path.parent().map_or(Ok(()), fs::create_dir_all);
        let written = directory.and_then(|()| fs::File::create(&path)).and_then(|mut file| {
            let piece = vec![0xa5_u8; 1 << 20];
            (0..size_mb).take_while(|_| !bout.is_over()).try_for_each(|_| file.write_all(&piece))
        });
        while written.is_ok() && !bout.is_over() {
            thread::sleep(TICK);
        }
        // A file that cannot be removed goes with the container.
        drop(fs::remove_file(&path));
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
        take_all()
    });
}

/// Has a child that takes memory until the kernel kills it.
pub(crate) fn lose_a_child() {
    thread::spawn(|| {
        let child = std::env::current_exe().and_then(|program| Command::new(program).arg("exhaust").status());
        #[expect(clippy::print_stderr, reason = "standard error is the patient's log")]
        match child {
            Ok(status) => eprintln!("patient: its child ended: {status}"),
            Err(error) => eprintln!("patient: could not have a child: {error}"),
        }
    });
}

/// Takes memory until the kernel kills this process, before any other of its container.
pub fn be_killed() -> ! {
    // Who cannot say so is the largest soon enough.
    drop(fs::write("/proc/self/oom_score_adj", "1000"));
    take_all()
}

fn take_all() -> ! {
    let mut taken = Vec::new();
    loop {
        taken.push(vec![0xa5_u8; 8 << 20]);
    }
}

/// Whether the cgroup of this process limits its memory (version 2, then version 1).
pub(crate) fn memory_is_limited() -> bool {
    let read = |path| fs::read_to_string(path).ok();
    read("/sys/fs/cgroup/memory.max")
        .or_else(|| read("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
        .and_then(|limit| limit.trim().parse::<u64>().ok())
        // Version 1 writes "no limit" as the largest number of whole pages.
        .is_some_and(|bytes| bytes < 1 << 60)
}
