//! Parses the address of a Docker engine (`unix://`, `npipe://`, `tcp://`, `http://`, `https://`, `ssh://`).
//!
//! The error for a text that is no address says what a right one looks like.

use std::{fmt, path::PathBuf, str::FromStr};

/// Docker's port without TLS, by convention.
const PLAIN_PORT: u16 = 2375;
/// Docker's port with TLS, by convention.
pub(crate) const TLS_PORT: u16 = 2376;

/// An address of each kind, for error texts.
pub const EXAMPLES: &str =
    "unix:///var/run/docker.sock, tcp://10.0.0.5:2375, https://10.0.0.5:2376 or ssh://me@10.0.0.5";

/// The address of a Docker engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A Unix socket of this machine.
    Unix(PathBuf),
    /// A named pipe of this machine (Windows).
    Pipe(String),
    /// A TCP port, with or without TLS.
    Tcp {
        /// A name or an IP address; IPv6 without brackets.
        host: String,
        /// `None`: Docker's conventional port.
        port: Option<u16>,
        /// What the scheme says about TLS; `None` for `tcp://`, which leaves it open.
        tls: Option<bool>,
    },
    /// Another machine over ssh.
    Ssh {
        /// The user; `None`: as ssh's own configuration says.
        user: Option<String>,
        /// A name (also an alias of ssh's own configuration) or an IP address.
        host: String,
        /// `None`: as ssh's own configuration says.
        port: Option<u16>,
        /// The engine's socket on that machine; `None`: as its Docker client is configured.
        socket: Option<String>,
    },
}

impl Address {
    /// The port of a TCP address.
    pub(crate) fn port(port: Option<u16>, tls: bool) -> u16 {
        port.unwrap_or(if tls { TLS_PORT } else { PLAIN_PORT })
    }
}

/// The text is no address; the message says what a right one looks like.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAnAddress(String);

impl FromStr for Address {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let text = text.trim();
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
            // A path alone is a Unix socket.
            None if text.starts_with('/') => ("unix".to_owned(), text),
            // Without a scheme it is TCP, as for Docker's client.
            None if !text.is_empty() && dialled(text).is_some() => ("tcp".to_owned(), text),
            None => return Err(NotAnAddress(format!("an address with a scheme, such as {EXAMPLES}"))),
        };
        match scheme.as_str() {
            "unix" if rest.starts_with('/') => Ok(Self::Unix(rest.into())),
            "unix" if rest.is_empty() => Ok(Self::Unix("/var/run/docker.sock".into())),
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
                let rest = rest.strip_suffix('/').unwrap_or(rest);
                let (host, port) = if tls.is_none() { dialled(rest) } else { host_and_port(rest) }.ok_or_else(right)?;
                Ok(Self::Tcp { host, port, tls })
            }
            "ssh" => ssh(rest).ok_or_else(|| {
                NotAnAddress(
                    "ssh://user@host:port/path/of/its/docker.sock, of which only the host is required; a password has no \
                     place in it (ssh uses keys)"
                        .into(),
                )
            }),
            _ => Err(NotAnAddress(format!("an address with a known scheme: {EXAMPLES}"))),
        }
    }
}

/// As [`host_and_port`], but without a host it is this machine, as for Docker's client: `:2375`.
fn dialled(text: &str) -> Option<(String, Option<u16>)> {
    host_and_port(&if text.is_empty() || text.starts_with(':') { format!("localhost{text}") } else { text.to_owned() })
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

/// Only characters that a URL, a shell and ssh's command line take literally.
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
    fn an_address_parses_as_in_docker_and_prints_as_it_was() {
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
        for (text, same) in [
            (" /run/docker.sock ", "unix:///run/docker.sock"),
            ("TCP://a:1/", "tcp://a:1"),
            ("ssh://db/", "ssh://db"),
            ("localhost", "tcp://localhost"),
            ("10.0.0.5:2375", "tcp://10.0.0.5:2375"),
            (":2375", "tcp://localhost:2375"),
            ("[::1]:2375", "tcp://[::1]:2375"),
            ("tcp://", "tcp://localhost"),
            ("tcp://:2376", "tcp://localhost:2376"),
            ("unix://", "unix:///var/run/docker.sock"),
        ] {
            assert_eq!(text.parse::<Address>().map(|address| address.to_string()), Ok(same.to_owned()), "{text}");
        }
    }

    #[test]
    fn an_invalid_address_is_refused_with_an_example_of_a_right_one() {
        for (text, right) in [
            ("gopher://x", "ssh://me@10.0.0.5"),
            ("10.0.0.5:docker", "tcp://10.0.0.5:2375"),
            ("me@10.0.0.5", "tcp://10.0.0.5:2375"),
            ("unix:/var/run/docker.sock", "unix:///var/run/docker.sock"),
            ("https://", "https://host:port"),
            ("", "unix:///var/run/docker.sock"),
            ("unix://docker.sock", "absolute path"),
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
