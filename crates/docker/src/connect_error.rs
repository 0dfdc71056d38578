//! Explains why an engine could not be reached, and what an operator should check.

use std::{error::Error, io};

use bollard::errors::Error as DockerError;

use crate::{address::Address, link::Link, ssh::SshFailed};

/// Why an engine could not be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectError {
    /// What happened.
    pub reason: String,
    /// What an operator should check.
    pub remedy: &'static str,
}

const NOT_RUNNING: &str = "is dockerd running?";
const ELSEWHERE: &str = "is dockerd running? another address can be set as docker.host or DOCKER_HOST";
const NOT_ALLOWED: &str = "this user may not open the socket: run as a member of its group (docker) or as root";

impl Link {
    /// Explains an error that is not an answer of the engine.
    pub fn explain(&self, error: &DockerError) -> ConnectError {
        let address = self.endpoint().map(|endpoint| &endpoint.address);
        if matches!(error, DockerError::UnsupportedURISchemeError { .. }) {
            let reason = match address {
                Some(Address::Pipe(_)) => "only Windows has named pipes",
                _ => "this kind of address is not supported",
            };
            let remedy = "docker.host should look like unix:///var/run/docker.sock or tcp://10.0.0.5:2375";
            return ConnectError { reason: reason.to_owned(), remedy };
        }
        for cause in causes(error) {
            if let Some(error) = cause.downcast_ref::<rustls::Error>() {
                return ConnectError { reason: error.to_string(), remedy: check_for_tls(error) };
            }
            if let Some(error) = cause.downcast_ref::<SshFailed>() {
                return ConnectError { reason: error.to_string(), remedy: check_for_ssh(&error.0) };
            }
        }
        match (address, io_kind(error)) {
            (Some(Address::Unix(path)), Some(io::ErrorKind::NotFound)) => {
                let missed = self.endpoint().map(|endpoint| &endpoint.missed).into_iter().flatten();
                let others: Vec<_> =
                    missed.filter(|missed| *missed != path).map(|path| path.to_string_lossy()).collect();
                let nor = if others.is_empty() { String::new() } else { format!(", nor {}", others.join(", ")) };
                ConnectError { reason: format!("there is no socket {}{nor}", path.display()), remedy: ELSEWHERE }
            }
            (Some(Address::Unix(_)), Some(io::ErrorKind::PermissionDenied)) => {
                ConnectError { reason: chain(error), remedy: NOT_ALLOWED }
            }
            _ => ConnectError { reason: chain(error), remedy: NOT_RUNNING },
        }
    }
}

fn check_for_tls(error: &rustls::Error) -> &'static str {
    use rustls::{AlertDescription as Alert, CertificateError, Error};
    match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "is docker.tls_ca the authority that signed this engine's certificate?"
        }
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "its certificate is for other names: docker.host must use one of them",
        Error::InvalidCertificate(_) => "its certificate is not valid: look at its dates and uses",
        Error::AlertReceived(
            Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::UnknownCA
            | Alert::CertificateUnknown
            | Alert::CertificateExpired
            | Alert::DecryptError
            | Alert::HandshakeFailure
            | Alert::AccessDenied,
        ) => "it wants a client certificate that it trusts: are docker.tls_cert and docker.tls_key the right ones?",
        Error::InvalidMessage(_) => "does it speak TLS on this port? docker.tls = false connects without TLS",
        _ => "are docker.tls_ca, docker.tls_cert and docker.tls_key the right ones?",
    }
}

fn check_for_ssh(stderr: &str) -> &'static str {
    let says = |text: &str| stderr.to_lowercase().contains(text);
    if says("host key verification failed") {
        "its host key is not known: log in by hand once, or name a known_hosts file in docker.ssh_config"
    } else if says("docker.sock") || says("docker daemon") {
        "does Docker run there, and may this user use it?"
    } else if says("permission denied") {
        "HemoStat logs in by key only: is its key authorised there? docker.ssh_config can name another"
    } else if says("not found") {
        "Docker's client must be installed there: ssh runs `docker system dial-stdio`"
    } else {
        "does `ssh` to it work by hand, without a password?"
    }
}

/// An error and its sources, also those that an I/O error wraps.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> Vec<&'a (dyn Error + 'static)> {
    let mut causes: Vec<&'a (dyn Error + 'static)> = vec![];
    let mut next = Some(error);
    while let Some(cause) = next {
        causes.push(cause);
        let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => cause.source(),
        };
    }
    causes
}

/// The kind of the innermost I/O error, if there is one.
fn io_kind(error: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    causes(error).into_iter().filter_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind).next_back()
}

/// An error and its sources as one line, each text once.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    for part in causes(error).into_iter().map(ToString::to_string) {
        if !parts.iter().any(|earlier| earlier.contains(&part)) {
            parts.push(part);
        }
    }
    parts.join(": ")
}
