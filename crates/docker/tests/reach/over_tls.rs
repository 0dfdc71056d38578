//! Connections over TLS, with right and wrong certificates.

use hemostat_docker::ConnectError;

use crate::{
    hosts, link, name, socket,
    tls::{Authority, Server},
    true_name,
};

#[tokio::test]
async fn the_engine_answers_a_trusted_client() {
    let authority = Authority::new();
    let server = Server::start(Some(&authority), socket().into()).await;
    let folder = authority.folder().display().to_string();
    for (scheme, settings) in [
        ("tcp", vec![("docker.tls_dir", folder.clone())]),
        (
            "https",
            vec![
                ("docker.tls_ca", authority.file("ca.pem")),
                ("docker.tls_cert", authority.file("cert.pem")),
                ("docker.tls_key", authority.file("key.pem")),
            ],
        ),
    ] {
        let address = ("docker.host", format!("{scheme}://127.0.0.1:{}", server.port));
        let link = link(&[vec![address], settings].concat());
        for _ in 0..3 {
            assert_eq!(name(&link).await.unwrap(), true_name().await, "{scheme}");
        }
    }
}

#[tokio::test]
async fn a_failed_handshake_says_what_to_check() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let server = Server::start(Some(&ours), socket().into()).await;
    let plain = Server::start(None, socket().into()).await;
    let by = |port: u16, host: &str, ca: &Authority, client: Option<&Authority>| {
        let mut settings =
            vec![("docker.host", format!("https://{host}:{port}")), ("docker.tls_ca", ca.file("ca.pem"))];
        if let Some(client) = client {
            settings.push(("docker.tls_cert", client.file("cert.pem")));
            settings.push(("docker.tls_key", client.file("key.pem")));
        }
        link(&settings)
    };
    for (what, link, remedy) in [
        ("no certificate", by(server.port, "127.0.0.1", &ours, None), "wants a client certificate that it trusts"),
        (
            "a stranger's",
            by(server.port, "127.0.0.1", &ours, Some(&theirs)),
            "wants a client certificate that it trusts",
        ),
        ("a strange engine", by(server.port, "127.0.0.1", &theirs, Some(&ours)), "is docker.tls_ca the authority"),
        ("another name", by(server.port, "127.0.0.2", &ours, Some(&ours)), "its certificate is for other names"),
        ("no TLS there", by(plain.port, "127.0.0.1", &ours, Some(&ours)), "does it speak TLS on this port?"),
    ] {
        let ConnectError { reason, remedy: said } = name(&link).await.unwrap_err();
        assert!(said.contains(remedy), "{what}: {reason}; {said}");
    }
    // Without TLS, to a server without it and to one with it.
    let open = link(&[("docker.host", format!("tcp://127.0.0.1:{}", plain.port))]);
    assert_eq!(name(&open).await.unwrap(), true_name().await);
    let closed = link(&[("docker.host", format!("tcp://127.0.0.1:{}", server.port))]);
    assert!(name(&closed).await.is_err());
}

#[test]
fn unusable_certificates_are_refused_before_anything_starts() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    for (settings, says) in [
        (vec![("docker.tls_ca", ours.file("none.pem"))], "docker.tls_ca = "),
        (vec![("docker.tls_ca", ours.file("names"))], "right would be a PEM file with a certificate (it holds none)"),
        (vec![("docker.tls_cert", ours.file("cert.pem"))], "docker.tls_key = \"\" (from default) is not right"),
        (vec![("docker.tls_key", ours.file("key.pem"))], "docker.tls_cert = \"\" (from default) is not right"),
        (
            vec![("docker.tls_cert", ours.file("cert.pem")), ("docker.tls_key", theirs.file("key.pem"))],
            "right would be the key to the certificate in ",
        ),
        (
            vec![("docker.tls_cert", ours.file("cert.pem")), ("docker.tls_key", ours.file("cert.pem"))],
            "right would be a PEM file with a private key",
        ),
    ] {
        let host = vec![("docker.host", "tcp://127.0.0.1:1".to_owned()), ("docker.tls_ca", ours.file("ca.pem"))];
        let error = hosts(&[host, settings].concat()).unwrap_err();
        assert!(error.contains(says), "{says}: {error}");
    }
}
