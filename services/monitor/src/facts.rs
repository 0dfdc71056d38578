//! Parses an answer of `docker inspect` into `schema`'s `Facts`.
//!
//! Values that Docker omits or writes as zero (`Memory: 0`, `0001-01-01T00:00:00Z`) become `None`.

use std::collections::{BTreeMap, HashMap};

use hemostat_docker::{
    models::{ContainerInspectResponse, ContainerState, HealthStatusEnum, HostConfig, RestartPolicyNameEnum},
    state as state_of, timestamp,
};
use hemostat_redact::redact;
use hemostat_schema::{
    ByteCount, ContainerName, Span,
    container::{Compose, Exit, Facts, Health, Limits, RestartPolicy, State, Swarm},
};

use crate::{event::signal_number, exit_cause};

const SIGTERM: i32 = 15;
/// The kernel's default period, for a container with a quota only.
const DEFAULT_CPU_PERIOD: i64 = 100_000;

/// An answer without a required field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("docker inspect of {container} has no usable {field}")]
pub struct InvalidInspect {
    container: String,
    field: &'static str,
}

/// One container, as inspected at one instant.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspected {
    /// Its name.
    pub name: ContainerName,
    /// What decisions rest on. Who ended the last run is inferred from the exit code only.
    pub facts: Facts,
    /// The signal that `docker stop` sends.
    pub stop_signal: i32,
    /// Whether the OOM killer killed a process of its last run.
    pub out_of_memory: bool,
    /// Its main process, of which cgroup counters are read; `None` while it does not run.
    pub process: Option<MainProcess>,
}

/// The main process of a running container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MainProcess {
    /// Its PID on the engine's host.
    pub pid: u32,
    /// Whether the container uses the host's network.
    pub in_host_network: bool,
}

/// Parses an answer of `docker inspect`.
///
/// # Errors
/// If a required field is missing or invalid.
pub fn read(inspect: ContainerInspectResponse) -> Result<Inspected, InvalidInspect> {
    let ContainerInspectResponse { id, name, image, created, state, config, host_config, restart_count, .. } = inspect;
    let (id, name) = (id.unwrap_or_default(), name.unwrap_or_default());
    let missing = |field| InvalidInspect { container: if name.is_empty() { id.clone() } else { name.clone() }, field };
    let (config, host, docker) =
        (config.unwrap_or_default(), host_config.unwrap_or_default(), state.unwrap_or_default());
    let labels = config.labels.unwrap_or_default();
    let state = state_of(docker.status).ok_or_else(|| missing("state"))?;
    let facts = Facts {
        id: id.parse().map_err(|_| missing("id"))?,
        image: config.image.unwrap_or_default(),
        image_id: image.unwrap_or_default(),
        created_at: created.as_deref().and_then(timestamp).ok_or_else(|| missing("creation time"))?,
        started_at: docker.started_at.as_deref().and_then(timestamp),
        state,
        health: health(&docker),
        exit: exit(&docker, state),
        restart_policy: restart_policy(&host),
        restarts: restart_count.and_then(|count| u32::try_from(count).ok()).unwrap_or(0),
        stop_timeout: config.stop_timeout.and_then(|secs| u64::try_from(secs).ok()).map(Span::from_secs),
        limits: limits(&host),
        network_of: host.network_mode.as_deref().and_then(|mode| mode.strip_prefix("container:")).map(str::to_owned),
        compose: compose(&labels),
        swarm: swarm(&labels),
        labels: labels
            .into_iter()
            .filter(|(key, _)| configures_hemostat(key))
            .map(|(key, value)| (key, redact(&value)))
            .collect::<BTreeMap<_, _>>(),
    };
    Ok(Inspected {
        name: name.trim_start_matches('/').parse().map_err(|_| missing("name"))?,
        facts,
        stop_signal: config.stop_signal.as_deref().and_then(signal_number).unwrap_or(SIGTERM),
        out_of_memory: docker.oom_killed.unwrap_or(false),
        process: docker
            .pid
            .and_then(|pid| u32::try_from(pid).ok())
            .filter(|pid| *pid > 0)
            .map(|pid| MainProcess { pid, in_host_network: host.network_mode.as_deref() == Some("host") }),
    })
}

