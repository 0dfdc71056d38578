//! Where the Redis is and how to speak to it.

use std::{fmt, path::PathBuf, time::Duration};

use fred::{
    error::ErrorKind,
    types::config::{Config, ServerConfig},
};
use secrecy::{ExposeSecret, SecretString};

use crate::Error;

/// Where the Redis is and how to speak to it. Shows no credentials.
///
/// ```
/// # use hemostat_log::Options;
/// let options = Options::new("redis://keeper:secret@redis.example:6379/2")?.partitions(Some(4));
/// assert_eq!(options.server(), "redis.example:6379");
/// assert!(!format!("{options:?}").contains("secret"));
/// # Ok::<(), hemostat_log::Error>(())
/// ```
#[derive(Clone)]
pub struct Options {
    config: Config,
    partitions: Option<u16>,
    timeout: Duration,
}

impl Options {
    /// From an address: `redis://[user:password@]host[:port][/db]`, the same with `rediss` for TLS, or
    /// `unix://[user:password@]/path/to/socket[?db=n]` (also written `redis+unix`). A user or password with special
    /// characters is percent-encoded.
    ///
    /// # Errors
    /// [`Error::Url`] when it is none of these.
    pub fn new(url: &str) -> Result<Self, Error> {
        let config = match url.split_once("://") {
            Some(("redis" | "rediss" | "valkey" | "valkeys", _)) => parse(url)?,
            Some(("unix" | "redis+unix" | "valkey+unix", rest)) => unix(rest)?,
            Some((scheme, _)) if scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) => {
                return Err(bad(format!("the scheme {scheme} is not supported")));
            }
            _ => return Err(bad("it has no scheme")),
        };
        Ok(Self { config, partitions: None, timeout: Duration::from_secs(5) })
    }

    /// With this password instead of the address's, where one is given.
    #[must_use]
    pub fn password(mut self, password: Option<&SecretString>) -> Self {
        if let Some(password) = password {
            self.config.password = Some(password.expose_secret().to_owned());
        }
        self
    }

    /// With this number of partitions: chosen when the log is created (1 where none is given) and checked ever after.
    #[must_use]
    pub fn partitions(self, partitions: Option<u16>) -> Self {
        Self { partitions, ..self }
    }

    /// With this limit for every call (default 5 s).
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// The address without credentials, for messages.
    pub fn server(&self) -> String {
        match &self.config.server {
            ServerConfig::Unix { path } => path.display().to_string(),
            other => other.hosts().iter().map(|host| format!("{}:{}", host.host, host.port)).collect(),
        }
    }

    pub(crate) fn config(&self) -> Config {
        self.config.clone()
    }

    pub(crate) fn wanted_partitions(&self) -> Option<u16> {
        self.partitions
    }

    pub(crate) fn limit(&self) -> Duration {
        self.timeout
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("server", &self.server())
            .field("tls", &self.config.uses_tls())
            .field("database", &self.config.database)
            .field("partitions", &self.partitions)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

fn bad(reason: impl Into<String>) -> Error {
    Error::Url { reason: reason.into() }
}

/// The client's own parser; what it says may quote the address, so it is not passed on.
fn parse(url: &str) -> Result<Config, Error> {
    Config::from_url(url).map_err(|error| match error.kind() {
        ErrorKind::Tls => bad("the certificates that this machine trusts cannot be loaded"),
        _ => bad("user, password, host, port or database cannot be made out"),
    })
}

/// A socket's address. Its path is taken as it is written, up to a `?`; the client's own parser would encode it.
fn unix(rest: &str) -> Result<Config, Error> {
    let slash = rest.find('/').ok_or_else(|| bad("the path of the socket is missing"))?;
    let (authority, path) = rest.split_at(slash);
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let credentials = authority.rsplit_once('@').map_or("", |(credentials, _)| credentials);
    let database = match query.split_once('=') {
        None if query.is_empty() => None,
        Some(("db", number)) => Some(number.parse().map_err(|_| bad("the database is not a number from 0 to 255"))?),
        _ => return Err(bad("only ?db=n may follow the path of the socket")),
    };
    let config =
        if credentials.is_empty() { Config::default() } else { parse(&format!("redis://{credentials}@socket"))? };
    Ok(Config { server: ServerConfig::Unix { path: PathBuf::from(path) }, database, ..config })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_where_who_and_which_database() {
        let check = |url: &str, server: &str, user: Option<&str>, password: Option<&str>, database: Option<u8>| {
            let options = Options::new(url).unwrap();
            assert_eq!(options.server(), server, "{url}");
            assert_eq!(options.config.username.as_deref(), user, "{url}");
            assert_eq!(options.config.password.as_deref(), password, "{url}");
            assert_eq!(options.config.database, database, "{url}");
            let shown = format!("{options:?}");
            assert!(!shown.contains("s3cret"), "{shown}");
        };
        check("redis://localhost", "localhost:6379", None, None, None);
        check("rediss://:s3cret@host:7000", "host:7000", None, Some("s3cret"), None);
        check("redis://10.0.0.1:7000/3", "10.0.0.1:7000", None, None, Some(3));
        check("redis://:s3cret@host", "host:6379", None, Some("s3cret"), None);
        check("redis://me:s3cret%2F@host:1/0", "host:1", Some("me"), Some("s3cret/"), Some(0));
        check("unix:///var/run/my redis.sock", "/var/run/my redis.sock", None, None, None);
        check("redis+unix:///run/redis.sock?db=2", "/run/redis.sock", None, None, Some(2));
        check("unix://me:s3cret@/run/redis.sock", "/run/redis.sock", Some("me"), Some("s3cret"), None);
    }

    #[test]
    fn a_password_given_apart_wins_and_is_not_shown() {
        let options = Options::new("redis://:old@host").unwrap().password(Some(&"s3cret".into()));
        assert_eq!(options.config.password.as_deref(), Some("s3cret"));
        assert!(!format!("{options:?}").contains("s3cret"));
        assert_eq!(options.password(None).config.password.as_deref(), Some("s3cret"));
    }

    #[test]
    fn what_is_not_an_address_is_refused_without_repeating_it() {
        for (url, says) in [
            ("", "no scheme"),
            ("host:s3cret", "no scheme"),
            ("http://:s3cret@host", "http is not supported"),
            ("redis-cluster://:s3cret@host:1", "redis-cluster is not supported"),
            ("redis://:s3cret@host:port", "cannot be made out"),
            ("redis://:s3cret@host/zero", "cannot be made out"),
            ("redis://:s3cret@host/0/1", "cannot be made out"),
            ("unix://:s3cret@", "path of the socket is missing"),
            ("unix:///run/redis.sock?db=s3cret", "not a number"),
            ("unix:///run/redis.sock?password=s3cret", "only ?db=n"),
        ] {
            let error = Options::new(url).unwrap_err().to_string();
            assert!(error.contains(says), "{url}: {error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
