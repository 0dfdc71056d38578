//! Finds the Docker engine if the configuration names none: the one that Docker's own client would use, else the first
//! known socket that exists.
//!
//! A pure function of its arguments and an [`Environment`], so that a test can describe any machine.

use std::path::{Path, PathBuf};

use crate::{address::Address, context, environment::Environment};

/// An engine that was found, and by which rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its address.
    pub address: Address,
    /// The directory of its certificates, if a context names one.
    pub tls_dir: Option<PathBuf>,
    /// The rule, as a phrase after "from": `the Docker context colima`.
    pub why: String,
    /// If no socket exists: the paths that were tried.
    pub missed: Vec<PathBuf>,
}

/// The directory of Docker's client configuration: `DOCKER_CONFIG`, or `~/.docker`.
pub(crate) fn docker_config(environment: &dyn Environment) -> Option<PathBuf> {
    let home = |name| environment.variable(name).map(PathBuf::from);
    home("DOCKER_CONFIG").or_else(|| {
        home(if environment.is_windows() { "USERPROFILE" } else { "HOME" }).map(|home| home.join(".docker"))
    })
}

/// The engine of a named context; `None` for the default context, which names no engine.
///
/// # Errors
/// A text that says what was expected.
pub(crate) fn by_context(name: &str, environment: &dyn Environment) -> Result<Option<Found>, String> {
    if name == context::DEFAULT {
        return Ok(None);
    }
    let Some(config) = docker_config(environment) else {
        return Err("a context, which needs HOME or DOCKER_CONFIG to be found".to_owned());
    };
    let context::Context { address, tls_dir } = context::read(name, &config, environment)?;
    Ok(Some(Found { address, tls_dir, why: format!("the Docker context {name}"), missed: vec![] }))
}

/// The engine to use if none is configured: that of the Docker context in use, else of a socket.
///
/// # Errors
/// A text that says what was expected, if a context is in use that cannot be read: Docker's client refuses it as well,
/// and another engine is not what the operator meant.
pub(crate) fn find(environment: &dyn Environment) -> Result<Found, String> {
    let Some(config) = docker_config(environment) else { return Ok(by_socket(environment)) };
    let file = context::config_file(&config);
    let instead = "\"default\" for the first socket that exists (or set docker.host)";
    let name = context::current(&config, environment)
        .map_err(|why| format!("{instead}: Docker's context in use is unknown, as {why}"))?;
    let Some(name) = name else { return Ok(by_socket(environment)) };
    let found = by_context(&name, environment).map_err(|right| {
        format!("{instead}: {} says that the Docker context {name} is in use, which should be {right}", file.display())
    })?;
    Ok(found.map_or_else(
        || by_socket(environment),
        |found| Found { why: format!("{}, which is in use", found.why), ..found },
    ))
}

/// The engine of the first socket that exists. If none does, Docker's own, which may appear later.
pub(crate) fn by_socket(environment: &dyn Environment) -> Found {
    if environment.is_windows() {
        let address = Address::Pipe("npipe:////./pipe/docker_engine".to_owned());
        return Found { address, tls_dir: None, why: "the default of Docker Desktop".to_owned(), missed: vec![] };
    }
    let sockets = sockets(environment);
    match sockets.iter().find(|(_, path)| environment.exists(path)) {
        Some((of, path)) => Found {
            address: Address::Unix(path.clone()),
            tls_dir: None,
            why: format!("the first socket that exists, {of}"),
            missed: vec![],
        },
        None => Found {
            address: Address::Unix("/var/run/docker.sock".into()),
            tls_dir: None,
            why: "the default, as no socket exists".to_owned(),
            missed: sockets.into_iter().map(|(_, path)| path).collect(),
        },
    }
}

