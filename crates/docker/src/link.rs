//! One engine that can be asked: connected when first needed, and by which version of the API is agreed upon then.

use std::{fmt, path::PathBuf, sync::OnceLock, time::Duration};

use bollard::errors::Error;
use tokio::sync::OnceCell;

use crate::{Address, tls::Tls, wire};

/// How an engine is reached.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    /// Where it is.
    pub address: Address,
    /// How TLS is spoken, where it is.
    pub tls: Option<Tls>,
    /// What ssh is configured by, where it is not by the user's own file.
    pub ssh_config: Option<PathBuf>,
    /// Which sockets were looked for in vain before this one was taken.
    pub missed: Vec<PathBuf>,
}

impl Endpoint {
    /// At this address, without more.
    pub fn at(address: Address) -> Self {
        Self { address, tls: None, ssh_config: None, missed: vec![] }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

/// An engine that can be asked.
#[derive(Debug)]
pub struct Link {
    /// None where what was said is no address.
    endpoint: Option<Endpoint>,
    name: String,
    limit: Duration,
    wire: OnceLock<bollard::Docker>,
    client: OnceCell<bollard::Docker>,
}

impl Link {
    /// To the engine at `endpoint`, each answer within `limit`. Nothing is connected yet.
    pub fn new(endpoint: Endpoint, limit: Duration) -> Self {
        let name = endpoint.to_string();
        Self { endpoint: Some(endpoint), name, limit, wire: OnceLock::new(), client: OnceCell::new() }
    }

    /// To the engine at this address. What cannot be an address is told by the first question.
    pub fn to(address: impl Into<String>, limit: Duration) -> Self {
        let name = address.into();
        let endpoint = name.parse().ok().map(Endpoint::at);
        Self { endpoint, name, limit, wire: OnceLock::new(), client: OnceCell::new() }
    }

    /// Where it is, for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How long an answer may take.
    pub fn limit(&self) -> Duration {
        self.limit
    }

    pub(crate) fn endpoint(&self) -> Option<&Endpoint> {
        self.endpoint.as_ref()
    }

    /// The client, once the version of the API is agreed upon. Its own deadline is a little beyond `limit`, which is for
    /// the caller to keep.
    ///
    /// # Errors
    /// When nobody answers there, or what was said is no address.
    pub async fn client(&self) -> Result<&bollard::Docker, Error> {
        let connect = || async {
            let wire = match self.wire.get() {
                Some(wire) => wire,
                None => {
                    let Some(endpoint) = &self.endpoint else {
                        return Err(Error::UnsupportedURISchemeError { uri: self.name.clone() });
                    };
                    let wire = wire::client(endpoint, self.limit)?;
                    self.wire.get_or_init(|| wire)
                }
            };
            wire.clone().negotiate_version().await
        };
        self.client.get_or_try_init(connect).await
    }
}
