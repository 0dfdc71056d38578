//! The address of Redis and the options of its connections.

mod address;
mod tls;

use std::{fmt, path::Path, sync::Arc, time::Duration};

use fred::types::config::{Config, Server, ServerConfig};
use secrecy::{ExposeSecret, SecretString};

pub(crate) use self::address::{Deployment, Place};
use self::{address::Address, tls::Tls};
use crate::{Durability, Error};

/// Gives a password as it is now; called at each connect.
pub type ReadPassword = Arc<dyn Fn() -> SecretString + Send + Sync>;

/// The address of Redis and the options of its connections. `Debug` shows no credentials.
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
    address: Address,
    rotating_password: Option<ReadPassword>,
    sentinel_password: Option<String>,
    rotating_sentinel_password: Option<ReadPassword>,
    tls: Option<Arc<Tls>>,
    partitions: Option<u16>,
    durability: Durability,
    timeout: Duration,
}

impl Options {
    /// From an address:
    ///
    /// | address | what |
    /// |---|---|
    /// | `redis://[user:password@]host[:port][/db]` | one server |
    /// | `unix://[user:password@]/path/to/socket[?db=n]`, also `redis+unix` | one server on this machine |
    /// | `redis-cluster://[user:password@]host:port,host:port` | a cluster, by some of its nodes |
    /// | `redis-sentinel://[user:password@]host:port,host:port/master[/db]` | the server that these sentinels call `master` |
    ///
    /// `rediss`, `rediss-cluster` and `rediss-sentinel` are the same with TLS; for each there is one with `valkey`
    /// (with TLS `valkeys`). A user or password with special characters is percent-encoded.
    ///
    /// # Errors
    /// [`Error::Url`] if it is none of these.
    pub fn new(url: &str) -> Result<Self, Error> {
        let (address, encrypted) = Address::parse(url)?;
        Ok(Self {
            address,
            rotating_password: None,
            sentinel_password: None,
            rotating_sentinel_password: None,
            tls: encrypted.then(|| Arc::new(Tls::system())),
            partitions: None,
            durability: Durability::default(),
            timeout: Duration::from_secs(5),
        })
    }

    /// Replaces the address's password, if one is given.
    #[must_use]
    pub fn password(mut self, password: Option<&SecretString>) -> Self {
        if let Some(password) = password {
            self.address.password = Some(password.expose_secret().to_owned());
        }
        self
    }

    /// The password of the sentinels, which is separate from the master's; none if they require none.
    #[must_use]
    pub fn sentinel_password(self, password: Option<&SecretString>) -> Self {
        Self { sentinel_password: password.map(|password| password.expose_secret().to_owned()), ..self }
    }

    /// Passwords that may be rotated: of the server, instead of the address's, and of the sentinels. Each is read at
    /// every connect, so a new one is used without a restart.
    #[must_use]
    pub fn rotating_passwords(self, server: Option<ReadPassword>, sentinels: Option<ReadPassword>) -> Self {
        Self { rotating_password: server, rotating_sentinel_password: sentinels, ..self }
    }

    /// Trusts the certificates of this PEM file instead of the system's, if one is given and the address uses TLS.
    #[must_use]
    pub fn ca_file(self, file: Option<&Path>) -> Self {
        let tls = self.tls.map(|system| file.map_or(system, |file| Arc::new(Tls::from_file(file))));
        Self { tls, ..self }
    }

    /// The number of partitions: chosen when the log is created (default 1) and checked at each later connect.
    #[must_use]
    pub fn partitions(self, partitions: Option<u16>) -> Self {
        Self { partitions, ..self }
    }

