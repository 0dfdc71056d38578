//! A TLS server for a test that asks for certificates and forwards everything to the engine's socket.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use tempfile::TempDir;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, UnixStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

/// A certificate authority with a server and a client certificate.
pub struct Authority(TempDir);

impl Authority {
    /// Creates one, with certificates for the server at 127.0.0.1 and for a client.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("hemostat-authority-").tempdir().unwrap();
        let openssl = |arguments: &str| {
            let output = Command::new("openssl").args(arguments.split(' ')).current_dir(folder.path()).output();
            let output = output.expect("this test needs openssl to make certificates");
            assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
        };
        fs::write(folder.path().join("names"), "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n").unwrap();
        openssl("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem");
        for (who, key) in [("server", "server-key.pem"), ("client", "key.pem")] {
            let cert = if who == "client" { "cert.pem" } else { "server.pem" };
            openssl(&format!("req -newkey rsa:2048 -nodes -subj /CN={who} -keyout {key} -out {who}.csr"));
            openssl(&format!(
                "x509 -req -in {who}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out {cert}"
            ));
        }
        Self(folder)
    }

    /// Its directory, with the file names that Docker uses.
    pub fn folder(&self) -> &Path {
        self.0.path()
    }

    pub fn file(&self, name: &str) -> String {
        self.folder().join(name).display().to_string()
    }
}

/// Listens on all addresses of this machine; stops when dropped.
pub struct Server {
    pub port: u16,
    _tasks: JoinSet<()>,
}

impl Server {
    /// With TLS by this authority, or without TLS.
    pub async fn start(authority: Option<&Authority>, socket: PathBuf) -> Self {
        let acceptor = authority.map(|authority| TlsAcceptor::from(Arc::new(config(authority))));
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let (acceptor, socket) = (acceptor.clone(), socket.clone());
                connections.spawn(async move {
                    let Ok(mut engine) = UnixStream::connect(&socket).await else { return };
                    match acceptor {
                        Some(acceptor) => {
                            // It rejects clients that it does not trust.
                            let Ok(mut client) = acceptor.accept(client).await else { return };
                            let _ = copy_bidirectional(&mut client, &mut engine).await;
                        }
                        None => drop(copy_bidirectional(&mut client, &mut engine).await),
                    }
                });
            }
        });
        Self { port, _tasks: tasks }
    }
}

fn config(authority: &Authority) -> ServerConfig {
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let read = |name: &str| CertificateDer::from_pem_file(authority.folder().join(name)).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(read("ca.pem")).unwrap();
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), ring.clone()).build().unwrap();
    ServerConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients)
        .with_single_cert(
            vec![read("server.pem")],
            PrivateKeyDer::from_pem_file(authority.folder().join("server-key.pem")).unwrap(),
        )
        .unwrap()
}