/// Known socket paths and their products, the most common first.
fn sockets(environment: &dyn Environment) -> Vec<(&'static str, PathBuf)> {
    let under = |variable: &str, path: &str| environment.variable(variable).map(|folder| Path::new(&folder).join(path));
    let runtime = environment.variable("XDG_RUNTIME_DIR").map(PathBuf::from).or_else(|| runtime_directory(environment));
    let in_runtime = |path: &str| runtime.as_ref().map(|folder| folder.join(path));
    let all = [
        ("Docker's", Some(PathBuf::from("/var/run/docker.sock"))),
        ("that of rootless Docker", in_runtime("docker.sock")),
        ("Docker Desktop's", under("HOME", ".docker/run/docker.sock")),
        ("Docker Desktop's", under("HOME", ".docker/desktop/docker.sock")),
        ("Colima's", under("HOME", ".colima/default/docker.sock")),
        ("Colima's", under("HOME", ".config/colima/default/docker.sock")),
        ("Rancher Desktop's", under("HOME", ".rd/docker.sock")),
        ("OrbStack's", under("HOME", ".orbstack/run/docker.sock")),
        ("that of rootless Podman", in_runtime("podman/podman.sock")),
        ("Podman's", Some(PathBuf::from("/run/podman/podman.sock"))),
    ];
    all.into_iter().filter_map(|(of, path)| Some((of, path?))).collect()
}

