//! Which Docker hosts are watched: `[[hosts]]`, each with a name and with what differs from `[docker]`.
//!
//! ```toml
//! [[hosts]]
//! name = "web"
//! docker = "tcp://10.0.0.5:2376"
//! tls_dir = "/etc/hemostat/web"
//! ```
//!
//! In the environment and on the command line there is room for names and addresses only: `web=tcp://10.0.0.5:2376,
//! db=ssh://me@db`. Without any entry there is one host, this one.

use std::{path::PathBuf, time::Duration};

use config::{Map, Value, ValueKind};
use hemostat_schema::HostName;

use super::{
    Config, Docker, Error, Origin,
    setting::{Setting, Wrong, quoted},
    source::{nearest, written},
};

/// The entries of `[[hosts]]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hosts(Vec<Entry>);

macro_rules! entry {
    ($( $(#[$doc:meta])* $field:ident: $type:ty, $of:ident; )*) => {
        /// One host, and what is said of its engine; the rest is as in `[docker]`.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Entry {
            /// What it is called in events and in the API.
            pub name: HostName,
            $( $(#[$doc])* pub $field: Option<$type>, )*
        }

        impl Entry {
            const FIELDS: &[&str] = &["name", $( stringify!($field) ),*];

            fn new(name: HostName) -> Self {
                Self { name, $( $field: None, )* }
            }

            /// The field of this name, from a file.
            fn take(&mut self, field: &str, value: &ValueKind) -> Result<(), String> {
                match field {
                    $( stringify!($field) => {
                        self.$field = Option::<$type>::read(value).ok_or_else(<$type as Setting>::right)?;
                    } )*
                    _ => {}
                }
                Ok(())
            }

            fn fields(&self) -> Vec<(&'static str, String)> {
                let mut fields = vec![("name", self.name.show())];
                $( fields.extend(self.$field.as_ref().map(|value| (stringify!($field), value.show()))); )*
                fields
            }

            /// What is said here, over what is said for all.
            fn over(&self, all: &Docker) -> Docker {
                let mut docker = all.clone();
                if self.docker.is_some() || self.context.is_some() {
                    (docker.host, docker.context) = (None, None);
                }
                $( if let Some(value) = &self.$field { docker.$of = value.clone().into(); } )*
                docker
            }

            /// Where in `[docker]` the field of an entry stands.
            fn in_docker(field: &str) -> Option<&'static str> {
                match field {
                    $( stringify!($field) => Some(concat!("docker.", stringify!($of))), )*
                    _ => None,
                }
            }
        }
    };
}

entry! {
    /// The engine's socket or address.
    docker: String, host;
    /// The Docker context that says where it is.
    context: String, context;
    /// How long it may take to answer.
    timeout: Duration, timeout;
    /// Whether it is spoken to over TLS.
    tls: bool, tls;
    /// Where `ca.pem`, `cert.pem` and `key.pem` are.
    tls_dir: PathBuf, tls_dir;
    /// Who vouches for it.
    tls_ca: PathBuf, tls_ca;
    /// Who vouches for us.
    tls_cert: PathBuf, tls_cert;
    /// The key to that.
    tls_key: PathBuf, tls_key;
    /// The configuration of ssh.
    ssh_config: PathBuf, ssh_config;
}

impl Entry {
    fn read(value: &Value) -> Result<Self, Wrong> {
        let ValueKind::Table(table) = &value.kind else {
            return Err(Wrong::value(
                "",
                &value.kind,
                r#"a table such as { name = "web", docker = "tcp://10.0.0.5:2376" }"#,
            ));
        };
        if let Some(unknown) = table.keys().find(|field| !Self::FIELDS.contains(&field.as_str())) {
            let near = nearest(unknown, Self::FIELDS.iter().map(|field| (*field).to_owned()));
            return Err(Wrong::Unknown { at: format!(".{unknown}"), near });
        }
        let mut entry = Self::new(name_of(table)?);
        for (field, value) in table {
            entry.take(field, &value.kind).map_err(|right| Wrong::value(&format!(".{field}"), &value.kind, &right))?;
        }
        Ok(entry)
    }
}

fn name_of(table: &Map<String, Value>) -> Result<HostName, Wrong> {
    match table.get("name") {
        Some(name) => HostName::read(&name.kind).ok_or_else(|| Wrong::value(".name", &name.kind, &HostName::right())),
        None => Err(Wrong::Value { at: ".name".to_owned(), value: "\"\"".to_owned(), right: HostName::right() }),
    }
}

/// `web=tcp://10.0.0.5:2376`
fn from_text(text: &str) -> Option<Entry> {
    let (name, docker) = text.split_once('=')?;
    let docker = Some(docker.trim().to_owned()).filter(|docker| !docker.is_empty());
    Some(Entry { docker, ..Entry::new(name.trim().parse().ok()?) })
}

impl Setting for Hosts {
    fn right() -> String {
        "tables [[hosts]], each with a name, or a text such as \"web=tcp://10.0.0.5:2376,db=ssh://me@db\"".into()
    }

    fn read(value: &ValueKind) -> Option<Self> {
        Self::parse(value).ok()
    }

    fn parse(value: &ValueKind) -> Result<Self, Wrong> {
        let entries: Vec<Entry> = match value {
            ValueKind::Array(items) => {
                let read = |(index, item)| Entry::read(item).map_err(|wrong| wrong.under(&format!("[{index}]")));
                items.iter().enumerate().map(read).collect::<Result<_, _>>()?
            }
            ValueKind::String(text) => {
                let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(from_text);
                entries.collect::<Option<_>>().ok_or_else(|| Wrong::value("", value, &Self::right()))?
            }
            other => return Err(Wrong::value("", other, &Self::right())),
        };
        for (index, entry) in entries.iter().enumerate() {
            if entries[..index].iter().any(|earlier| earlier.name == entry.name) {
                let right = "a name that no other host has".to_owned();
                return Err(Wrong::Value { at: format!("[{index}].name"), value: entry.name.show(), right });
            }
        }
        Ok(Self(entries))
    }

    fn show(&self) -> String {
        let entry = |entry: &Entry| {
            let fields = entry.fields().into_iter().map(|(field, value)| format!("{field} = {value}"));
            format!("{{ {} }}", fields.collect::<Vec<_>>().join(", "))
        };
        format!("[{}]", self.0.iter().map(entry).collect::<Vec<_>>().join(", "))
    }
}

/// A host that is watched.
#[derive(Debug, Clone)]
pub struct Watched {
    /// What it is called.
    pub name: HostName,
    /// How its engine is reached.
    pub docker: Docker,
    /// Its place in `[[hosts]]` and what is said there, where it is from there.
    entry: Option<(usize, Entry)>,
}

impl Watched {
    /// Whether its own entry says anything of this.
    pub fn says(&self, field: &str) -> bool {
        self.entry.iter().flat_map(|(_, entry)| entry.fields()).any(|(said, _)| said == field)
    }

    /// The key of a field of its engine's settings, by the field's name in `[[hosts]]`: where it is said, or else where it
    /// would be said for all.
    fn key(&self, field: &str) -> String {
        match &self.entry {
            Some((index, _)) if self.says(field) => format!("hosts[{index}].{field}"),
            _ => Entry::in_docker(field).unwrap_or("hosts").to_owned(),
        }
    }
}

impl Config {
    /// Every host that is watched: those of `[[hosts]]`, or this one.
    pub fn watched(&self) -> Vec<Watched> {
        let Hosts(entries) = &self.hosts;
        if entries.is_empty() {
            return vec![Watched { name: self.host_name(), docker: self.docker.clone(), entry: None }];
        }
        let watched = entries.iter().enumerate().map(|(index, entry)| Watched {
            name: entry.name.clone(),
            docker: entry.over(&self.docker),
            entry: Some((index, entry.clone())),
        });
        watched.collect()
    }

    /// What is said of a setting of a host's engine, by its name in `[[hosts]]`.
    pub fn said(&self, host: &Watched, field: &str) -> Said {
        let key = host.key(field);
        let own = host.entry.iter().flat_map(|(_, entry)| entry.fields()).find(|(said, _)| *said == field);
        let of = if own.is_some() { "hosts" } else { key.as_str() };
        let shown = self.shown().into_iter().find(|shown| shown.key == of);
        let (value, origin) = shown.map_or_else(|| (quoted(""), Origin::Default), |shown| (shown.value, shown.origin));
        Said { key, value: own.map_or(value, |(_, value)| value), origin }
    }

    /// That a setting of a host's engine, by its name in `[[hosts]]`, is not right, and what would be.
    pub fn wrong(&self, host: &Watched, field: &str, right: impl Into<String>) -> Error {
        let Said { key, value, origin } = self.said(host, field);
        Error::Value { key, value, origin, right: right.into() }
    }
}

/// What is said of a host's engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// By which key.
    pub key: String,
    /// As it is written in a file.
    pub value: String,
    /// Where.
    pub origin: Origin,
}

impl Wrong {
    pub(super) fn value(at: &str, value: &ValueKind, right: &str) -> Self {
        Self::Value { at: at.to_owned(), value: written(value), right: right.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Input, tests::load};
    use super::*;

    const TWO: &str = r#"
        [docker]
        timeout = "5s"
        tls_dir = "/etc/hemostat/all"
        [[hosts]]
        name = "web"
        docker = "tcp://10.0.0.5:2376"
        timeout = "7s"
        [[hosts]]
        name = "db"
        docker = "ssh://me@db"
        ssh_config = "/etc/hemostat/ssh"
    "#;

    #[test]
    fn each_host_has_its_own_settings_over_those_for_all() {
        let config =
            load(TWO, &[("DOCKER_HOST", "unix:///elsewhere.sock"), ("DOCKER_CONTEXT", "colima")], &[]).unwrap();
        let watched = config.watched();
        let said: Vec<_> = watched
            .iter()
            .map(|host| {
                let Docker { host: address, timeout, tls_dir, context, .. } = &host.docker;
                (host.name.as_str(), address.as_deref(), timeout.as_secs(), tls_dir.is_some(), context.is_some())
            })
            .collect();
        assert_eq!(
            said,
            [("web", Some("tcp://10.0.0.5:2376"), 7, true, false), ("db", Some("ssh://me@db"), 5, true, false)]
        );
        assert_eq!(watched[1].docker.ssh_config, Some("/etc/hemostat/ssh".into()));
    }

    #[test]
    fn without_an_entry_this_host_is_watched() {
        let config = load("host = \"here\"", &[("DOCKER_HOST", "unix:///a.sock")], &[]).unwrap();
        let [only] = config.watched().try_into().unwrap();
        assert_eq!((only.name.as_str(), only.docker.host.as_deref()), ("here", Some("unix:///a.sock")));
        let Watched { docker, .. } = &load("[[hosts]]\nname = \"here\"", &[], &[]).unwrap().watched()[0];
        assert_eq!(docker.host, None, "it is found by itself");
    }

    #[test]
    fn names_and_addresses_can_be_given_in_a_variable() {
        let config = load("", &[("HEMOSTAT_HOSTS", "web=tcp://a:1, db = ssh://me@db ,here=")], &[]).unwrap();
        let said: Vec<_> = config.watched().into_iter().map(|host| (host.name.to_string(), host.docker.host)).collect();
        let address = |text: &str| Some(text.to_owned());
        assert_eq!(
            said,
            [("web".into(), address("tcp://a:1")), ("db".into(), address("ssh://me@db")), ("here".into(), None)]
        );
    }

    #[test]
    fn a_wrong_entry_is_refused_with_its_place() {
        for (file, says) in [
            ("hosts = 3", vec!["hosts = 3", "tables [[hosts]]"]),
            ("hosts = [3]", vec!["hosts[0] = 3", "a table such as"]),
            ("[[hosts]]\ndocker = \"unix:///a\"", vec!["hosts[0].name = \"\"", "a host name"]),
            ("[[hosts]]\nname = \"a/b\"", vec!["hosts[0].name = \"a/b\"", "without a slash"]),
            (
                "[[hosts]]\nname = \"a\"\n[[hosts]]\nname = \"a\"",
                vec!["hosts[1].name = \"a\"", "hemostat.toml", "no other host has"],
            ),
            ("[[hosts]]\nname = \"a\"\ntimeout = 5", vec!["hosts[0].timeout = 5", "a time such as"]),
            (
                "[[hosts]]\nname = \"a\"\ntls_cart = \"x\"",
                vec!["there is no key hosts[0].tls_cart", "did you mean tls_cert?"],
            ),
        ] {
            let error = load(file, &[], &[]).unwrap_err().to_string();
            for part in says {
                assert!(error.contains(part), "{part:?} is not in: {error}");
            }
        }
        let error = load("", &[("HEMOSTAT_HOSTS", "web")], &[]).unwrap_err().to_string();
        assert!(error.contains("hosts = \"web\" (from environment variable HEMOSTAT_HOSTS)"), "{error}");
        assert!(Config::load(&Input::default()).is_ok());
    }

    #[test]
    fn what_is_wrong_with_a_host_is_told_where_it_was_said() {
        let config = load(TWO, &[], &[]).unwrap();
        let watched = config.watched();
        let told = |host: &Watched, field| config.wrong(host, field, "better").to_string();
        let own = told(&watched[0], "docker");
        assert!(own.starts_with("hosts[0].docker = \"tcp://10.0.0.5:2376\" (from ") && own.contains("hemostat.toml"));
        let all = told(&watched[0], "tls_dir");
        assert!(all.starts_with("docker.tls_dir = \"/etc/hemostat/all\" (from "), "{all}");
        let nowhere = told(&watched[0], "tls_key");
        assert!(nowhere.starts_with("docker.tls_key = \"\" (from default)"), "{nowhere}");
    }

    #[test]
    fn what_is_shown_is_read_back_the_same() {
        let Hosts(entries) = load(TWO, &[], &[]).unwrap().hosts.clone();
        let shown = Hosts(entries.clone()).show();
        assert!(
            shown.starts_with(r#"[{ name = "web", docker = "tcp://10.0.0.5:2376", timeout = "7s" }, { name = "db""#)
        );
        assert_eq!(load(&format!("hosts = {shown}"), &[], &[]).unwrap().hosts.0, entries);
    }
}
