//! What may stand as the address of a Docker engine.
//!
//! An address is parsed once, here; whatever cannot be one is refused with what would be right.

use std::{fmt, path::PathBuf, str::FromStr};

/// Where Docker listens without TLS, by custom.
const PLAIN_PORT: u16 = 2375;
/// Where Docker listens with TLS, by custom.
pub(crate) const TLS_PORT: u16 = 2376;

/// Addresses of every kind, for those who wrote none of them.
pub const EXAMPLES: &str =
    "unix:///var/run/docker.sock, tcp://10.0.0.5:2375, https://10.0.0.5:2376 or ssh://me@10.0.0.5";

/// Where an engine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A socket of this machine.
    Unix(PathBuf),
    /// A named pipe of this machine, which is a Windows.
    Pipe(String),
    /// A port, with TLS or without.
    Tcp {
        /// A name or an IP address, the latter without brackets.
        host: String,
        /// None for the customary one.
        port: Option<u16>,
        /// What the scheme says about TLS; none where it leaves that open (`tcp://`).
        tls: Option<bool>,
    },
    /// Another machine, by way of ssh.
    Ssh {
        /// As whom; as ssh has it where it is none.
        user: Option<String>,
        /// A name (also one of ssh's own configuration) or an IP address.
        host: String,
        /// As ssh has it where it is none.
        port: Option<u16>,
        /// The engine's socket over there; as its Docker has it where it is none.
        socket: Option<String>,
    },
}

impl Address {
    /// The port of a TCP address.
    pub(crate) fn port(port: Option<u16>, tls: bool) -> u16 {
        port.unwrap_or(if tls { TLS_PORT } else { PLAIN_PORT })
    }
}

/// What cannot be an address, with what would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAnAddress(String);

impl fmt::Display for NotAnAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotAnAddress {}

impl FromStr for Address {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let text = text.trim();
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
            // A path alone is what it looks like.
            None if text.starts_with('/') => ("unix".to_owned(), text),
            None => return Err(NotAnAddress(format!("an address with its kind, such as {EXAMPLES}"))),
        };
        match scheme.as_str() {
            "unix" if rest.starts_with('/') => Ok(Self::Unix(rest.into())),
            "unix" => {
                Err(NotAnAddress("unix:// and the socket's absolute path, such as unix:///var/run/docker.sock".into()))
            }
            "npipe" => Ok(Self::Pipe(format!("npipe://{rest}"))),
            "tcp" | "http" | "https" => {
                let tls = match scheme.as_str() {
                    "http" => Some(false),
                    "https" => Some(true),
                    _ => None,
                };
                let right = || NotAnAddress(format!("{scheme}://host:port, such as {scheme}://10.0.0.5:{PLAIN_PORT}"));
                let (host, port) = host_and_port(rest.strip_suffix('/').unwrap_or(rest)).ok_or_else(right)?;
                Ok(Self::Tcp { host, port, tls })
            }
            "ssh" => ssh(rest).ok_or_else(|| {
                NotAnAddress(
                    "ssh://user@host:port/path/of/its/docker.sock, where only the host must be there; a password has \
                     no place in it (ssh uses keys)"
                        .into(),
                )
            }),
            _ => Err(NotAnAddress(format!("an address of a kind that there is: {EXAMPLES}"))),
        }
    }
}

/// `10.0.0.5:2375`, `[::1]:2375` or `docker.example.com`.
fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = match port {
        Some(port) => Some(port.parse().ok().filter(|port| *port > 0)?),
        None => None,
    };
    is_host(host).then(|| (host.to_owned(), port))
}

/// Nothing that an URL, a shell or ssh's command line could take for something else.
fn is_host(host: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
    !host.is_empty() && !host.starts_with('-') && host.chars().all(letter)
}

