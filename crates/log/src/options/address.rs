//! Parses an address of Redis.

use std::{fmt, path::PathBuf};

use fred::types::config::Config;

use crate::Error;

/// A parsed address, without TLS.
#[derive(Clone)]
pub(super) struct Address {
    pub deployment: Deployment,
    pub user: Option<String>,
    pub password: Option<String>,
    pub database: Option<u8>,
}

/// The kind of deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Deployment {
    /// One server.
    Single(Place),
    /// A cluster, by some of its nodes.
    Cluster(Vec<Place>),
    /// The server that these sentinels call the master of that name.
    Sentinel { sentinels: Vec<Place>, master: String },
}

/// The address of one server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    Socket(PathBuf),
    Host { host: String, port: u16 },
}

impl Place {
    /// From `host[:port]`; an IPv6 address with a port is in brackets, as in a URL, or without, as Redis writes it.
    pub fn parse(text: &str, default_port: u16) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, default_port),
            Some((host, port)) => (host, port.strip_prefix(':')?.parse().ok()?),
            None => match text.rsplit_once(':') {
                Some((host, port)) => (host, port.parse().ok()?),
                None => (text, default_port),
            },
        };
        let is_valid = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || "/?#@[]".contains(c));
        is_valid.then(|| Self::Host { host: host.to_owned(), port })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => path.display().fmt(f),
            Self::Host { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Host { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

impl fmt::Display for Deployment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |places: &[Place]| places.iter().map(Place::to_string).collect::<Vec<_>>().join(",");
        match self {
            Self::Single(place) => place.fmt(f),
            Self::Cluster(nodes) => f.write_str(&list(nodes)),
            Self::Sentinel { sentinels, master } => write!(f, "{}/{master}", list(sentinels)),
        }
    }
}

impl Address {
    /// Parses `url`; also returns whether it uses TLS. An error never repeats the URL, as it may contain a password.
    pub fn parse(url: &str) -> Result<(Self, bool), Error> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| bad("it has no scheme"))?;
        match scheme {
            "redis" | "valkey" => Ok((Self::single(rest)?, false)),
            "rediss" | "valkeys" => Ok((Self::single(rest)?, true)),
            "unix" | "redis+unix" | "valkey+unix" => Ok((Self::unix(rest)?, false)),
            "redis-cluster" | "valkey-cluster" => Ok((Self::cluster(rest)?, false)),
            "rediss-cluster" | "valkeys-cluster" => Ok((Self::cluster(rest)?, true)),
            "redis-sentinel" | "valkey-sentinel" => Ok((Self::sentinel(rest)?, false)),
            "rediss-sentinel" | "valkeys-sentinel" => Ok((Self::sentinel(rest)?, true)),
            _ if scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) => {
                Err(bad(format!("the scheme {scheme} is not supported")))
            }
            _ => Err(bad("it has no scheme")),
        }
    }

    fn single(rest: &str) -> Result<Self, Error> {
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (address, host) = Self::login(authority, Deployment::Single(Place::Socket(PathBuf::new())))?;
        let place = Place::parse(host, REDIS).ok_or_else(|| bad("the host or its port is not valid"))?;
        Ok(Self { deployment: Deployment::Single(place), database: database(path)?, ..address })
    }

    /// The path of a socket is taken literally, up to a `?`.
    fn unix(rest: &str) -> Result<Self, Error> {
        let slash = rest.find('/').ok_or_else(|| bad("the path of the socket is missing"))?;
        let (authority, path) = rest.split_at(slash);
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let number = match query.split_once('=') {
            None if query.is_empty() => "",
            Some(("db", number)) => number,
            _ => return Err(bad("only ?db=n may follow the path of the socket")),
        };
        let deployment = Deployment::Single(Place::Socket(PathBuf::from(path)));
        let (address, _) = Self::login(authority, deployment)?;
        Ok(Self { database: database(number)?, ..address })
    }

    fn cluster(rest: &str) -> Result<Self, Error> {
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if !matches!(path, "" | "0") {
            return Err(bad("a cluster has only the database 0"));
        }
        let (address, hosts) = Self::login(authority, Deployment::Cluster(vec![]))?;
        Ok(Self { deployment: Deployment::Cluster(places(hosts, REDIS)?), ..address })
    }

    fn sentinel(rest: &str) -> Result<Self, Error> {
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (master, number) = path.split_once('/').unwrap_or((path, ""));
        if master.is_empty() {
            return Err(bad("the name of the master is missing after the sentinels, as in host:26379/mymaster"));
        }
        let deployment = |sentinels| Deployment::Sentinel { sentinels, master: master.to_owned() };
        let (address, hosts) = Self::login(authority, deployment(vec![]))?;
        Ok(Self { deployment: deployment(places(hosts, SENTINEL)?), database: database(number)?, ..address })
    }

    /// The user and password before the last `@`, and what follows it.
    fn login(authority: &str, deployment: Deployment) -> Result<(Self, &str), Error> {
        let Some((credentials, hosts)) = authority.rsplit_once('@') else {
            return Ok((Self { deployment, user: None, password: None, database: None }, authority));
        };
        // The client's own parser decodes the percent-encoding; its error may quote the password.
        let config = Config::from_url(&format!("redis://{credentials}@host"))
            .map_err(|_| bad("the user or the password is not valid; is it percent-encoded?"))?;
        Ok((Self { deployment, user: config.username, password: config.password, database: None }, hosts))
    }
}

