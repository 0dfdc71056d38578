//! Resolves each configured host to the endpoint of its engine, from the configuration, Docker's contexts and discovery,
//! and checks it before anything starts.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use hemostat_schema::HostName;
use hemostat_settings::{self, Config, Watched};

use crate::{
    address::{Address, NotAnAddress},
    discover::{self, Found},
    endpoint::Endpoint,
    environment::Environment,
    tls::{Files, Tls},
};

/// A monitored host.
#[derive(Debug, Clone, PartialEq)]
pub struct Host {
    /// Its name.
    pub name: HostName,
    /// The endpoint of its engine.
    pub endpoint: Endpoint,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Where the endpoint comes from, as a phrase after "from".
    pub why: String,
}

/// Every configured host.
///
/// # Errors
/// If an address is invalid, a context does not exist, or a certificate cannot be used. The error names the key, its
/// value, where it was set and what would be right.
pub fn hosts(config: &Config, environment: &dyn Environment) -> Result<Vec<Host>, hemostat_settings::Error> {
    config.watched().iter().map(|watched| Resolver { config, watched, environment }.host()).collect()
}

/// Resolves one host.
struct Resolver<'a> {
    config: &'a Config,
    watched: &'a Watched,
    environment: &'a dyn Environment,
}

impl Resolver<'_> {
    fn host(&self) -> Result<Host, hemostat_settings::Error> {
        let Found { address, tls_dir, why, missed } = self.find()?;
        let tls = self.tls(&address, tls_dir)?;
        // With the port in effect, so that it is shown.
        let address = match address {
            Address::Tcp { host, port, tls: scheme } => {
                Address::Tcp { host, port: Some(Address::port(port, tls.is_some())), tls: scheme }
            }
            local @ (Address::Unix(_) | Address::Pipe(_) | Address::Ssh { .. }) => local,
        };
        let ssh_config = self.ssh_config(&address)?;
        let why = match &tls {
            Some(tls) => format!("{why}, over TLS{}", certificates(&tls.files)),
            None => why,
        };
        let endpoint = Endpoint { address, tls, ssh_config, missed };
        Ok(Host { name: self.watched.name.clone(), endpoint, timeout: self.watched.docker.timeout, why })
    }

    fn wrong(&self, field: &str, right: impl Into<String>) -> hemostat_settings::Error {
        self.config.wrong(self.watched, field, right)
    }

    /// By address, else by context, else by discovery: the order of Docker's own client.
    fn find(&self) -> Result<Found, hemostat_settings::Error> {
        let docker = &self.watched.docker;
        if let Some(address) = &docker.host {
            let said = self.config.said(self.watched, "docker");
            let address = address.parse().map_err(|right: NotAnAddress| self.wrong("docker", right.to_string()))?;
            let why = format!("{} ({})", said.key, said.origin);
            return Ok(Found { address, tls_dir: None, why, missed: vec![] });
        }
        match &docker.context {
            Some(name) => {
                let found =
                    discover::by_context(name, self.environment).map_err(|right| self.wrong("context", right))?;
                Ok(found.unwrap_or_else(|| discover::by_socket(self.environment)))
            }
            None => discover::find(self.environment).map_err(|right| self.wrong("context", right)),
        }
    }

    /// TLS if the scheme says so, or if the scheme leaves it open and there are certificates.
    fn tls(&self, address: &Address, of_context: Option<PathBuf>) -> Result<Option<Tls>, hemostat_settings::Error> {
        let docker = &self.watched.docker;
        let Address::Tcp { tls: scheme, .. } = address else {
            let own = ["tls_dir", "tls_ca", "tls_cert", "tls_key"].into_iter().find(|field| self.watched.says(field));
            return match own {
                Some(field) => Err(self.wrong(field, format!("left out: {address} is not reached over TLS"))),
                None => Ok(None),
            };
        };
        let files = [&docker.tls_dir, &docker.tls_ca, &docker.tls_cert, &docker.tls_key];
        let has_files = of_context.is_some() || files.iter().any(|file| file.is_some());
        let wanted = scheme.or(docker.tls).unwrap_or(has_files);
        if *scheme == Some(false) && (docker.tls == Some(true) || files.iter().any(|file| file.is_some())) {
            return Err(self.wrong("docker", "an address that begins with tcp:// or https://, as TLS is asked for"));
        }
        if !wanted {
            return Ok(None);
        }
        let files = self.files(of_context)?;
        Tls::from_files(files).map(Some).map_err(|unusable| self.wrong(unusable.field, unusable.right))
    }

    /// The certificate files: each configured by itself, or from a directory; by default from Docker's own, as its client does.
    fn files(&self, of_context: Option<PathBuf>) -> Result<Files, hemostat_settings::Error> {
        let docker = &self.watched.docker;
        let single = Files { ca: docker.tls_ca.clone(), cert: docker.tls_cert.clone(), key: docker.tls_key.clone() };
        let folder = match (&docker.tls_dir, of_context) {
            (Some(folder), _) => Some(folder.clone()),
            (None, Some(folder)) => Some(folder),
            (None, None) if single == Files::default() => discover::docker_config(self.environment),
            (None, None) => None,
        };
        let Some(folder) = folder else { return Ok(single) };
        let inside = |name: &str| Some(folder.join(name)).filter(|path| self.environment.exists(path));
        let found = Files { ca: inside("ca.pem"), cert: inside("cert.pem"), key: inside("key.pem") };
        if docker.tls_dir.is_some() && found == Files::default() {
            return Err(self.wrong("tls_dir", "a directory with ca.pem, cert.pem and key.pem, or some of them"));
        }
        Ok(Files {
            ca: single.ca.or(found.ca),
            // A certificate and its key come from the same source.
            cert: if single.key.is_some() { single.cert } else { single.cert.clone().or(found.cert) },
            key: if docker.tls_cert.is_some() { single.key } else { single.key.or(found.key) },
        })
    }

    fn ssh_config(&self, address: &Address) -> Result<Option<PathBuf>, hemostat_settings::Error> {
        match &self.watched.docker.ssh_config {
            Some(path) if matches!(address, Address::Ssh { .. }) => {
                if self.environment.read(path).is_none() {
                    return Err(self.wrong("ssh_config", "a file that this user can read"));
                }
                Ok(Some(path.clone()))
            }
            _ => Ok(None),
        }
    }
}

