//! Reaches this machine's real engine through a TLS server that asks for certificates, and through a real sshd.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly, in its helpers, too")]

mod over_ssh;
mod over_tls;
mod sshd;
mod tls;

use std::time::Duration;

use hemostat_docker::{ConnectError, Host, Link, SystemEnvironment};
use hemostat_settings::{Config, Input};

/// The engine's own socket.
fn socket() -> String {
    let host = std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
    let host = host.unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned());
    host.strip_prefix("unix://").expect("these tests need a Docker engine behind a socket of this machine").to_owned()
}

/// The hosts of a configuration, or why it is refused.
fn hosts(settings: &[(&str, String)]) -> Result<Vec<Host>, String> {
    let overrides = settings.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    let config = Config::load(&Input { overrides, ..Input::default() }).map_err(|error| error.to_string())?;
    hemostat_docker::hosts(&config, &SystemEnvironment).map_err(|error| error.to_string())
}

/// The engine of a configuration of one host.
fn link(settings: &[(&str, String)]) -> Link {
    let [host] = hosts(settings).unwrap().try_into().unwrap();
    Link::new(host.endpoint, Duration::from_secs(20))
}

/// The engine's id, read over this link.
async fn name(link: &Link) -> Result<String, ConnectError> {
    let ask = async { link.client().await?.info().await };
    ask.await.map(|info| info.id.unwrap()).map_err(|error| link.explain(&error))
}

/// The engine's id, read over its own socket.
async fn true_name() -> String {
    name(&link(&[("docker.host", format!("unix://{}", socket()))])).await.unwrap()
}
