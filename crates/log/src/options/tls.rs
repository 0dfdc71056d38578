//! The trusted certificates.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use fred::types::config::TlsConnector;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use crate::Error;

/// The trusted certificates; loaded once, when first needed.
#[derive(Debug)]
pub(super) struct Tls {
    /// The file of the certificates; none for the system's.
    file: Option<PathBuf>,
    connector: OnceLock<TlsConnector>,
}

impl Tls {
    pub fn system() -> Self {
        Self { file: None, connector: OnceLock::new() }
    }

    pub fn from_file(file: &Path) -> Self {
        Self { file: Some(file.to_owned()), connector: OnceLock::new() }
    }

    pub fn connector(&self) -> Result<TlsConnector, Error> {
        if let Some(connector) = self.connector.get() {
            return Ok(connector.clone());
        }
        let roots = self.roots()?;
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring knows the default versions of TLS")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(self.connector.get_or_init(|| config.into()).clone())
    }

    fn roots(&self) -> Result<RootCertStore, Error> {
        let mut roots = RootCertStore::empty();
        let Some(file) = &self.file else {
            // A system certificate that cannot be parsed is not trusted; the others are.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            let none = || untrusted("this machine", "it trusts no certificate; set redis.ca_file");
            return if roots.is_empty() { Err(none()) } else { Ok(roots) };
        };
        let unreadable = |reason: String| untrusted(&format!("redis.ca_file {}", file.display()), &reason);
        let pem = fs::read(file).map_err(|error| unreadable(error.to_string()))?;
        // A byte order mark would hide the first line.
        let pem = pem.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&pem);
        for certificate in CertificateDer::pem_slice_iter(pem) {
            // The texts of these errors show bytes and names of types.
            let certificate = certificate.map_err(|_| unreadable("its text is no valid PEM".to_owned()))?;
            let invalid = |_| unreadable("a certificate in it is no X.509 certificate".to_owned());
            roots.add(certificate).map_err(invalid)?;
        }
        if roots.is_empty() { Err(unreadable("it contains no certificate".to_owned())) } else { Ok(roots) }
    }
}

fn untrusted(whose: &str, reason: &str) -> Error {
    Error::Certificates { whose: whose.to_owned(), reason: reason.to_owned() }
}