/// The certificate files, for the log.
fn certificates(files: &Files) -> String {
    let file =
        |what: &str, path: &Option<PathBuf>| path.as_deref().map(|path: &Path| format!("{what} {}", path.display()));
    let said: Vec<_> =
        [file("trusting", &files.ca), file("with the certificate", &files.cert)].into_iter().flatten().collect();
    if said.is_empty() { String::new() } else { format!(" ({})", said.join(", ")) }
}

#[cfg(test)]
mod tests {
    use hemostat_settings::Input;

    use super::*;
    use crate::discover::tests::{FakeEnvironment, machine};

    fn read(settings: &[(&str, &str)], environment: &FakeEnvironment) -> Result<Vec<Host>, String> {
        let overrides = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let input = Input { overrides, ..Input::default() };
        let config = Config::load(&input).map_err(|error| error.to_string())?;
        hosts(&config, environment).map_err(|error| error.to_string())
    }

    fn home(files: &[(&str, &str)]) -> FakeEnvironment {
        machine(&[("HOME", "/home/me")], files)
    }

    #[test]
    fn the_configured_address_wins_over_the_context_and_the_context_over_discovery() {
        let meta =
            "/home/me/.docker/contexts/meta/f24fd3749c1368328e2b149bec149cb6795619f244c5b584e844961215dadd16/meta.json";
        let environment = home(&[
            ("/home/me/.docker/config.json", r#"{"currentContext": "colima"}"#),
            (meta, r#"{"Endpoints": {"docker": {"Host": "unix:///home/me/colima.sock"}}}"#),
            ("/var/run/docker.sock", ""),
        ]);
        for (settings, address, why) in [
            (
                vec![("docker.host", "unix:///a.sock"), ("docker.context", "colima")],
                "unix:///a.sock",
                "docker.host (command line)",
            ),
            (vec![("docker.context", "colima")], "unix:///home/me/colima.sock", "the Docker context colima"),
            (vec![], "unix:///home/me/colima.sock", "the Docker context colima, which is in use"),
            (
                vec![("docker.context", "default")],
                "unix:///var/run/docker.sock",
                "the first socket that exists, Docker's",
            ),
            (vec![("hosts", "web=ssh://me@web")], "ssh://me@web", "hosts[0].docker (command line)"),
            (vec![("docker.host", "tcp://localhost")], "tcp://localhost:2375", "docker.host (command line)"),
            (vec![("docker.host", ":2375")], "tcp://localhost:2375", "docker.host (command line)"),
            (
                vec![("hosts", "here="), ("docker.host", "unix:///a.sock")],
                "unix:///a.sock",
                "docker.host (command line)",
            ),
        ] {
            let [host] = read(&settings, &environment).unwrap().try_into().unwrap();
            assert_eq!((host.endpoint.to_string().as_str(), host.why.as_str()), (address, why), "{settings:?}");
        }
    }

    #[test]
    fn hosts_keep_their_order_and_names() {
        let hosts = read(&[("hosts", "web=tcp://a:1,db=ssh://db"), ("host", "here")], &home(&[])).unwrap();
        let names: Vec<_> = hosts.iter().map(|host| format!("{} {}", host.name, host.endpoint)).collect();
        assert_eq!(names, ["web tcp://a:1", "db ssh://db"]);
    }

    #[test]
    fn an_unusable_setting_is_refused_with_key_value_origin_and_what_would_be_right() {
        let deleted = ("/home/me/.docker/config.json", r#"{"currentContext": "deleted"}"#);
        let environment = home(&[("/certs/cert.pem", ""), ("/certs/key.pem", ""), deleted]);
        for (settings, says) in [
            (vec![("docker.host", "gopher://x")], "docker.host = \"gopher://x\" (from command line) is not right"),
            (vec![("hosts", "a=tcp://b")], ""),
            (vec![("hosts", "a=gopher://b")], "hosts[0].docker = \"gopher://b\" (from command line) is not right"),
            (vec![("docker.context", "nope")], "docker.context = \"nope\" (from command line) is not right"),
            (vec![("docker.context", "")], "docker.context = \"\" (from command line) is not right"),
            (vec![("docker.context", "default")], ""),
            (
                vec![("docker.host", "tcp://a"), ("docker.tls_dir", "/empty")],
                "docker.tls_dir = \"/empty\" (from command line) is not right; right would be a directory with ca.pem",
            ),
            (
                vec![("docker.host", "http://a"), ("docker.tls", "true")],
                "docker.host = \"http://a\" (from command line) is not right; right would be an address that begins with tcp://",
            ),
            (
                vec![("docker.host", "tcp://a"), ("docker.tls_ca", "/nonexistent.pem")],
                "docker.tls_ca = \"/nonexistent.pem\" (from command line) is not right; right would be a PEM file",
            ),
            (
                vec![("docker.host", "ssh://a"), ("docker.ssh_config", "/nonexistent")],
                "docker.ssh_config = \"/nonexistent\" (from command line) is not right; right would be a file",
            ),
        ] {
            match read(&settings, &environment) {
                Ok(_) => assert!(says.is_empty(), "{settings:?} is accepted"),
                Err(error) => assert!(!says.is_empty() && error.contains(says), "{settings:?}: {error}"),
            }
        }
    }

    #[test]
    fn certificates_come_from_the_configured_place() {
        let environment = home(&[
            ("/home/me/.docker/ca.pem", ""),
            ("/certs/ca.pem", ""),
            ("/certs/cert.pem", ""),
            ("/certs/key.pem", ""),
        ]);
        let files = |settings: &[(&str, &str)], of_context: Option<&str>| {
            let overrides = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            let config = Config::load(&Input { overrides, ..Input::default() }).unwrap();
            let [watched] = config.watched().try_into().unwrap();
            let resolver = Resolver { config: &config, watched: &watched, environment: &environment };
            let Files { ca, cert, key } = resolver.files(of_context.map(PathBuf::from)).unwrap();
            [ca, cert, key].map(|path| path.map(|path| path.display().to_string()).unwrap_or_default())
        };
        let all = ["/certs/ca.pem", "/certs/cert.pem", "/certs/key.pem"];
        assert_eq!(files(&[("docker.tls_dir", "/certs")], None), all);
        assert_eq!(files(&[], Some("/certs")), all);
        assert_eq!(files(&[], None), ["/home/me/.docker/ca.pem", "", ""], "as Docker does");
        assert_eq!(files(&[("docker.tls_ca", "/ca")], None), ["/ca", "", ""]);
        let own = [("docker.tls_dir", "/certs"), ("docker.tls_cert", "/c"), ("docker.tls_key", "/k")];
        assert_eq!(files(&own, None), ["/certs/ca.pem", "/c", "/k"]);
        assert_eq!(files(&own[..2], None), ["/certs/ca.pem", "/c", ""], "a key is for one certificate only");
    }
}