/// `/run/user/1000`, by the user of this process: a service or cron job has no XDG_RUNTIME_DIR.
fn runtime_directory(environment: &dyn Environment) -> Option<PathBuf> {
    let status = environment.read(Path::new("/proc/self/status"))?;
    let user: u32 =
        status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_whitespace().next()?.parse().ok()?;
    Some(PathBuf::from(format!("/run/user/{user}")))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A machine that a test describes.
    #[derive(Debug, Clone, Default)]
    pub(crate) struct FakeEnvironment {
        pub variables: BTreeMap<&'static str, &'static str>,
        pub files: BTreeMap<PathBuf, String>,
        pub windows: bool,
    }

    impl Environment for FakeEnvironment {
        fn variable(&self, name: &str) -> Option<String> {
            self.variables.get(name).map(|value| (*value).to_owned())
        }

        fn read(&self, path: &Path) -> Option<String> {
            self.files.get(path).cloned()
        }

        fn exists(&self, path: &Path) -> bool {
            self.files.contains_key(path)
        }

        fn is_windows(&self) -> bool {
            self.windows
        }
    }

    pub(crate) fn machine(variables: &[(&'static str, &'static str)], files: &[(&str, &str)]) -> FakeEnvironment {
        FakeEnvironment {
            variables: variables.iter().copied().collect(),
            files: files.iter().map(|(path, text)| (path.into(), (*text).to_owned())).collect(),
            windows: false,
        }
    }

    const USER: [(&str, &str); 2] = [("HOME", "/home/me"), ("XDG_RUNTIME_DIR", "/run/user/1000")];

    /// The SHA-256 of "colima" and of "far", by which Docker names their folders.
    const COLIMA: &str = "f24fd3749c1368328e2b149bec149cb6795619f244c5b584e844961215dadd16";
    const FAR: &str = "512eea46ceb3921dff4363c7069d89d4964d1d9fccaa0f411851a7aa60a5c868";

    fn meta(id: &str) -> String {
        format!("/home/me/.docker/contexts/meta/{id}/meta.json")
    }

    #[test]
    fn the_first_socket_that_is_there_is_taken_in_the_order_of_likelihood() {
        let all = [
            ("/var/run/docker.sock", "Docker's"),
            ("/run/user/1000/docker.sock", "that of rootless Docker"),
            ("/home/me/.docker/run/docker.sock", "Docker Desktop's"),
            ("/home/me/.docker/desktop/docker.sock", "Docker Desktop's"),
            ("/home/me/.colima/default/docker.sock", "Colima's"),
            ("/home/me/.config/colima/default/docker.sock", "Colima's"),
            ("/home/me/.rd/docker.sock", "Rancher Desktop's"),
            ("/home/me/.orbstack/run/docker.sock", "OrbStack's"),
            ("/run/user/1000/podman/podman.sock", "that of rootless Podman"),
            ("/run/podman/podman.sock", "Podman's"),
        ];
        for (first, (path, of)) in all.iter().enumerate() {
            let there: Vec<_> = all[first..].iter().map(|(path, _)| (*path, "")).collect();
            let found = find(&machine(&USER, &there)).unwrap();
            assert_eq!(found.address, Address::Unix(path.into()));
            assert_eq!(found.why, format!("the first socket that exists, {of}"));
        }
        for socket in ["/run/user/1001/docker.sock", "/run/user/1001/podman/podman.sock"] {
            let status = ("/proc/self/status", "Name:\themostat\nUid:\t1001\t1001\t1001\t1001\n");
            let found = find(&machine(&[], &[status, (socket, "")])).unwrap();
            assert_eq!(found.address, Address::Unix(socket.into()), "without XDG_RUNTIME_DIR");
        }
    }

    #[test]
    fn where_nothing_is_there_it_is_dockers_own_and_what_was_missed_is_known() {
        let found = find(&machine(&USER, &[])).unwrap();
        assert_eq!(found.address, Address::Unix("/var/run/docker.sock".into()));
        assert_eq!(found.missed.len(), 10);
        assert_eq!(
            find(&machine(&[], &[])).unwrap().missed,
            ["/var/run/docker.sock", "/run/podman/podman.sock"].map(PathBuf::from)
        );
        let windows = FakeEnvironment { windows: true, ..machine(&[], &[]) };
        assert_eq!(find(&windows).unwrap().address, Address::Pipe("npipe:////./pipe/docker_engine".into()));
    }

    #[test]
    fn the_context_in_use_wins_over_sockets_and_is_refused_if_it_cannot_be_read() {
        let colima = r#"{"Name": "colima", "Metadata": {}, "Endpoints": {"docker": {"Host": "unix:///home/me/.colima/x.sock", "SkipTLSVerify": false}}}"#;
        let socket = ("/var/run/docker.sock", "");
        let config = |text: &'static str| ("/home/me/.docker/config.json", text);
        let in_use = config(r#"{"auths": {}, "currentContext": "colima"}"#);
        let (theirs, sockets) =
            (Address::Unix("/home/me/.colima/x.sock".into()), Address::Unix("/var/run/docker.sock".into()));
        let meta = meta(COLIMA);
        let with_mark = format!("\u{feff}{colima}");
        for (files, expected) in [
            (vec![in_use, (meta.as_str(), colima), socket], Ok(&theirs)),
            (vec![in_use, (&meta, &with_mark), socket], Ok(&theirs)),
            (vec![config("\u{feff}{\"currentContext\": \"colima\"}"), (&meta, colima), socket], Ok(&theirs)),
            (vec![config(r#"{"currentContext": "default"}"#), (&meta, colima), socket], Ok(&sockets)),
            (vec![config(r#"{"currentContext": null}"#), (&meta, colima), socket], Ok(&sockets)),
            (vec![config(r#"{"auths": {}}"#), (&meta, colima), socket], Ok(&sockets)),
            (vec![config("{"), (&meta, colima), socket], Err("config.json is not valid")),
            (vec![in_use, socket], Err("context colima is in use")),
            (vec![in_use, (&meta, r#"{"Endpoints": {"kubernetes": {}}}"#), socket], Err("says otherwise")),
            (
                vec![in_use, (&meta, r#"{"Endpoints": {"docker": {"Host": "gopher://x"}}}"#), socket],
                Err("its Host should be"),
            ),
        ] {
            match (find(&machine(&USER, &files)), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(&found.address, expected, "{files:?}"),
                (Err(right), Err(says)) => {
                    assert!(right.contains(says) && right.contains("or set docker.host"), "{files:?}: {right}");
                }
                (found, expected) => panic!("{files:?}: {found:?}, not {expected:?}"),
            }
        }
        let elsewhere = [("DOCKER_CONFIG", "/etc/docker-client"), ("HOME", "/home/me")];
        let files = [in_use, (meta.as_str(), colima), socket];
        assert_eq!(find(&machine(&elsewhere, &files)).unwrap().address, sockets);
    }

    #[test]
    fn a_context_that_is_named_must_be_there_and_brings_its_certificates() {
        let far = r#"{"Endpoints": {"docker": {"Host": "tcp://10.0.0.5:2376"}}}"#;
        let tls = format!("/home/me/.docker/contexts/tls/{FAR}/docker");
        let environment = machine(&USER, &[(&meta(FAR), far), (&format!("{tls}/ca.pem"), "")]);
        let found = by_context("far", &environment).unwrap().unwrap();
        assert_eq!(found.address, "tcp://10.0.0.5:2376".parse().unwrap());
        assert_eq!(found.tls_dir, Some(tls.into()));
        assert_eq!(found.why, "the Docker context far");
        assert_eq!(by_context("default", &environment), Ok(None));
        let error = by_context("near", &environment).unwrap_err();
        assert!(error.contains("`docker context ls`") && error.contains("meta.json is not there"), "{error}");
        assert!(by_context("far", &machine(&[], &[])).is_err());
    }
}