/// Docker keeps the last health status after the container ended; decisions ignore it then.
fn health(docker: &ContainerState) -> Health {
    match docker.health.as_ref().and_then(|health| health.status) {
        None | Some(HealthStatusEnum::NONE | HealthStatusEnum::EMPTY) => Health::None,
        Some(HealthStatusEnum::STARTING) => Health::Starting,
        Some(HealthStatusEnum::HEALTHY) => Health::Healthy,
        Some(HealthStatusEnum::UNHEALTHY) => Health::Unhealthy,
    }
}

fn exit(docker: &ContainerState, state: State) -> Option<Exit> {
    match state {
        State::Running | State::Paused | State::Created => None,
        State::Restarting | State::Removing | State::Exited | State::Dead => {
            let at = docker.finished_at.as_deref().and_then(timestamp)?;
            let code = docker.exit_code.unwrap_or(-1);
            Some(Exit { at, code, by: exit_cause::infer_exit_cause(code, docker.oom_killed.unwrap_or(false), false) })
        }
    }
}

fn restart_policy(host: &HostConfig) -> RestartPolicy {
    let policy = host.restart_policy.as_ref();
    match policy.and_then(|policy| policy.name) {
        None | Some(RestartPolicyNameEnum::EMPTY | RestartPolicyNameEnum::NO) => RestartPolicy::No,
        Some(RestartPolicyNameEnum::ALWAYS) => RestartPolicy::Always,
        Some(RestartPolicyNameEnum::UNLESS_STOPPED) => RestartPolicy::UnlessStopped,
        Some(RestartPolicyNameEnum::ON_FAILURE) => {
            let max = policy.and_then(|policy| policy.maximum_retry_count).and_then(|max| u32::try_from(max).ok());
            RestartPolicy::OnFailure { max: max.unwrap_or(0) }
        }
    }
}

fn limits(host: &HostConfig) -> Limits {
    let positive = |value: Option<i64>| value.filter(|value| *value > 0);
    #[expect(clippy::cast_precision_loss, reason = "a share of CPUs, shown with two digits")]
    let cpus = positive(host.nano_cpus).map(|nanos| nanos as f64 / 1e9).or_else(|| {
        let period = positive(host.cpu_period).unwrap_or(DEFAULT_CPU_PERIOD);
        positive(host.cpu_quota).map(|quota| quota as f64 / period as f64)
    });
    Limits { cpus, memory: positive(host.memory).and_then(|bytes| u64::try_from(bytes).ok()).map(ByteCount) }
}

fn compose(labels: &HashMap<String, String>) -> Option<Compose> {
    let label = |key: &str| labels.get(&format!("com.docker.compose.{key}"));
    Some(Compose {
        project: label("project")?.clone(),
        service: label("service")?.clone(),
        number: label("container-number").and_then(|number| number.parse().ok()),
        // As in `db:service_healthy:false,cache:service_started:false`.
        depends_on: label("depends_on")
            .map(|all| {
                let names = all.split(',').filter_map(|one| one.split(':').next());
                names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
            })
            .unwrap_or_default(),
    })
}

fn swarm(labels: &HashMap<String, String>) -> Option<Swarm> {
    let service_id = labels.get("com.docker.swarm.service.id")?.clone();
    let service = labels.get("com.docker.swarm.service.name").unwrap_or(&service_id).clone();
    Some(Swarm { service_id, service })
}

