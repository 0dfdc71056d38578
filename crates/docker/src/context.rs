//! Reads Docker's contexts: the files that `docker context create` and `docker context use` write.
//!
//! ```text
//!  ~/.docker/config.json                            "currentContext": "colima"
//!  ~/.docker/contexts/meta/<sha256 of name>/meta.json   the engine's address
//!  ~/.docker/contexts/tls/<sha256 of name>/docker/      ca.pem, cert.pem, key.pem
//! ```

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::{address::Address, environment::Environment};

/// The name that means "no context".
pub(crate) const DEFAULT: &str = "default";

/// The engine of a context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// Its address.
    pub address: Address,
    /// The directory of its certificates, if it has any.
    pub tls_dir: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default, rename = "currentContext")]
    current_context: Option<String>,
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

/// The file with the context that `docker context use` chose.
pub(crate) fn config_file(docker_config: &Path) -> PathBuf {
    docker_config.join("config.json")
}

/// The context that `docker context use` chose; `None` without one.
///
/// # Errors
/// Why the file, which exists, does not say.
pub(crate) fn current(docker_config: &Path, environment: &dyn Environment) -> Result<Option<String>, String> {
    let file = config_file(docker_config);
    let Some(text) = environment.read(&file) else {
        let exists = environment.exists(&file);
        return if exists { Err(format!("HemoStat's user cannot read {}", file.display())) } else { Ok(None) };
    };
    let text = text.trim_start_matches('\u{feff}');
    let Config { current_context } =
        serde_json::from_str(text).map_err(|error| format!("{} is not valid: {error}", file.display()))?;
    Ok(current_context.filter(|name| !name.is_empty() && name != DEFAULT))
}

/// Reads the context of this name.
///
/// # Errors
/// A text that says what was expected.
pub(crate) fn read(name: &str, docker_config: &Path, environment: &dyn Environment) -> Result<Context, String> {
    let id = Sha256::digest(name.as_bytes()).iter().fold(String::new(), |mut id, byte| {
        // Writing to a String cannot fail.
        let _ = write!(id, "{byte:02x}");
        id
    });
    let meta = docker_config.join("contexts/meta").join(&id).join("meta.json");
    let Some(text) = environment.read(&meta) else {
        let is = if environment.exists(&meta) { "cannot be read by HemoStat's user" } else { "is not there" };
        return Err(format!("a context that `docker context ls` shows; {} {is}", meta.display()));
    };
    let unreadable = |why: String| format!("a context for a Docker engine; {} says otherwise: {why}", meta.display());
    let Meta { endpoints } =
        serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|error| unreadable(error.to_string()))?;
    let address = endpoints.docker.host.parse().map_err(|wrong| unreadable(format!("its Host should be {wrong}")))?;
    let tls = docker_config.join("contexts/tls").join(&id).join("docker");
    let has_certificates = ["ca.pem", "cert.pem", "key.pem"].iter().any(|file| environment.exists(&tls.join(file)));
    Ok(Context { address, tls_dir: has_certificates.then_some(tls) })
}
