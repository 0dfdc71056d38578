//! A real redis-server per test that accepts only TLS, with a user who has only the rights that HemoStat needs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::node::Node;

/// The user's password.
const PASSWORD: &str = "s3cret/with+signs";

/// The Redis ACL rules that HemoStat's documentation names.
const RIGHTS: &str = "~hemostat:* +@read +@write +@connection +@scripting +ping +info +time +wait +config|get";

/// A running redis-server, killed when dropped.
#[derive(Debug)]
pub struct RedisTls {
    node: Node,
    directory: TempDir,
}

impl RedisTls {
    /// Starts one with new certificates and waits until it answers.
    pub async fn start() -> Self {
        let directory = tempfile::Builder::new().prefix("hemostat-tls-").tempdir().unwrap();
        make_certificates(directory.path());
        let file = |name: &str| directory.path().join(name).display().to_string();
        fs::write(
            directory.path().join("users.acl"),
            format!("user default off\nuser keeper on >{PASSWORD} {RIGHTS}\n"),
        )
        .unwrap();
        let mut node =
            Node::over_tls(directory.path().join("server"), ("keeper", PASSWORD), directory.path().join("ca.crt"))
                .with(["--tls-cert-file", &file("redis.crt"), "--tls-key-file", &file("redis.key")])
                .with(["--tls-ca-cert-file", &file("ca.crt"), "--tls-auth-clients", "no"])
                .with(["--aclfile", &file("users.acl")])
                .with(["--save", "", "--appendonly", "yes", "--appendfsync", "always"]);
        node.start().await;
        Self { node, directory }
    }

    /// Its address, without the password.
    pub fn url(&self) -> String {
        format!("rediss://keeper@127.0.0.1:{}", self.node.port())
    }

    /// The user's password.
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// The certificate of the CA that signed its certificate.
    pub fn ca_file(&self) -> PathBuf {
        self.directory.path().join("ca.crt")
    }
}

/// Creates a CA and a certificate for 127.0.0.1.
fn make_certificates(directory: &Path) {
    fs::write(directory.join("names"), "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n").unwrap();
    openssl(directory, "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.crt");
    openssl(directory, "req -newkey rsa:2048 -nodes -subj /CN=redis -keyout redis.key -out redis.csr");
    openssl(
        directory,
        "x509 -req -in redis.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out redis.crt",
    );
}

fn openssl(directory: &Path, arguments: &str) {
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(directory).output();
    let output = output.expect("this test needs openssl to make certificates");
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}