/// Labels that configure HemoStat. Others may hold secrets and do not go on the log.
fn configures_hemostat(key: &str) -> bool {
    key == "autoheal" || ["hemostat.", "autoheal.", "deunhealth."].iter().any(|prefix| key.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use hemostat_schema::{Timestamp, container::ExitBy};
    use serde_json::{Value, json};

    use super::*;

    /// Recorded from Docker 20.10, without fields that are not read; each test overlays its differences.
    fn running() -> Value {
        json!({
            "Id": "ef1ff59165b9fed19d914ad5062fedf9a3d4b61300b5a0bb702fa6d29375851f",
            "Created": "2026-11-23T19:38:17.322463059Z",
            "State": {
                "Status": "running", "Running": true, "Paused": false, "Restarting": false, "OOMKilled": false,
                "Dead": false, "Pid": 18134, "ExitCode": 0, "Error": "",
                "StartedAt": "2026-11-23T19:38:17.663415443Z", "FinishedAt": "0001-01-01T00:00:00Z",
                "Health": {"Status": "unhealthy", "FailingStreak": 1, "Log": [
                    {"Start": "2026-11-23T19:38:18.66422625Z", "End": "2026-11-23T19:38:18.78003003Z",
                     "ExitCode": 1, "Output": ""}]}
            },
            "Image": "sha256:67d05fb479e169f76f08b52196af3cac85a861bd8a7b4a20da005537b75767db",
            "Name": "/api-1",
            "RestartCount": 0,
            "HostConfig": {
                "NetworkMode": "default", "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
                "Memory": 67_108_864, "NanoCpus": 500_000_000, "CpuPeriod": 0, "CpuQuota": 0
            },
            "Config": {
                "Image": "hemostat-test-busybox:1",
                "Labels": {"autoheal": "true", "foo": "secret", "hemostat.mode": "auto",
                           "hemostat.note": "password=hunter2"},
                "StopTimeout": 7
            }
        })
    }

    fn overlay(base: &mut Value, over: Value) {
        match (base, over) {
            (Value::Object(base), Value::Object(over)) => {
                for (key, value) in over {
                    overlay(base.entry(key).or_insert(Value::Null), value);
                }
            }
            (base, over) => *base = over,
        }
    }

    fn inspected(differences: Value) -> Inspected {
        let mut json = running();
        overlay(&mut json, differences);
        read(serde_json::from_value(json).unwrap()).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_running_container_is_parsed_to_the_nanosecond() {
        let expected = Inspected {
            name: "api-1".parse().unwrap(),
            facts: Facts {
                id: "ef1ff59165b9fed19d914ad5062fedf9a3d4b61300b5a0bb702fa6d29375851f".parse().unwrap(),
                image: "hemostat-test-busybox:1".to_owned(),
                image_id: "sha256:67d05fb479e169f76f08b52196af3cac85a861bd8a7b4a20da005537b75767db".to_owned(),
                created_at: at("2026-11-23T19:38:17.322463059Z"),
                started_at: Some(at("2026-11-23T19:38:17.663415443Z")),
                state: State::Running,
                health: Health::Unhealthy,
                exit: None,
                restart_policy: RestartPolicy::OnFailure { max: 3 },
                restarts: 0,
                stop_timeout: Some(Span::from_secs(7)),
                limits: Limits { cpus: Some(0.5), memory: Some(ByteCount(64 << 20)) },
                network_of: None,
                compose: None,
                swarm: None,
                labels: BTreeMap::from([
                    ("autoheal".to_owned(), "true".to_owned()),
                    ("hemostat.mode".to_owned(), "auto".to_owned()),
                    ("hemostat.note".to_owned(), "password=[redacted]".to_owned()),
                ]),
            },
            stop_signal: 15,
            out_of_memory: false,
            process: Some(MainProcess { pid: 18_134, in_host_network: false }),
        };
        assert_eq!(inspected(json!({})), expected);
    }

    #[test]
    fn the_main_process_is_known_while_the_container_runs() {
        let process = |pid: i64, network: &str| {
            inspected(json!({"State": {"Pid": pid}, "HostConfig": {"NetworkMode": network}})).process
        };
        assert_eq!(process(7, "host"), Some(MainProcess { pid: 7, in_host_network: true }));
        assert_eq!(process(7, "container:ad16eac5cd4b"), Some(MainProcess { pid: 7, in_host_network: false }));
        assert_eq!(process(0, "host"), None);
        assert_eq!(process(-1, "host"), None);
    }

    #[test]
    fn who_ended_a_run_is_inferred_from_status_code_and_oom_flag() {
        let finished = "2026-11-23T19:38:29.0042177Z";
        for (status, code, oom, exit) in [
            ("created", 0, false, None),
            ("running", 0, false, None),
            ("paused", 0, false, None),
            ("exited", 0, false, Some(ExitBy::Itself)),
            ("exited", 3, false, Some(ExitBy::Unknown)),
            ("exited", 137, false, Some(ExitBy::Unknown)),
            ("exited", 137, true, Some(ExitBy::Oom)),
            ("restarting", 4, false, Some(ExitBy::Unknown)),
            ("dead", 3, false, Some(ExitBy::Unknown)),
        ] {
            let state = json!({"Status": status, "ExitCode": code, "OOMKilled": oom, "FinishedAt": finished});
            let facts = inspected(json!({ "State": state })).facts;
            let expected = exit.map(|by| Exit { at: at(finished), code, by });
            assert_eq!(facts.exit, expected, "{status} {code} {oom}");
        }
    }

    #[test]
    fn a_container_without_a_health_check_has_no_health() {
        let health = |state: Value| inspected(json!({ "State": state })).facts.health;
        assert_eq!(health(json!({"Health": null})), Health::None);
        assert_eq!(health(json!({"Health": {"Status": "none"}})), Health::None);
        assert_eq!(health(json!({"Health": {"Status": "starting"}})), Health::Starting);
        assert_eq!(health(json!({"Health": {"Status": "healthy"}})), Health::Healthy);
        assert_eq!(health(json!({"Status": "exited"})), Health::Unhealthy);
    }

    #[test]
    fn limits_are_parsed_in_every_form() {
        for (host, cpus, memory) in [
            (json!({"NanoCpus": 0, "Memory": 0}), None, None),
            (json!({"NanoCpus": 0, "CpuQuota": 150_000}), Some(1.5), Some(64 << 20)),
            (json!({"NanoCpus": 0, "CpuQuota": 100_000, "CpuPeriod": 50_000}), Some(2.0), Some(64 << 20)),
            (json!({"NanoCpus": 0, "CpuQuota": -1}), None, Some(64 << 20)),
        ] {
            let limits = inspected(json!({ "HostConfig": host })).facts.limits;
            assert_eq!(limits, Limits { cpus, memory: memory.map(ByteCount) }, "{host}");
        }
    }

    #[test]
    fn compose_swarm_and_network_relations_are_parsed() {
        let Inspected { facts, .. } = inspected(json!({
            "HostConfig": {"NetworkMode": "container:ad16eac5cd4b", "RestartPolicy": {"Name": "unless-stopped"}},
            "Config": {"StopSignal": "SIGQUIT", "Labels": {
                "com.docker.compose.project": "shop", "com.docker.compose.service": "api",
                "com.docker.compose.container-number": "2",
                "com.docker.compose.depends_on": "db:service_healthy:false,cache:service_started:false",
                "com.docker.swarm.service.id": "9x", "com.docker.swarm.service.name": "web",
                "deunhealth.restart.on.unhealthy": "true"
            }}
        }));
        assert_eq!(facts.network_of.as_deref(), Some("ad16eac5cd4b"));
        assert_eq!(facts.restart_policy, RestartPolicy::UnlessStopped);
        let depends_on = vec!["db".to_owned(), "cache".to_owned()];
        let compose = Compose { project: "shop".to_owned(), service: "api".to_owned(), number: Some(2), depends_on };
        assert_eq!(facts.compose, Some(compose));
        assert_eq!(facts.swarm, Some(Swarm { service_id: "9x".to_owned(), service: "web".to_owned() }));
        assert!(facts.labels.contains_key("deunhealth.restart.on.unhealthy"));
    }

    #[test]
    fn a_container_that_never_ran_has_no_start() {
        let facts = inspected(json!({"State": {"Status": "created", "StartedAt": "0001-01-01T00:00:00Z"}})).facts;
        assert_eq!((facts.state, facts.started_at, facts.exit), (State::Created, None, None));
    }

    #[test]
    fn an_answer_without_a_required_field_is_an_error_that_names_it() {
        for (field, missing) in [("Id", "id"), ("Created", "creation time"), ("State", "state")] {
            let mut json = running();
            json.as_object_mut().unwrap().remove(field);
            let error = read(serde_json::from_value(json).unwrap()).unwrap_err();
            assert_eq!(error.to_string(), format!("docker inspect of /api-1 has no usable {missing}"));
        }
    }
}
