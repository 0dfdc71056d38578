//! The engine itself: `/_ping`, `/version`, `/info`, `/events`, `/system/df`, and images.

use std::{collections::BTreeMap, time::SystemTime};

use bytes::Bytes;
use futures::{StreamExt, stream};
use hyper::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{
    query::Query,
    reply::{API_VERSION, ApiError, Reply, VERSION, ok, streamed, with_headers},
};
use crate::{
    counter::whole as rounded, engine::container::Status, event::EventFilter, server::shared::Shared, time::UnixNanos,
};

/// CPUs and memory of the fake host.
pub(super) const CPUS: u32 = 8;
pub(super) const MEMORY: u64 = 64 << 30;
const KERNEL: &str = "6.1.0-simulated";

pub(super) fn ping() -> Reply {
    use http_body_util::BodyExt;
    let body = http_body_util::Full::new(Bytes::from_static(b"OK")).map_err(|never| match never {}).boxed_unsync();
    with_headers(StatusCode::OK, Some("text/plain; charset=utf-8"), body)
}

pub(super) fn version() -> Reply {
    ok(&json!({
        "Platform": {"Name": "simulated"},
        "Components": [{"Name": "Engine", "Version": VERSION, "Details": {"ApiVersion": API_VERSION, "MinAPIVersion": "1.12"}}],
        "Version": VERSION, "ApiVersion": API_VERSION, "MinAPIVersion": "1.12", "GitCommit": "simulated",
        "GoVersion": "go1.19.8", "Os": "linux", "Arch": "amd64", "KernelVersion": KERNEL,
        "BuildTime": "2026-01-01T00:00:00.000000000+00:00"
    }))
}

pub(super) fn info(shared: &Shared) -> Reply {
    let (running, paused, stopped) = shared.look(|engine, _| {
        engine.containers().fold((0, 0, 0), |(running, paused, stopped), container| match container.status {
            Status::Running | Status::Restarting => (running + 1, paused, stopped),
            Status::Paused => (running, paused + 1, stopped),
            Status::Created | Status::Exited => (running, paused, stopped + 1),
        })
    });
    let engine = json!({
        "ID": "SIMU:LATE:DENG:INE0:SIMU:LATE:DENG:INE0:SIMU:LATE:DENG:INE0", "Name": &*shared.name,
        "Containers": running + paused + stopped, "ContainersRunning": running, "ContainersPaused": paused,
        "ContainersStopped": stopped, "Images": 1, "ServerVersion": VERSION, "Driver": "overlay2",
        "DriverStatus": [["Backing Filesystem", "extfs"]], "DockerRootDir": "/var/lib/docker-simulated", "Labels": [],
        "LoggingDriver": "json-file", "NEventsListener": shared.subscribers(), "Debug": false, "Warnings": null,
        "SystemTime": UnixNanos::from(SystemTime::now()).to_string(),
        "Swarm": {"NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive", "ControlAvailable": false, "Error": "",
            "RemoteManagers": null}
    });
    let host = json!({
        "NCPU": CPUS, "MemTotal": MEMORY, "CgroupDriver": "systemd", "CgroupVersion": "2", "KernelVersion": KERNEL,
        "OperatingSystem": "a simulation", "OSVersion": "1", "OSType": "linux", "Architecture": "x86_64",
        "MemoryLimit": true, "SwapLimit": true, "CpuCfsPeriod": true, "CpuCfsQuota": true, "CPUShares": true,
        "CPUSet": true, "PidsLimit": true, "LiveRestoreEnabled": false, "ExperimentalBuild": false,
        "DefaultRuntime": "runc", "Runtimes": {"runc": {"path": "runc"}},
        "SecurityOptions": ["name=seccomp,profile=default"]
    });
    ok(&Merged { engine, host })
}

/// One JSON object, flattened from two parts.
#[derive(Serialize)]
struct Merged {
    #[serde(flatten)]
    engine: Value,
    #[serde(flatten)]
    host: Value,
}

/// The recorded events since `since`, then new events until `until`.
pub(super) fn events(shared: &Shared, query: &Query) -> Result<Reply, ApiError> {
    let (since, until) = (query.time("since")?, query.time("until")?);
    let filter = EventFilter::by(query.filters()?);
    let now = UnixNanos::from(SystemTime::now());
    let only_past = until.is_some_and(|until| until <= now);
    let (past, live) = shared.subscribe(since, until, filter, only_past);
    let past = stream::iter(past.into_iter().map(Ok));
    let Some(live) = live else { return Ok(streamed("application/json", past)) };
    let live =
        stream::unfold(live, |mut live: mpsc::UnboundedReceiver<_>| async move { Some((live.recv().await?, live)) });
    let reply = past.chain(live);
    Ok(match until {
        Some(until) => streamed("application/json", reply.take_until(Box::pin(tokio::time::sleep(until.since(now))))),
        None => streamed("application/json", reply),
    })
}

/// `docker system df`: images and the writable layers.
pub(super) fn disk_use(shared: &Shared) -> Reply {
    let (images, containers) = shared.look(|engine, now| {
        let mut images: BTreeMap<&str, (String, u32)> = BTreeMap::new();
        let mut containers: Vec<Value> = vec![];
        for container in engine.containers() {
            let image = images.entry(&container.spec.image).or_insert_with(|| (container.spec.image_id(), 0));
            image.1 += 1;
            containers.push(json!({
                "Id": container.id, "Names": [format!("/{}", container.name)], "Image": container.spec.image,
                "ImageID": image.0, "Created": container.created.seconds(), "State": container.status,
                "SizeRw": rounded(container.counters.layer.at(now)),
                "SizeRootFs": IMAGE_SIZE + rounded(container.counters.layer.at(now)), "Labels": container.spec.labels,
            }));
        }
        let images: Vec<Value> = images
            .into_iter()
            .map(|(name, (id, used))| {
                json!({"Id": id, "ParentId": "", "RepoTags": [name], "RepoDigests": null, "Created": 1_767_225_600,
                    "Size": IMAGE_SIZE, "SharedSize": 0, "VirtualSize": IMAGE_SIZE, "Labels": null, "Containers": used})
            })
            .collect();
        (images, containers)
    });
    let layers = IMAGE_SIZE * images.len() as u64;
    ok(&json!({"LayersSize": layers, "Images": images, "Containers": containers, "Volumes": [], "BuildCache": []}))
}

/// The size of each image, in bytes.
pub(super) const IMAGE_SIZE: u64 = 80 << 20;

pub(super) fn image(shared: &Shared, name: &str) -> Result<Reply, ApiError> {
    let found = shared.look(|engine, _| {
        let mut all = engine.containers().map(|container| &container.spec);
        all.find(|spec| spec.image == name || spec.image_id() == name).map(|spec| (spec.image.clone(), spec.image_id()))
    });
    let (tag, id) = found.ok_or_else(|| ApiError(StatusCode::NOT_FOUND, format!("No such image: {name}")))?;
    Ok(ok(&json!({
        "Id": id, "RepoTags": [tag], "RepoDigests": [], "Parent": "", "Comment": "",
        "Created": "2026-01-01T00:00:00Z", "DockerVersion": VERSION, "Author": "", "Config": {"Env": null, "Cmd": null},
        "Architecture": "amd64", "Os": "linux", "Size": IMAGE_SIZE, "VirtualSize": IMAGE_SIZE,
        "RootFS": {"Type": "layers", "Layers": [id]}, "Metadata": {"LastTagTime": "0001-01-01T00:00:00Z"}
    })))
}
