//! How much do containers keep on disk, and how much room is left?
//!
//! Asked rarely (`monitor.disk_every`): the engine finds out by counting files, for every container and every volume. So
//! this question has a deadline of its own, and the longer its answer takes, the longer the next one waits
//! ([`pause`]). The host's disk is asked of the kernel, which costs nothing, where it is this machine's.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use hemostat_schema::{
    ByteCount, ContainerId,
    observation::{DiskMeasured, VolumeSize},
};
use serde::Deserialize;
use tracing::{debug, warn};

use crate::{
    cgroup::{Roots, Running, place::Place},
    engine::Engine,
};

/// How long the engine may count.
const PATIENCE: Duration = Duration::from_secs(120);
/// The engine is busy counting for one part in so many of the time, at most.
const SHARE: u32 = 10;

/// What one container keeps on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// Which.
    pub id: ContainerId,
    /// In its own layer.
    pub writable: ByteCount,
    /// In its volumes, where their sizes are known.
    pub volumes: Vec<VolumeSize>,
}

impl Usage {
    /// In all.
    pub fn total(&self) -> ByteCount {
        let volumes = self.volumes.iter().map(|volume| volume.size.0);
        ByteCount(volumes.fold(self.writable.0, u64::saturating_add))
    }
}

/// What was found out about disks.
#[derive(Debug, Default)]
pub struct Measured {
    /// Of each container.
    pub usage: Vec<Usage>,
    /// Of the disk that holds Docker's data.
    pub disk: Option<DiskMeasured>,
    /// How long it took.
    pub took: Duration,
}

/// Finds it all out; what cannot be had is left out.
pub async fn measure(engine: &dyn Engine, root: Option<PathBuf>, roots: Roots, running: Vec<Running>) -> Measured {
    let began = Instant::now();
    let disk = async {
        let root = root?;
        tokio::task::spawn_blocking(move || is_here(&roots, &running).then(|| of_disk(&root)).flatten()).await.ok()?
    };
    let (usage, disk) = tokio::join!(engine.disk_usage(PATIENCE), disk);
    let usage = usage.inspect_err(|error| warn!("what containers keep on disk is not known: {error}"));
    Measured { usage: usage.unwrap_or_default(), disk, took: began.elapsed() }
}

/// How long until the next question, after an answer that took so long.
pub fn pause(every: Duration, took: Duration) -> Duration {
    every.max(took * SHARE)
}

/// Whether the engine runs on this machine: one of its containers does. So nobody takes our disk for that of an engine
/// elsewhere, which may well have a directory of the same name.
fn is_here(roots: &Roots, running: &[Running]) -> bool {
    let processes = running.iter().filter_map(|it| Some((&it.id, it.process?.pid)));
    processes.take(3).any(|(id, pid)| Place::find(roots, id, pid).is_ok())
}

/// The disk on which a directory is; none where that is not seen here.
fn of_disk(directory: &Path) -> Option<DiskMeasured> {
    let disk = rustix::fs::statvfs(directory)
        .inspect_err(|error| debug!("the disk of {} cannot be measured: {error}", directory.display()))
        .ok()?;
    Some(DiskMeasured {
        path: directory.display().to_string(),
        size: ByteCount(disk.f_blocks.saturating_mul(disk.f_frsize)),
        available: ByteCount(disk.f_bavail.saturating_mul(disk.f_frsize)),
    })
}

/// Puts together what the engine says of its containers and of its volumes.
pub fn usage(listed: Vec<Listed>, volumes: &HashMap<String, ByteCount>) -> Vec<Usage> {
    let one = |container: Listed| {
        let mounts = container.mounts.unwrap_or_default();
        let mut held: Vec<_> = mounts
            .into_iter()
            .filter(|mount| mount.typ.as_deref() == Some("volume"))
            .filter_map(|mount| mount.name)
            .filter_map(|name| Some(VolumeSize { size: *volumes.get(&name)?, name }))
            .collect();
        held.sort_by(|a, b| a.name.cmp(&b.name));
        held.dedup();
        // One that has written nothing has no size.
        let writable = container.size_rw.and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
        Some(Usage { id: container.id.parse().ok()?, writable: ByteCount(writable), volumes: held })
    };
    listed.into_iter().filter_map(one).collect()
}

