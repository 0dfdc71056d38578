//! The hosts that are monitored, each with its settings of Docker and where they were set.

use hemostat_schema::HostName;

use crate::{
    config::Config,
    error::{Error, Origin},
    hosts::{Entry, Hosts, key_of},
    sections::Docker,
};

/// A host that is monitored.
#[derive(Debug, Clone)]
pub struct Watched {
    /// Its name in events and in the API.
    pub name: HostName,
    /// How its Docker is reached.
    pub docker: Docker,
    /// Its entry in `[[hosts]]` with its place there, if it has one.
    entry: Option<(usize, Entry)>,
}

/// What the configuration says about one setting of a host's Docker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The key that sets it.
    pub key: String,
    /// As it is written in a file.
    pub value: String,
    /// Where it was set.
    pub origin: Origin,
}

impl Watched {
    /// Whether its own entry sets this field.
    pub fn says(&self, field: &str) -> bool {
        self.written(field).is_some()
    }

    fn written(&self, field: &str) -> Option<String> {
        self.entry.as_ref().and_then(|(_, entry)| entry.written(field))
    }
}

impl Config {
    /// Every host that is monitored: those of `[[hosts]]`, or this one.
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

    /// What is said about a setting of a host's Docker, by its name in `[[hosts]]`: there, or for all hosts in `[docker]`.
    pub fn said(&self, host: &Watched, field: &str) -> Said {
        if let (Some((index, _)), Some(value)) = (&host.entry, host.written(field)) {
            return Said { key: format!("hosts[{index}].{field}"), value, origin: self.origin("hosts") };
        }
        let key = key_of(field);
        let shown = self.shown().into_iter().find(|shown| shown.key == key).expect("every field is a key of [docker]");
        Said { key, value: shown.value, origin: shown.origin }
    }

    /// The error that a setting of a host's Docker, by its name in `[[hosts]]`, should be `right`.
    pub fn wrong(&self, host: &Watched, field: &str, right: impl Into<String>) -> Error {
        let Said { key, value, origin } = self.said(host, field);
        Error::Value { key, value, origin, right: right.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{setting::Setting as _, source::Input, tests::load};

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
            ("[[hosts]]\nname = \"a\"\ntimeout = true", vec!["hosts[0].timeout = true", "a time such as"]),
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