    /// The durability that the server must be able to provide; checked at connect.
    #[must_use]
    pub fn durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }

    /// The time limit of every call (default 5 s).
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// The address without credentials, for messages.
    pub fn server(&self) -> String {
        self.address.deployment.to_string()
    }

    pub(crate) fn deployment(&self) -> &Deployment {
        &self.address.deployment
    }

    /// The client's configuration for the server at `place`.
    pub(crate) fn config(&self, place: &Place) -> Result<Config, Error> {
        let Address { user, password, database, .. } = &self.address;
        Ok(Config {
            username: user.clone(),
            password: now(&self.rotating_password).or_else(|| password.clone()),
            database: *database,
            ..self.without_login(place)?
        })
    }

    /// The client's configuration for the sentinel at `place`.
    pub(crate) fn sentinel_config(&self, place: &Place) -> Result<Config, Error> {
        let password = now(&self.rotating_sentinel_password).or_else(|| self.sentinel_password.clone());
        Ok(Config { password, ..self.without_login(place)? })
    }

    fn without_login(&self, place: &Place) -> Result<Config, Error> {
        let server = match place {
            Place::Socket(path) => ServerConfig::Unix { path: path.clone() },
            Place::Host { host, port } => ServerConfig::Centralized { server: Server::new(host.clone(), *port) },
        };
        let tls = self.tls.as_ref().map(|tls| tls.connector()).transpose()?;
        Ok(Config { server, tls: tls.map(Into::into), ..Config::default() })
    }

    pub(crate) fn wanted_partitions(&self) -> Option<u16> {
        self.partitions
    }

    pub(crate) fn wanted_durability(&self) -> Durability {
        self.durability
    }

    pub(crate) fn limit(&self) -> Duration {
        self.timeout
    }
}

fn now(password: &Option<ReadPassword>) -> Option<String> {
    password.as_ref().map(|read| read().expose_secret().to_owned())
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("server", &self.server())
            .field("tls", &self.tls)
            .field("database", &self.address.database)
            .field("partitions", &self.partitions)
            .field("durability", &self.durability)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_separate_password_wins_and_is_not_shown() {
        let options = Options::new("redis://:old@host").unwrap().password(Some(&"s3cret".into()));
        assert_eq!(options.address.password.as_deref(), Some("s3cret"));
        assert!(!format!("{options:?}").contains("s3cret"));
        assert_eq!(options.password(None).address.password.as_deref(), Some("s3cret"));
    }

    #[test]
    fn a_sentinel_gets_its_own_password_and_never_the_masters() {
        let options = Options::new("redis-sentinel://me:s3cret@a/master/3").unwrap();
        let place = Place::Host { host: "a".into(), port: 1 };
        let login = |config: Config| (config.username, config.password, config.database);
        assert_eq!(login(options.sentinel_config(&place).unwrap()), (None, None, None));
        let options = options.sentinel_password(Some(&"sesame".into()));
        assert_eq!(login(options.sentinel_config(&place).unwrap()), (None, Some("sesame".into()), None));
        assert_eq!(login(options.config(&place).unwrap()), (Some("me".into()), Some("s3cret".into()), Some(3)));
    }

    #[test]
    fn a_rotated_password_is_used_at_the_next_connect() {
        let place = Place::Host { host: "a".into(), port: 1 };
        let current = Arc::new(std::sync::Mutex::new("old"));
        let read = Arc::clone(&current);
        let read: ReadPassword = Arc::new(move || (*read.lock().unwrap()).into());
        let options =
            Options::new("redis://:s3cret@a").unwrap().rotating_passwords(Some(Arc::clone(&read)), Some(read));
        for password in ["old", "new"] {
            *current.lock().unwrap() = password;
            assert_eq!(options.config(&place).unwrap().password.as_deref(), Some(password));
            assert_eq!(options.sentinel_config(&place).unwrap().password.as_deref(), Some(password));
        }
    }

    #[test]
    fn an_error_about_certificates_names_the_file_and_its_key() {
        let place = Place::Host { host: "a".into(), port: 1 };
        let error = |url: &str, file: &str| {
            let options = Options::new(url).unwrap().ca_file(Some(Path::new(file)));
            options.config(&place).map(drop).map_err(|error| error.to_string())
        };
        let missing = error("rediss://a", "/nowhere/ca.pem").unwrap_err();
        assert!(missing.contains("redis.ca_file") && missing.contains("/nowhere/ca.pem"), "{missing}");
        let empty = error("rediss-cluster://a", "Cargo.toml").unwrap_err();
        assert!(empty.contains("no certificate"), "{empty}");
        assert_eq!(error("redis://a", "/nowhere/ca.pem"), Ok(()), "without TLS the file is not read");
    }
}
