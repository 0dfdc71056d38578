//! `docker ps`, and the commands on containers.

use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use serde_json::{Value, json};

use super::{
    create,
    query::Query,
    reply::{ApiError, Reply, empty, ok},
    system::IMAGE_SIZE,
};
use crate::{
    counter::whole as rounded,
    engine::{
        container::{Container, Health, Status},
        outcome::{Outcome, Refusal},
        signal::signal_number,
    },
    event::has_label,
    server::shared::Shared,
    time::UnixNanos,
};

pub(super) async fn act(
    shared: &Shared,
    key: &str,
    verb: &str,
    query: &Query,
    body: &Bytes,
) -> Result<Reply, ApiError> {
    let grace = query.grace()?;
    let outcome = match verb {
        "start" => shared.change(|engine, now| engine.start(key, now)),
        "stop" => shared.change(|engine, now| engine.stop(key, grace, now)),
        "restart" => shared.change(|engine, now| engine.restart(key, grace, now)),
        "kill" => {
            let signal = query.get("signal").unwrap_or("KILL");
            let signal = signal_number(signal).ok_or_else(|| ApiError::invalid(format!("Invalid signal: {signal}")))?;
            shared.change(|engine, now| engine.kill(key, signal, now))
        }
        "pause" => shared.change(|engine, now| engine.pause(key, now)),
        "unpause" => shared.change(|engine, now| engine.unpause(key, now)),
        "rename" => {
            let name = query.get("name").ok_or_else(|| ApiError::invalid("Neither old nor new names may be empty"))?;
            shared.change(|engine, now| engine.rename(key, name, now))
        }
        "update" => return create::update(shared, key, body),
        _ => return Err(ApiError::no_page()),
    };
    when_done(shared, outcome).await
}

pub(super) async fn remove(shared: &Shared, key: &str, query: &Query) -> Result<Reply, ApiError> {
    let force = query.flag("force", false);
    let outcome = shared.change(|engine, now| engine.remove(key, force, now));
    when_done(shared, outcome).await
}

/// The response to a command, when it is done.
async fn when_done(shared: &Shared, outcome: Result<Outcome, Refusal>) -> Result<Reply, ApiError> {
    match outcome? {
        Outcome::Done => Ok(empty(StatusCode::NO_CONTENT)),
        Outcome::NoChange => Ok(empty(StatusCode::NOT_MODIFIED)),
        Outcome::Pending(operation) => {
            shared.done(operation).await;
            Ok(empty(StatusCode::NO_CONTENT))
        }
    }
}

pub(super) fn list(shared: &Shared, query: &Query) -> Result<Reply, ApiError> {
    const KNOWN: [&str; 5] = ["label", "name", "id", "status", "health"];
    let filters = query.filters()?;
    if let Some(unknown) = filters.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        return Err(ApiError::invalid(format!("Invalid filter '{unknown}'")));
    }
    let limit: Option<usize> = query.number::<i64>("limit")?.and_then(|limit| usize::try_from(limit).ok());
    let all = query.flag("all", false) || filters.contains_key("status") || limit.is_some_and(|limit| limit > 0);
    let size = query.flag("size", false);
    let fits = |container: &Container| {
        let any = |key: &str, fits: &dyn Fn(&str) -> bool| {
            filters.get(key).is_none_or(|values| values.is_empty() || values.iter().any(|value| fits(value)))
        };
        any("name", &|value| container.name.contains(value.trim_start_matches('/')))
            && any("id", &|value| container.id.as_str().starts_with(value))
            && any("status", &|value| value == <&str>::from(container.status))
            && any("health", &|value| value == container.health().map_or("none", <&str>::from))
            && filters.get("label").is_none_or(|labels| labels.iter().all(|label| has_label(&container.spec, label)))
    };
    Ok(shared.look(|engine, now| {
        let shown =
            engine.containers().filter(|container| all || is_shown(container)).filter(|container| fits(container));
        let shown = shown.take(limit.filter(|limit| *limit > 0).unwrap_or(usize::MAX));
        let summaries: Vec<_> = shown.map(|container| summary(container, size, now)).collect();
        ok(&summaries)
    }))
}

/// Whether `docker ps` shows it without `-a`.
fn is_shown(container: &Container) -> bool {
    matches!(container.status, Status::Running | Status::Paused | Status::Restarting)
}

fn summary(container: &Container, size: bool, now: UnixNanos) -> Value {
    let spec = &container.spec;
    let mut summary = json!({
        "Id": container.id, "Names": [format!("/{}", container.name)], "Image": spec.image, "ImageID": spec.image_id(),
        "Command": spec.command.join(" "), "Created": container.created.seconds(), "Ports": [], "Labels": spec.labels,
        "State": container.status, "Status": status(container, now), "HostConfig": {"NetworkMode": spec.network_mode},
        "NetworkSettings": {"Networks": {}}, "Mounts": []
    });
    if size {
        let layer = rounded(container.counters.layer.at(now));
        summary["SizeRw"] = layer.into();
        summary["SizeRootFs"] = (IMAGE_SIZE + layer).into();
    }
    summary
}

/// The status text of `docker ps`.
fn status(container: &Container, now: UnixNanos) -> String {
    let ago = |since: Option<UnixNanos>| human(since.map_or(Duration::ZERO, |since| now.since(since)));
    let health = match container.health() {
        Some(Health::Starting) => " (health: starting)",
        Some(Health::Healthy) => " (healthy)",
        Some(Health::Unhealthy) => " (unhealthy)",
        None => "",
    };
    match container.status {
        Status::Created => "Created".to_owned(),
        Status::Running => format!("Up {}{health}", ago(container.started)),
        Status::Paused => format!("Up {} (Paused)", ago(container.started)),
        Status::Restarting => format!("Restarting ({}) {} ago", container.exit_code, ago(container.finished)),
        Status::Exited => format!("Exited ({}) {} ago", container.exit_code, ago(container.finished)),
    }
}

/// Like go-units' `HumanDuration`, up to days.
fn human(span: Duration) -> String {
    match span.as_secs() {
        0 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        seconds @ 2..60 => format!("{seconds} seconds"),
        60..120 => "About a minute".to_owned(),
        seconds @ 120..3600 => format!("{} minutes", seconds / 60),
        3600..7200 => "About an hour".to_owned(),
        seconds @ 7200..172_800 => format!("{} hours", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}
