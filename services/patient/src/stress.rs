//! How illnesses work: threads that use CPU, memory, disk or threads.

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

use crate::episode::Episode;

/// How often a thread checks whether its episode is over.
const TICK: Duration = Duration::from_millis(100);

/// Delay before the process is killed, so that the HTTP response gets out.
const KILL_DELAY: Duration = Duration::from_millis(50);

/// Keeps each available core busy for `intensity` of each tick.
pub(crate) fn burn(episode: &Arc<Episode>, intensity: f64) {
    // Takes the container's CPU quota into account.
    let cores = thread::available_parallelism().map_or(1, usize::from);
    for _ in 0..cores {
        let episode = Arc::clone(episode);
        thread::spawn(move || {
            let busy = TICK.mul_f64(intensity);
            while !episode.is_over() {
                let begun = Instant::now();
                while begun.elapsed() < busy {
                    std::hint::spin_loop();
                }
                thread::sleep(TICK.saturating_sub(begun.elapsed()));
            }
        });
    }
}

/// Holds memory until the episode is over, and counts it in `held`.
///
/// It writes every page, because the kernel only then allocates it, of anonymous memory, because files count as cache.
pub(crate) fn hold(episode: Arc<Episode>, size_mb: u64, held: Arc<AtomicU64>) {
    thread::spawn(move || {
        let size = usize::try_from(size_mb << 20).unwrap_or(usize::MAX);
        let mut memory: Vec<u8> = Vec::new();
        // One reservation: the allocator maps a large one separately and returns it to the system when freed.
        if memory.try_reserve_exact(size).is_err() {
            return;
        }
        while memory.len() < size && !episode.is_over() {
            let grown = (memory.len() + (4 << 20)).min(size);
            held.fetch_add((grown - memory.len()) as u64, Ordering::Relaxed);
            memory.resize(grown, 0xa5);
        }
        while !episode.is_over() {
            thread::sleep(TICK);
        }
        let size = memory.len() as u64;
        drop(memory);
        held.fetch_sub(size, Ordering::Relaxed);
    });
}

/// Leaks memory until the episode is over, and counts it in `held`.
pub(crate) fn leak(episode: Arc<Episode>, mb_per_second: f64, held: Arc<AtomicU64>) {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 100 MiB")]
    let piece = (mb_per_second * 1_048_576.0 * TICK.as_secs_f64()) as usize;
    thread::spawn(move || {
        let mut leaked: Vec<Vec<u8>> = Vec::new();
        let mut size = 0;
        while !episode.is_over() {
            leaked.push(vec![0xa5_u8; piece]);
            size += piece as u64;
            held.fetch_add(piece as u64, Ordering::Relaxed);
            thread::sleep(TICK);
        }
        drop(leaked);
        held.fetch_sub(size, Ordering::Relaxed);
    });
}

/// Runs additional threads until the episode is over; fewer if the container's limit is reached.
pub(crate) fn crowd(episode: &Arc<Episode>, threads: u64) {
    for _ in 0..threads {
        let episode = Arc::clone(episode);
        let idle = move || {
            while !episode.is_over() {
                thread::sleep(TICK);
            }
        };
        if thread::Builder::new().stack_size(64 << 10).spawn(idle).is_err() {
            return;
        }
    }
}

/// The path of the file that fills the disk.
pub(crate) fn ballast_file() -> PathBuf {
    std::env::temp_dir().join(format!("patient-ballast-{}", std::process::id()))
}

/// Keeps a file of this size until the episode is over.
pub(crate) fn fill(episode: Arc<Episode>, size_mb: u64) {
    thread::spawn(move || {
        let path = ballast_file();
        // The image has no /tmp.
        let directory = path.parent().map_or(Ok(()), fs::create_dir_all);
        let written = directory.and_then(|()| fs::File::create(&path)).and_then(|mut file| {
            let piece = vec![0xa5_u8; 1 << 20];
            (0..size_mb).take_while(|_| !episode.is_over()).try_for_each(|_| file.write_all(&piece))
        });
        while written.is_ok() && !episode.is_over() {
            thread::sleep(TICK);
        }
        // A file that cannot be removed disappears with the container.
        drop(fs::remove_file(&path));
    });
}

/// Exits with `code`.
pub(crate) fn crash(code: i32) {
    thread::spawn(move || {
        thread::sleep(KILL_DELAY);
        std::process::exit(code)
    });
}

/// Allocates memory until the kernel kills the process.
pub(crate) fn exhaust() {
    thread::spawn(|| {
        thread::sleep(KILL_DELAY);
        allocate_until_killed()
    });
}

/// Starts a child that allocates memory until the kernel kills it.
pub(crate) fn exhaust_in_child() {
    thread::spawn(|| {
        let child = std::env::current_exe().and_then(|program| Command::new(program).arg("exhaust").status());
        #[expect(clippy::print_stderr, reason = "standard error is the patient's log")]
        match child {
            Ok(status) => eprintln!("patient: its child exited: {status}"),
            Err(error) => eprintln!("patient: could not start a child: {error}"),
        }
    });
}

/// Allocates memory until the kernel kills this process, in preference to the container's others.
pub fn exhaust_memory() -> ! {
    // Best effort: the process soon is the largest one anyway.
    drop(fs::write("/proc/self/oom_score_adj", "1000"));
    allocate_until_killed()
}

fn allocate_until_killed() -> ! {
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
