//! systemd's credentials: the files in `$CREDENTIALS_DIRECTORY`, of which each is a secret with the name of its key.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{section::Key, suggestion::nearest};

/// Set by systemd: the directory with a unit's credentials.
pub(crate) const VARIABLE: &str = "CREDENTIALS_DIRECTORY";

/// The credentials that are secrets of HemoStat's, and warnings about what cannot be used.
#[derive(Debug, Default)]
pub(crate) struct Credentials {
    files: Vec<(String, PathBuf)>,
    pub warnings: Vec<String>,
}

impl Credentials {
    pub fn read(keys: &[Key], directory: &Path) -> Self {
        let names = fs::read_dir(directory).and_then(|entries| {
            entries
                .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                .collect::<std::io::Result<Vec<_>>>()
        });
        let mut names = match names {
            Ok(names) => names,
            Err(error) => {
                let directory = directory.display();
                let warning = format!(
                    "could not read the directory {directory} that the environment variable {VARIABLE} names: {error}; \
                     HemoStat takes no secret from it. Unset the variable, or let HemoStat's user read the directory"
                );
                return Self { files: vec![], warnings: vec![warning] };
            }
        };
        names.sort();
        let mut credentials = Self::default();
        for name in names {
            match keys.iter().find(|key| key.name == name) {
                Some(key) if key.secret => credentials.files.push((name.clone(), directory.join(&name))),
                Some(_) => credentials.warnings.push(format!(
                    "the credential {name} in {} has no effect: only secrets are read from credentials, and {name} is none",
                    directory.display()
                )),
                None => credentials.warnings.extend(near(keys, &name).map(|key| {
                    format!(
                        "the credential {name} in {} means nothing to HemoStat; did you mean {key}?",
                        directory.display()
                    )
                })),
            }
        }
        credentials
    }

    /// The file of this key's secret.
    pub fn file(&self, key: &Key) -> Option<&Path> {
        self.files.iter().find(|(name, _)| name == key.name).map(|(_, path)| path.as_path())
    }
}

/// The secret that was probably meant by the name of a credential: one in capitals, or with `_` for the dot, also one of
/// the names of its variable.
fn near(keys: &[Key], name: &str) -> Option<&'static str> {
    let plain = |name: &str| name.to_lowercase().replace(['-', '.'], "_").replace("__", "_");
    let secrets = || keys.iter().filter(|key| key.secret);
    let name = plain(name);
    let exact = secrets().find(|key| {
        plain(key.name).ends_with(&name) && name.contains('_')
            || key.variables().any(|variable| plain(&variable) == name)
    });
    if let Some(key) = exact {
        return Some(key.name);
    }
    let found = nearest(&name, secrets().map(|key| plain(key.name)))?;
    secrets().find(|key| plain(key.name) == found).map(|key| key.name)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::tests::load;

    #[test]
    fn a_credential_that_cannot_be_used_is_warned_about() {
        for (name, says) in [
            ("redis.password", None),
            ("redis_password", Some("did you mean redis.password?")),
            ("REDIS_PASSWORD", Some("did you mean redis.password?")),
            ("redis-pasword", Some("did you mean redis.password?")),
            ("slack_webhook_url", Some("did you mean alerts.slack_webhook_url?")),
            ("HF_TOKEN", Some("did you mean analyzer.huggingface_api_key?")),
            ("monitor.interval", Some("only secrets are read from credentials")),
            ("tls.key", None),
            ("postgres", None),
        ] {
            let directory = tempfile::tempdir().unwrap();
            fs::write(directory.path().join(name), "s3cret").unwrap();
            let path = directory.path().to_str().unwrap();
            let config = load("", &[("CREDENTIALS_DIRECTORY", path)], &[]).unwrap();
            match (config.warnings(), says) {
                ([], None) => {}
                ([warning], Some(says)) => {
                    assert!(warning.contains(says) && warning.contains(name) && warning.contains(path), "{warning}");
                }
                (warnings, says) => panic!("{name}: {warnings:?}, not {says:?}"),
            }
        }
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("missing");
        let config = load("", &[("CREDENTIALS_DIRECTORY", missing.to_str().unwrap())], &[]).unwrap();
        let [warning] = config.warnings() else { panic!("{:?}", config.warnings()) };
        assert!(warning.contains("missing") && warning.contains("variable CREDENTIALS_DIRECTORY"), "{warning}");
    }
}