/// The default port of Redis.
const REDIS: u16 = 6379;
/// The default port of a sentinel.
const SENTINEL: u16 = 26379;

fn places(hosts: &str, default_port: u16) -> Result<Vec<Place>, Error> {
    let places = hosts.split(',').map(|host| Place::parse(host.trim(), default_port));
    places.collect::<Option<_>>().ok_or_else(|| bad("one of the hosts or its port is not valid"))
}

fn database(text: &str) -> Result<Option<u8>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| bad("the database is not a number from 0 to 255"))
}

fn bad(reason: impl Into<String>) -> Error {
    Error::Url { reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_servers_login_and_database() {
        let check = |url: &str, server: &str, user: Option<&str>, password: Option<&str>, database: Option<u8>| {
            let (address, encrypted) = Address::parse(url).unwrap();
            assert_eq!(address.deployment.to_string(), server, "{url}");
            assert_eq!((address.user.as_deref(), address.password.as_deref()), (user, password), "{url}");
            assert_eq!(address.database, database, "{url}");
            let scheme = url.split(['-', ':']).next().unwrap();
            assert_eq!(encrypted, ["rediss", "valkeys"].contains(&scheme), "{url}");
        };
        check("redis://localhost", "localhost:6379", None, None, None);
        check("rediss://:s3cret@host:7000", "host:7000", None, Some("s3cret"), None);
        check("redis://10.0.0.1:7000/3", "10.0.0.1:7000", None, None, Some(3));
        check("redis://[::1]:7000/3", "[::1]:7000", None, None, Some(3));
        check("valkey://:s3cret@host", "host:6379", None, Some("s3cret"), None);
        check("redis://me:s3cret%2F@host:1/0", "host:1", Some("me"), Some("s3cret/"), Some(0));
        check("unix:///var/run/my redis.sock", "/var/run/my redis.sock", None, None, None);
        check("redis+unix:///run/redis.sock?db=2", "/run/redis.sock", None, None, Some(2));
        check("unix://me:s3cret@/run/redis.sock", "/run/redis.sock", Some("me"), Some("s3cret"), None);
        check("redis-cluster://a,b:7001,[::1]:7002", "a:6379,b:7001,[::1]:7002", None, None, None);
        check("rediss-cluster://me:s3cret@a:1,b:2/", "a:1,b:2", Some("me"), Some("s3cret"), None);
        check("valkeys-cluster://a:1/0", "a:1", None, None, None);
        check("redis-sentinel://a,b:5/mymaster", "a:26379,b:5/mymaster", None, None, None);
        check("rediss-sentinel://:s3cret@a/main/4", "a:26379/main", None, Some("s3cret"), Some(4));
    }

    #[test]
    fn an_invalid_address_is_refused_without_repeating_it() {
        for (url, says) in [
            ("", "no scheme"),
            ("host:s3cret", "no scheme"),
            ("http://:s3cret@host", "http is not supported"),
            ("redis-ring://:s3cret@host:1", "redis-ring is not supported"),
            ("redis://:s3cret@host:port", "is not valid"),
            ("redis://:s3cret@", "is not valid"),
            ("redis://:s3cret@host/zero", "not a number"),
            ("redis://:s3cret@host/0/1", "not a number"),
            ("redis://:s3cret@host?a=b", "is not valid"),
            ("unix://:s3cret@", "path of the socket is missing"),
            ("unix:///run/redis.sock?db=s3cret", "not a number"),
            ("unix:///run/redis.sock?password=s3cret", "only ?db=n"),
            ("redis-cluster://:s3cret@a:1,,b:2", "one of the hosts"),
            ("redis-cluster://:s3cret@a:1/3", "only the database 0"),
            ("redis-sentinel://:s3cret@a:1", "name of the master is missing"),
            ("redis-sentinel://:s3cret@a:1/m/x", "not a number"),
        ] {
            let error = Address::parse(url).map(drop).unwrap_err().to_string();
            assert!(error.contains(says), "{url}: {error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
