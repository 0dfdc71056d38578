//! Measures the disk usage of containers and the free space of the host's disk.
//!
//! Rarely (`monitor.disk_every`), as the engine counts the files of every container and volume. The request has a timeout
//! of its own, and a slow answer delays the next measurement ([`next_delay`]). The free space comes from the kernel, if the
//! engine runs on this machine.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use hemostat_docker::DiskUsage;
use hemostat_schema::{ByteCount, sample::Disk};
use tracing::{debug, warn};

use crate::{
    cgroup::{Roots, RunningContainer, paths::CgroupPaths},
    engine::Engine,
};

/// How long the engine may count.
const USAGE_TIMEOUT: Duration = Duration::from_secs(120);
/// Counting takes at most one part in this many of the engine's time.
const MAX_SHARE: u32 = 10;

/// One measurement.
#[derive(Debug, Default)]
pub struct DiskMeasurement {
    /// The usage of each container.
    pub usage: Vec<DiskUsage>,
    /// The disk with Docker's data.
    pub disk: Option<Disk>,
    /// How long the measurement took.
    pub took: Duration,
}

/// Measures both. A part that fails is left out.
pub async fn measure(
    engine: &dyn Engine,
    root: Option<PathBuf>,
    roots: Roots,
    running: Vec<RunningContainer>,
) -> DiskMeasurement {
    let began = Instant::now();
    let disk = async {
        let root = root?;
        tokio::task::spawn_blocking(move || engine_is_local(&roots, &running).then(|| measure_disk(&root)).flatten())
            .await
            .ok()?
    };
    let (usage, disk) = tokio::join!(engine.disk_usage(USAGE_TIMEOUT), disk);
    let usage = usage.inspect_err(|error| warn!("could not measure the disk usage of containers: {error}"));
    DiskMeasurement { usage: usage.unwrap_or_default(), disk, took: began.elapsed() }
}

/// How long until the next measurement, after one that took `took`.
pub fn next_delay(every: Duration, took: Duration) -> Duration {
    every.max(took * MAX_SHARE)
}

/// Whether the engine runs on this machine, which is so if one of its containers does. A remote engine may have a data
/// directory of the same name as a local one.
fn engine_is_local(roots: &Roots, running: &[RunningContainer]) -> bool {
    let processes = running.iter().filter_map(|it| Some((&it.id, it.process?.pid)));
    processes.take(3).any(|(id, pid)| CgroupPaths::find(roots, id, pid).is_ok())
}

/// The disk of a directory; `None` if the directory does not exist here.
fn measure_disk(directory: &Path) -> Option<Disk> {
    let disk = rustix::fs::statvfs(directory)
        .inspect_err(|error| debug!("could not measure the disk of {}: {error}", directory.display()))
        .ok()?;
    Some(Disk {
        path: directory.display().to_string(),
        size: ByteCount(disk.f_blocks.saturating_mul(disk.f_frsize)),
        available: ByteCount(disk.f_bavail.saturating_mul(disk.f_frsize)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "ef1ff59165b9fed19d914ad5062fedf9a3d4b61300b5a0bb702fa6d29375851f";

    #[test]
    fn a_slow_measurement_delays_the_next_one() {
        let (secs, every) = (Duration::from_secs, Duration::from_secs(300));
        assert_eq!(next_delay(every, secs(1)), every);
        assert_eq!(next_delay(every, secs(30)), every);
        assert_eq!(next_delay(every, USAGE_TIMEOUT), secs(1200));
    }

    #[test]
    fn a_disk_is_measured_if_its_directory_exists_here() {
        let here = measure_disk(Path::new("/")).unwrap();
        assert!(here.size.0 > 0 && here.available.0 <= here.size.0, "{here:?}");
        assert_eq!(measure_disk(Path::new("/nonexistent/docker")), None);
        assert!(!engine_is_local(&Roots::default(), &[RunningContainer { id: ID.parse().unwrap(), process: None }]));
    }
}
