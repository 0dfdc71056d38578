//! `docker inspect`.

use serde_json::{Value, json};

use super::{
    query::Query,
    reply::{ApiError, Reply, ok},
    system::IMAGE_SIZE,
};
use crate::{
    counter::whole as rounded,
    engine::container::{Container, Status},
    server::shared::Shared,
    spec::{HealthCheck, RestartPolicy, fnv},
    time::{UnixNanos, docker_time},
};

pub(super) fn inspect(shared: &Shared, key: &str, query: &Query) -> Result<Reply, ApiError> {
    let size = query.flag("size", false);
    shared.look(|engine, now| Ok(ok(&whole(engine.container(key)?, size, now))))
}

fn whole(container: &Container, size: bool, now: UnixNanos) -> Value {
    let spec = &container.spec;
    let id = container.id.as_str();
    let directory = format!("/var/lib/docker-simulated/containers/{id}");
    let mut all = json!({
        "Id": id, "Created": container.created.to_string(), "Path": spec.command.first(),
        "Args": spec.command.get(1..).unwrap_or_default(), "State": state(container), "Image": spec.image_id(),
        "ResolvConfPath": format!("{directory}/resolv.conf"), "HostnamePath": format!("{directory}/hostname"),
        "HostsPath": format!("{directory}/hosts"), "LogPath": format!("{directory}/{id}-json.log"),
        "Name": format!("/{}", container.name), "RestartCount": container.restarts, "Driver": "overlay2",
        "Platform": "linux", "MountLabel": "", "ProcessLabel": "", "AppArmorProfile": "", "ExecIDs": null,
        "HostConfig": host_config(container),
        "GraphDriver": {"Data": {}, "Name": "overlay2"}, "Mounts": [],
        "Config": {
            "Hostname": &id[..12], "Domainname": "", "User": "", "AttachStdin": false, "AttachStdout": false,
            "AttachStderr": false, "Tty": false, "OpenStdin": false, "StdinOnce": false, "Env": (!spec.env.is_empty()).then_some(&spec.env),
            "Cmd": spec.command, "Image": spec.image, "Volumes": null, "WorkingDir": "", "Entrypoint": null,
            "OnBuild": null, "Labels": spec.labels
        },
        "NetworkSettings": network(container)
    });
    let config = &mut all["Config"];
    if let Some(check) = &spec.check {
        config["Healthcheck"] = health_check(check);
    }
    if let Some(signal) = &spec.stop_signal {
        config["StopSignal"] = signal.as_str().into();
    }
    if let Some(seconds) = spec.stop_timeout {
        config["StopTimeout"] = seconds.into();
    }
    if size {
        let layer = rounded(container.counters.layer.at(now));
        all["SizeRw"] = layer.into();
        all["SizeRootFs"] = (IMAGE_SIZE + layer).into();
    }
    all
}

fn state(container: &Container) -> Value {
    let status = container.status;
    let mut state = json!({
        "Status": status, "Running": matches!(status, Status::Running | Status::Paused | Status::Restarting),
        "Paused": status == Status::Paused, "Restarting": status == Status::Restarting, "OOMKilled": container.out_of_memory,
        "Dead": false, "Pid": container.pid, "ExitCode": container.exit_code, "Error": "",
        "StartedAt": docker_time(container.started), "FinishedAt": docker_time(container.finished)
    });
    if let Some(health_state) = container.health_state.as_ref().filter(|_| container.started.is_some()) {
        let checks = health_state.log.iter().map(|check| {
            let output = if check.passed { "ok" } else { "connect to 127.0.0.1:8080: connection refused" };
            let end = check.at + std::time::Duration::from_millis(20);
            json!({"Start": check.at.to_string(), "End": end.to_string(), "ExitCode": i32::from(!check.passed),
                "Output": output})
        });
        state["Health"] = json!({
            "Status": health_state.health, "FailingStreak": health_state.streak,
            "Log": checks.collect::<Vec<_>>()
        });
    }
    state
}

fn host_config(container: &Container) -> Value {
    let spec = &container.spec;
    let (name, most) = match spec.restart {
        RestartPolicy::No => ("no", 0),
        RestartPolicy::Always => ("always", 0),
        RestartPolicy::UnlessStopped => ("unless-stopped", 0),
        RestartPolicy::OnFailure(most) => ("on-failure", most),
    };
    #[expect(clippy::cast_possible_truncation, reason = "a number of cores is small")]
    let nano_cpus = spec.cpus.map_or(0, |cores| (cores * 1e9) as i64);
    json!({
        "Binds": null, "ContainerIDFile": "", "LogConfig": {"Type": "json-file", "Config": {}},
        "NetworkMode": spec.network_mode, "PortBindings": {},
        "RestartPolicy": {"Name": name, "MaximumRetryCount": most}, "AutoRemove": false, "VolumeDriver": "",
        "VolumesFrom": null, "Privileged": false, "ReadonlyRootfs": false, "Runtime": "runc",
        "CpuShares": 0, "Memory": spec.memory.unwrap_or(0), "NanoCpus": nano_cpus, "CgroupParent": "",
        "CpuPeriod": 0, "CpuQuota": 0, "CpusetCpus": "", "MemoryReservation": 0,
        "MemorySwap": spec.memory.unwrap_or(0), "MemorySwappiness": null, "OomKillDisable": null,
        "PidsLimit": spec.pids
    })
}

fn network(container: &Container) -> Value {
    let address = fnv(container.id.as_str().as_bytes());
    let [a, b, ..] = address.to_le_bytes();
    let up = container.is_up() && !container.spec.network_mode.starts_with("container:");
    let address = if up { format!("172.17.{a}.{b}") } else { String::new() };
    json!({
        "Bridge": "", "SandboxID": "", "HairpinMode": false, "Ports": {}, "SandboxKey": "", "IPAddress": address,
        "Networks": {"bridge": {"IPAMConfig": null, "Links": null, "Aliases": null, "NetworkID": "", "EndpointID": "",
            "Gateway": "172.17.0.1", "IPAddress": address, "IPPrefixLen": 16, "MacAddress": ""}}
    })
}

fn health_check(check: &HealthCheck) -> Value {
    let nanos = |span: std::time::Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
    json!({
        "Test": check.test, "Interval": nanos(check.interval), "Timeout": nanos(check.timeout),
        "StartPeriod": nanos(check.start_period), "Retries": check.retries
    })
}