/// The sizes of volumes; of those whose driver does not tell (-1) there is none.
pub fn volumes(df: Df) -> HashMap<String, ByteCount> {
    let Df { volumes, volume_usage } = df;
    let all = volumes.into_iter().flatten().chain(volume_usage.and_then(|usage| usage.items).into_iter().flatten());
    all.filter_map(|volume| Some((volume.name, ByteCount(u64::try_from(volume.usage?.size).ok()?)))).collect()
}

/// A container, as it is listed with its size.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Listed {
    id: String,
    size_rw: Option<i64>,
    mounts: Option<Vec<Mount>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Mount {
    #[serde(rename = "Type")]
    typ: Option<String>,
    name: Option<String>,
}

/// An answer of `/system/df`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Df {
    /// Up to API 1.51.
    volumes: Option<Vec<Volume>>,
    /// From API 1.52 on.
    volume_usage: Option<VolumeUsage>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct VolumeUsage {
    items: Option<Vec<Volume>>,
}

#[derive(Debug, Deserialize)]
struct Volume {
    #[serde(rename = "Name")]
    name: String,
    #[serde(rename = "UsageData")]
    usage: Option<VolumeSpace>,
}

#[derive(Debug, Deserialize)]
struct VolumeSpace {
    #[serde(rename = "Size")]
    size: i64,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "ef1ff59165b9fed19d914ad5062fedf9a3d4b61300b5a0bb702fa6d29375851f";

    #[test]
    fn volumes_are_read_from_old_and_new_engines() {
        let volume = |name: &str, size: i64| json!({"Name": name, "UsageData": {"RefCount": 1, "Size": size}});
        let expected = HashMap::from([("data".to_owned(), ByteCount(4096))]);
        for answer in [
            json!({"LayersSize": 1, "Volumes": [volume("data", 4096), volume("far", -1), {"Name": "x", "UsageData": null}]}),
            json!({"VolumeUsage": {"TotalCount": 2, "Items": [volume("data", 4096), volume("far", -1)]}}),
        ] {
            assert_eq!(volumes(serde_json::from_value(answer).unwrap()), expected);
        }
        assert_eq!(volumes(serde_json::from_str(r#"{"Volumes": null}"#).unwrap()), HashMap::new());
    }

    #[test]
    fn a_container_has_the_volumes_that_are_mounted_in_it() {
        let listed = serde_json::from_value(json!([
            {"Id": ID, "SizeRw": 1024, "Mounts": [
                {"Type": "volume", "Name": "data", "Destination": "/data"},
                {"Type": "volume", "Name": "data", "Destination": "/backup"},
                {"Type": "volume", "Name": "far", "Destination": "/far"},
                {"Type": "bind", "Source": "/etc", "Destination": "/etc"}]},
            {"Id": "0123456789ab", "Mounts": null},
            {"Id": "not an id"}
        ]));
        let sizes = HashMap::from([("data".to_owned(), ByteCount(7)), ("other".to_owned(), ByteCount(9))]);
        let data = VolumeSize { name: "data".into(), size: ByteCount(7) };
        let expected = vec![
            Usage { id: ID.parse().unwrap(), writable: ByteCount(1024), volumes: vec![data] },
            Usage { id: "0123456789ab".parse().unwrap(), writable: ByteCount(0), volumes: vec![] },
        ];
        assert_eq!(usage(listed.unwrap(), &sizes), expected);
    }

    #[test]
    fn the_longer_it_took_the_longer_the_next_one_waits() {
        let (secs, every) = (Duration::from_secs, Duration::from_secs(300));
        assert_eq!(pause(every, secs(1)), every);
        assert_eq!(pause(every, secs(30)), every);
        assert_eq!(pause(every, PATIENCE), secs(1200));
    }

    #[test]
    fn a_disk_is_measured_where_its_directory_is_seen() {
        let here = of_disk(Path::new("/")).unwrap();
        assert!(here.size.0 > 0 && here.available.0 <= here.size.0, "{here:?}");
        assert_eq!(of_disk(Path::new("/nonexistent/docker")), None);
        assert!(!is_here(&Roots::default(), &[Running { id: ID.parse().unwrap(), process: None }]));
    }
}