fn ssh(rest: &str) -> Option<Address> {
    let (authority, socket) = match rest.find('/') {
        Some(slash) => (&rest[..slash], Some(&rest[slash..]).filter(|path| *path != "/")),
        None => (rest, None),
    };
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    let (host, port) = host_and_port(host)?;
    let is_user = |user: &str| {
        !user.is_empty() && !user.starts_with('-') && user.chars().all(|c| c.is_ascii_graphic() && c != ':')
    };
    if user.is_some_and(|user| !is_user(user)) || socket.is_some_and(|path| path.chars().any(char::is_control)) {
        return None;
    }
    Some(Address::Ssh { user: user.map(str::to_owned), host, port, socket: socket.map(str::to_owned) })
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bracketed = |host: &str| if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let colon = |port: &Option<u16>| port.map(|port| format!(":{port}")).unwrap_or_default();
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Pipe(pipe) => f.write_str(pipe),
            Self::Tcp { host, port, tls } => {
                let scheme = match tls {
                    None => "tcp",
                    Some(false) => "http",
                    Some(true) => "https",
                };
                write!(f, "{scheme}://{}{}", bracketed(host), colon(port))
            }
            Self::Ssh { user, host, port, socket } => {
                let user = user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
                let socket = socket.as_deref().unwrap_or_default();
                write!(f, "ssh://{user}{}{}{socket}", bracketed(host), colon(port))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: Option<u16>, tls: Option<bool>) -> Address {
        Address::Tcp { host: host.into(), port, tls }
    }

    fn ssh(user: Option<&str>, host: &str, port: Option<u16>, socket: Option<&str>) -> Address {
        Address::Ssh { user: user.map(Into::into), host: host.into(), port, socket: socket.map(Into::into) }
    }

    #[test]
    fn an_address_is_read_as_docker_reads_it_and_written_back() {
        for (text, address) in [
            ("unix:///var/run/docker.sock", Address::Unix("/var/run/docker.sock".into())),
            ("npipe:////./pipe/docker_engine", Address::Pipe("npipe:////./pipe/docker_engine".into())),
            ("tcp://10.0.0.5:2375", tcp("10.0.0.5", Some(2375), None)),
            ("tcp://docker.example.com", tcp("docker.example.com", None, None)),
            ("tcp://[::1]:2376", tcp("::1", Some(2376), None)),
            ("http://localhost:80", tcp("localhost", Some(80), Some(false))),
            ("https://localhost", tcp("localhost", None, Some(true))),
            ("ssh://db", ssh(None, "db", None, None)),
            (
                "ssh://me@db:2222/run/user/1000/docker.sock",
                ssh(Some("me"), "db", Some(2222), Some("/run/user/1000/docker.sock")),
            ),
        ] {
            assert_eq!(text.parse(), Ok(address.clone()), "{text}");
            assert_eq!(address.to_string(), text);
        }
        for (text, same) in
            [(" /run/docker.sock ", "unix:///run/docker.sock"), ("TCP://a:1/", "tcp://a:1"), ("ssh://db/", "ssh://db")]
        {
            assert_eq!(text.parse::<Address>().map(|address| address.to_string()), Ok(same.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_an_address_is_refused_with_one_that_would_do() {
        for (text, right) in [
            ("gopher://x", "ssh://me@10.0.0.5"),
            ("10.0.0.5:2375", "tcp://10.0.0.5:2375"),
            ("", "unix:///var/run/docker.sock"),
            ("unix://docker.sock", "absolute path"),
            ("tcp://", "tcp://host:port"),
            ("tcp://a:0", "tcp://host:port"),
            ("tcp://a:70000", "tcp://host:port"),
            ("tcp://a:1/docker", "tcp://host:port"),
            ("tcp://me:secret@a:1", "tcp://host:port"),
            ("https://[::g]:1", "https://host:port"),
            ("ssh://me:secret@db", "a password has no place"),
            ("ssh://-oProxyCommand=x", "only the host"),
            ("ssh://-l@db", "only the host"),
            ("ssh://db/a\nb", "only the host"),
        ] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(right), "{text}: {error}");
        }
    }
}
