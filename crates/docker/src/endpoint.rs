//! Where an engine is and how a connection to it is made.

use std::{fmt, path::PathBuf};

use crate::{address::Address, tls::Tls};

/// How an engine is reached.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    /// Its address.
    pub address: Address,
    /// The TLS configuration, if the connection uses TLS.
    pub tls: Option<Tls>,
    /// The ssh configuration file; `None`: the user's own.
    pub ssh_config: Option<PathBuf>,
    /// The socket paths that discovery tried in vain before it took this address.
    pub missed: Vec<PathBuf>,
}

impl Endpoint {
    /// This address, without TLS or ssh options.
    pub fn at(address: Address) -> Self {
        Self { address, tls: None, ssh_config: None, missed: vec![] }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}
