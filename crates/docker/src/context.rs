//! Docker's own contexts: what `docker context create` and `docker context use` wrote down.
//!
//! ```text
//!  ~/.docker/config.json                            "currentContext": "colima"
//!  ~/.docker/contexts/meta/<sha256 of name>/meta.json   where it is
//!  ~/.docker/contexts/tls/<sha256 of name>/docker/      ca.pem, cert.pem, key.pem
//! ```

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::{Address, discover::Surroundings};

/// The context that stands for "no context".
pub(crate) const DEFAULT: &str = "default";

/// Where a context says that an engine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// Its address.
    pub address: Address,
    /// Where its certificates are, where it has any.
    pub tls_dir: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default, rename = "currentContext")]
    current_context: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Meta {
    endpoints: Endpoints,
}

#[derive(Deserialize)]
struct Endpoints {
    docker: Endpoint,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Endpoint {
    host: String,
}

/// Which context `docker context use` chose; none where that is none, or cannot be read.
pub(crate) fn current(docker_config: &Path, world: &dyn Surroundings) -> Option<String> {
    let text = world.read(&docker_config.join("config.json"))?;
    let Config { current_context } = serde_json::from_str(&text).ok()?;
    Some(current_context).filter(|name| !name.is_empty() && name != DEFAULT)
}

/// What the context of this name says.
///
/// # Errors
/// In words: what there should be.
pub(crate) fn read(name: &str, docker_config: &Path, world: &dyn Surroundings) -> Result<Context, String> {
    let id = Sha256::digest(name.as_bytes()).iter().fold(String::new(), |mut id, byte| {
        // Writing to a String cannot fail.
        let _ = write!(id, "{byte:02x}");
        id
    });
    let meta = docker_config.join("contexts/meta").join(&id).join("meta.json");
    let Some(text) = world.read(&meta) else {
        return Err(format!("a context that `docker context ls` shows; {} is not there", meta.display()));
    };
    let unreadable = |why: String| format!("a context for a Docker engine; {} says otherwise: {why}", meta.display());
    let Meta { endpoints } = serde_json::from_str(&text).map_err(|error| unreadable(error.to_string()))?;
    let address = endpoints.docker.host.parse().map_err(|wrong| unreadable(format!("its Host should be {wrong}")))?;
    let tls = docker_config.join("contexts/tls").join(&id).join("docker");
    let has_certificates = ["ca.pem", "cert.pem", "key.pem"].iter().any(|file| world.exists(&tls.join(file)));
    Ok(Context { address, tls_dir: has_certificates.then_some(tls) })
}
