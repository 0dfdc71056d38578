//! `docker create` and `docker update`.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use hyper::StatusCode;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::json;

use super::{
    query::Query,
    reply::{ApiError, Reply, json as reply, ok},
};
use crate::{
    server::shared::Shared,
    spec::{ContainerSpec, HealthCheck, RestartPolicy},
};

/// The supported fields of the body of `POST /containers/create`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct CreateBody {
    image: String,
    #[serde(deserialize_with = "or_default")]
    cmd: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    env: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    labels: BTreeMap<String, String>,
    stop_signal: Option<String>,
    stop_timeout: Option<u32>,
    healthcheck: Option<HealthcheckBody>,
    #[serde(deserialize_with = "or_default")]
    host_config: HostConfigBody,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct HealthcheckBody {
    #[serde(deserialize_with = "or_default")]
    test: Vec<String>,
    interval: Option<u64>,
    timeout: Option<u64>,
    start_period: Option<u64>,
    retries: Option<u32>,
}

/// Limits and restart policy; also the body of `POST /containers/{id}/update`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct HostConfigBody {
    memory: Option<u64>,
    nano_cpus: Option<u64>,
    cpu_quota: Option<i64>,
    cpu_period: Option<u64>,
    pids_limit: Option<i64>,
    network_mode: Option<String>,
    restart_policy: Option<RestartPolicyBody>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RestartPolicyBody {
    name: String,
    maximum_retry_count: u32,
}

/// Go serialises empty collections as null.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

pub(super) fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| ApiError::invalid(format!("cannot read the body: {error}")))
}

pub(super) fn create(shared: &Shared, query: &Query, body: &Bytes) -> Result<Reply, ApiError> {
    let requested: CreateBody = read(body)?;
    if requested.image.is_empty() {
        return Err(ApiError::invalid("no image is named"));
    }
    let spec = spec(requested)?;
    let id = shared.change(|engine, now| {
        let name = query.get("name").map_or_else(|| format!("simulated_{}", now.nanos()), str::to_owned);
        engine.create(&name, spec, now)
    })?;
    Ok(reply(StatusCode::CREATED, &json!({"Id": id, "Warnings": []})))
}

pub(super) fn update(shared: &Shared, key: &str, body: &Bytes) -> Result<Reply, ApiError> {
    let requested: HostConfigBody = read(body)?;
    let mut invalid = None;
    let change = |spec: &mut ContainerSpec| {
        let mut changed = spec.clone();
        match set_limits(&mut changed, requested) {
            Ok(()) => *spec = changed,
            Err(problem) => invalid = Some(problem),
        }
    };
    shared.change(|engine, now| engine.update(key, change, now))?;
    match invalid {
        Some(problem) => Err(problem),
        None => Ok(ok(&json!({"Warnings": null}))),
    }
}

fn spec(requested: CreateBody) -> Result<ContainerSpec, ApiError> {
    let CreateBody { image, cmd, env, labels, stop_signal, stop_timeout, healthcheck, host_config } = requested;
    let plain = ContainerSpec::default();
    let mut spec = ContainerSpec {
        image,
        command: if cmd.is_empty() { plain.command.clone() } else { cmd },
        env,
        labels,
        check: healthcheck.and_then(check),
        stop_signal,
        stop_timeout,
        ..plain
    };
    if let Some(mode) = host_config.network_mode.clone().filter(|mode| !mode.is_empty()) {
        spec.network_mode = mode;
    }
    set_limits(&mut spec, host_config)?;
    Ok(spec)
}

fn check(requested: HealthcheckBody) -> Option<HealthCheck> {
    if requested.test.first().is_none_or(|how| how == "NONE") {
        return None;
    }
    let plain = HealthCheck::default();
    let span = |nanos: Option<u64>, default| nanos.filter(|nanos| *nanos > 0).map_or(default, Duration::from_nanos);
    Some(HealthCheck {
        test: requested.test,
        interval: span(requested.interval, plain.interval),
        timeout: span(requested.timeout, plain.timeout),
        start_period: span(requested.start_period, plain.start_period),
        retries: requested.retries.filter(|retries| *retries > 0).unwrap_or(plain.retries),
    })
}

/// Sets the given limits; a limit that is missing or zero does not change.
#[expect(clippy::cast_precision_loss, reason = "a share of CPUs")]
fn set_limits(spec: &mut ContainerSpec, requested: HostConfigBody) -> Result<(), ApiError> {
    spec.memory = requested.memory.filter(|bytes| *bytes > 0).or(spec.memory);
    spec.cpus = requested.nano_cpus.filter(|nanos| *nanos > 0).map(|nanos| nanos as f64 / 1e9).or(spec.cpus);
    if let Some(quota) = requested.cpu_quota.filter(|quota| *quota > 0) {
        let period = requested.cpu_period.filter(|period| *period > 0).unwrap_or(100_000);
        spec.cpus = Some(quota as f64 / period as f64);
    }
    spec.pids = requested.pids_limit.and_then(|pids| u64::try_from(pids).ok()).filter(|pids| *pids > 0).or(spec.pids);
    if let Some(policy) = requested.restart_policy {
        spec.restart = match policy.name.as_str() {
            "" | "no" => RestartPolicy::No,
            "always" => RestartPolicy::Always,
            "unless-stopped" => RestartPolicy::UnlessStopped,
            "on-failure" => RestartPolicy::OnFailure(policy.maximum_retry_count),
            other => return Err(ApiError::invalid(format!("invalid restart policy '{other}'"))),
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_from_docker_clients_is_read() {
        let body = Bytes::from_static(
            br#"{"Image":"web:1","Cmd":null,"Labels":{"a":"b"},"Tty":false,
                "Healthcheck":{"Test":["CMD","/check"],"Interval":500000000,"Retries":1},
                "HostConfig":{"Memory":67108864,"NanoCpus":500000000,"PidsLimit":null,
                              "RestartPolicy":{"Name":"on-failure","MaximumRetryCount":3}}}"#,
        );
        let expected = ContainerSpec {
            image: "web:1".to_owned(),
            env: vec![],
            check: Some(HealthCheck {
                test: vec!["CMD".to_owned(), "/check".to_owned()],
                interval: Duration::from_millis(500),
                retries: 1,
                ..HealthCheck::default()
            }),
            restart: RestartPolicy::OnFailure(3),
            memory: Some(64 << 20),
            cpus: Some(0.5),
            ..ContainerSpec::default()
        }
        .label("a", "b");
        assert_eq!(spec(read(&body).unwrap()).unwrap(), expected);
    }

    #[test]
    fn an_unknown_restart_policy_is_refused() {
        let body = Bytes::from_static(br#"{"RestartPolicy":{"Name":"sometimes"}}"#);
        let ApiError(status, message) = set_limits(&mut ContainerSpec::default(), read(&body).unwrap()).unwrap_err();
        assert_eq!((status, message.as_str()), (StatusCode::BAD_REQUEST, "invalid restart policy 'sometimes'"));
    }
}
