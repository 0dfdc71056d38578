//! The link to one engine: connects at the first request and negotiates the API version once.

use std::{sync::OnceLock, time::Duration};

use bollard::errors::Error;
use tokio::sync::OnceCell;

use crate::{endpoint::Endpoint, transport::Transport};

/// A lazy connection to one engine.
#[derive(Debug)]
pub struct Link {
    /// `None` if the text that was given is no address.
    endpoint: Option<Endpoint>,
    name: String,
    timeout: Duration,
    transport: OnceLock<Transport>,
    client: OnceCell<bollard::Docker>,
}

impl Link {
    /// Connects nothing yet. `timeout` is how long an answer may take.
    pub fn new(endpoint: Endpoint, timeout: Duration) -> Self {
        Self::to(endpoint.to_string(), Some(endpoint), timeout)
    }

    /// The same for an address as text. An invalid address is reported by the first request.
    pub fn to_address(address: impl Into<String>, timeout: Duration) -> Self {
        let name = address.into();
        let endpoint = name.parse().ok().map(Endpoint::at);
        Self::to(name, endpoint, timeout)
    }

    fn to(name: String, endpoint: Option<Endpoint>, timeout: Duration) -> Self {
        Self { endpoint, name, timeout, transport: OnceLock::new(), client: OnceCell::new() }
    }

    /// The address, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How long an answer may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(crate) fn endpoint(&self) -> Option<&Endpoint> {
        self.endpoint.as_ref()
    }

    /// Docker's client, after it has negotiated the API version. The client's own deadline is a little beyond `timeout`,
    /// which the caller enforces.
    ///
    /// # Errors
    /// If the engine does not answer, or the address is invalid.
    pub async fn client(&self) -> Result<&bollard::Docker, Error> {
        self.client.get_or_try_init(|| async { self.transport()?.client.clone().negotiate_version().await }).await
    }

    /// The body that the engine answers to `GET path`, as bytes.
    pub(crate) async fn get(&self, path: &str) -> Result<Vec<u8>, Error> {
        let version = self.client().await?.client_version();
        self.transport()?.get(&format!("/v{version}{path}")).await
    }

    fn transport(&self) -> Result<&Transport, Error> {
        if let Some(transport) = self.transport.get() {
            return Ok(transport);
        }
        let Some(endpoint) = &self.endpoint else {
            return Err(Error::UnsupportedURISchemeError { uri: self.name.clone() });
        };
        let transport = Transport::new(endpoint, self.timeout)?;
        Ok(self.transport.get_or_init(|| transport))
    }
}
