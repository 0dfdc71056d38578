//! Builds a TLS client configuration from PEM files.
//!
//! The engine's certificate is always verified. HemoStat has one TLS stack: rustls with ring.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject as _},
    },
};

/// The PEM files of a TLS configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Files {
    /// The certificate authority of the engine; `None`: the system's trust store.
    pub ca: Option<PathBuf>,
    /// The client certificate, if the engine asks for one.
    pub cert: Option<PathBuf>,
    /// The private key of the client certificate.
    pub key: Option<PathBuf>,
}

/// One of the files cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    /// Its setting: `tls_ca`, `tls_cert` or `tls_key`.
    pub field: &'static str,
    /// What would be right, as a phrase.
    pub right: String,
}

/// The TLS client configuration of one engine.
#[derive(Debug, Clone)]
pub struct Tls {
    pub(crate) config: Arc<ClientConfig>,
    /// The files it was built from.
    pub files: Files,
}

/// Equal if built from the same files.
impl PartialEq for Tls {
    fn eq(&self, other: &Self) -> bool {
        self.files == other.files
    }
}

impl Tls {
    /// Reads these files.
    ///
    /// # Errors
    /// If a file cannot be read, holds something else, or the key does not belong to the certificate.
    pub fn from_files(files: Files) -> Result<Self, Unusable> {
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(ring)
            .with_safe_default_protocol_versions()
            .expect("ring has what the versions of TLS need")
            .with_root_certificates(roots(files.ca.as_deref())?);
        let config = match (&files.cert, &files.key) {
            (None, None) => builder.with_no_client_auth(),
            (Some(cert), Some(key)) => {
                let chain = certificates("tls_cert", cert)?;
                let secret = pem(key).and_then(|pem| PrivateKeyDer::from_pem_slice(&pem)).map_err(|error| {
                    unusable(
                        "tls_key",
                        format!("a PEM file with a private key that needs no password ({})", reason(&error)),
                    )
                })?;
                builder.with_client_auth_cert(chain, secret).map_err(|error| {
                    unusable("tls_key", format!("the key to the certificate in {} ({error})", cert.display()))
                })?
            }
            (Some(cert), None) => {
                return Err(unusable("tls_key", format!("the file with the key to {}", cert.display())));
            }
            (None, Some(key)) => {
                return Err(unusable("tls_cert", format!("the file with the certificate to {}", key.display())));
            }
        };
        Ok(Self { config: Arc::new(config), files })
    }
}

fn unusable(field: &'static str, right: String) -> Unusable {
    Unusable { field, right }
}

/// A PEM file, without a byte order mark, which would hide its first line.
fn pem(path: &Path) -> Result<Vec<u8>, pem::Error> {
    let mut content = fs::read(path).map_err(pem::Error::Io)?;
    if content.starts_with(BYTE_ORDER_MARK) {
        content.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(content)
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Why a PEM file cannot be read. The errors of its parser show bytes as lists of numbers.
fn reason(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => "it holds none".to_owned(),
        _ => "its text is damaged".to_owned(),
    }
}

fn certificates(field: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    let read = pem(path).and_then(|pem| CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>());
    match read {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(unusable(field, "a PEM file with a certificate (it holds none)".to_owned())),
        Err(error) => Err(unusable(field, format!("a PEM file with a certificate ({})", reason(&error)))),
    }
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, Unusable> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(path) => {
            for certificate in certificates("tls_ca", path)? {
                roots.add(certificate).map_err(|_| {
                    let right = "a PEM file with certificates of authorities (one in it is no X.509 certificate)";
                    unusable("tls_ca", right.to_owned())
                })?;
            }
        }
        None => {
            // Entries of the trust store that do not parse are skipped.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err(unusable(
                    "tls_ca",
                    "a PEM file with its certificate authority, as the trust store of this system is empty".into(),
                ));
            }
        }
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_about_a_pem_file_shows_no_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        for (content, says) in [
            ("", "holds none"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n", "is damaged"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no X.509 certificate"),
        ] {
            fs::write(&path, content).unwrap();
            let Unusable { field, right } = roots(Some(&path)).unwrap_err();
            assert!(field == "tls_ca" && right.contains(says) && !right.contains(['[', '{']), "{content}: {right}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_pem_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        for (content, read) in [("\u{feff}-----BEGIN", "-----BEGIN"), ("-----BEGIN", "-----BEGIN"), ("", "")] {
            fs::write(&path, content).unwrap();
            assert_eq!(pem(&path).unwrap(), read.as_bytes(), "{content}");
        }
    }
}
