//! Reading the configuration again while HemoStat runs: what is taken over at once, and what waits for a restart.
//!
//! The policy is taken over at once. Everything else is what tasks were started with (addresses, directories, the model
//! that is asked), so it waits. Which keys belong to the policy follows from [`Settings::policy`]: those that change it.

use std::collections::BTreeSet;

use toml::{Table, Value};

use crate::{
    config::Config,
    error::{Error, Origin},
    section::Section as _,
    settings::Settings,
    source::Input,
};

/// Keys of the policy that are more than policy: the tasks that they start or configure are started once.
const STARTED_WITH: [&str; 4] = ["monitor.examine", "analyzer.mode", "analyzer.model", "analyzer.provider"];

/// What reading the configuration again changes.
#[derive(Debug, Clone)]
pub struct Reloaded {
    /// The configuration in force from now on.
    pub config: Config,
    /// The keys that have changed and wait for a restart.
    pub waiting: Vec<&'static str>,
}

impl Config {
    /// Reads `input` again. Keys of the policy are taken over, all others stay as they are.
    ///
    /// # Errors
    /// As [`Config::load`], and [`Error::Emptied`]: the configuration is refused as a whole, and this one stays in force.
    pub fn reload(&self, input: &Input) -> Result<Reloaded, Error> {
        let read = Self::load(input)?;
        if let Some(path) = &input.file
            && self.sets_something_in_file()
            && !read.sets_something_in_file()
        {
            return Err(Error::Emptied { path: path.clone() });
        }
        let mut reloaded = Reloaded { config: self.clone(), waiting: vec![] };
        let mut changed = vec![];
        self.differing(&read, &mut |key| changed.push(key));
        for key in changed {
            match read.value(key).filter(|value| is_policy(key, value, self)) {
                Some(value) => reloaded.config.take_over(key, &value, read.origin(key)),
                None => reloaded.waiting.push(key),
            }
        }
        Ok(reloaded)
    }

    /// Where the policy comes from: the sources of the keys that make it differ from the default.
    pub fn policy_origin(&self) -> String {
        let default = Self::default();
        let of_policy = self.shown().into_iter().filter(|shown| shown.origin != Origin::Default);
        let of_policy =
            of_policy.filter(|shown| self.value(shown.key).is_some_and(|value| changes(shown.key, &value, &default)));
        let sources: BTreeSet<String> = of_policy
            .map(|shown| match shown.origin {
                Origin::File(path) => path.display().to_string(),
                Origin::Environment(_) => "environment".to_owned(),
                Origin::CommandLine => "command line".to_owned(),
                origin @ (Origin::Default | Origin::SecretFile { .. } | Origin::Parts { .. }) => origin.to_string(),
            })
            .collect();
        if sources.is_empty() { "defaults".to_owned() } else { Vec::from_iter(sources).join(", ") }
    }

    fn sets_something_in_file(&self) -> bool {
        self.shown().iter().any(|shown| match &shown.origin {
            Origin::File(_) => true,
            Origin::SecretFile { named_by, .. } => matches!(**named_by, Origin::File(_)),
            Origin::Parts { whole, set_by, .. } => {
                [whole, set_by].iter().any(|part| matches!(***part, Origin::File(_)))
            }
            Origin::Default | Origin::Environment(_) | Origin::CommandLine => false,
        })
    }

    /// The value of a key as a file would have it.
    fn value(&self, key: &str) -> Option<Value> {
        let shown = self.shown().into_iter().find(|shown| shown.key == key)?;
        let mut table: Table = toml::from_str(&format!("value = {}", shown.value)).ok()?;
        table.remove("value")
    }
}

/// Whether this value of `key` is part of the policy and nothing else.
fn is_policy(key: &str, value: &Value, before: &Config) -> bool {
    !STARTED_WITH.contains(&key) && changes(key, value, before)
}

/// Whether this value of `key` makes another policy.
fn changes(key: &str, value: &Value, before: &Settings) -> bool {
    let mut settings = before.clone();
    // Without examinations the policy does not say how long a diagnosis waits for one.
    settings.monitor.examine = true;
    let was = settings.policy();
    settings.set(key, value).is_some_and(|set| set.is_ok()) && settings.policy() != was
}

#[cfg(test)]
mod tests {
    use hemostat_schema::Span;

    use super::*;
    use crate::tests::load;

    /// The configuration that was read from `before` reads `after`: the keys that are taken over, and those that wait.
    fn reloaded(before: &str, after: &str) -> (Config, Vec<&'static str>) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("hemostat.toml");
        let input = Input { file: Some(file.clone()), ..Input::default() };
        std::fs::write(&file, before).unwrap();
        let config = Config::load(&input).unwrap();
        std::fs::write(&file, after).unwrap();
        let Reloaded { config, waiting } = config.reload(&input).unwrap();
        (config, waiting)
    }

    #[test]
    fn the_policy_is_taken_over_and_everything_else_waits_for_a_restart() {
        let before = "[responder]\ncooldown = \"1h\"\n[query]\nlisten = \"127.0.0.1:1\"\n[redis]\npassword = \"a\"";
        let after = "data_dir = \"/d\"\n[responder]\ncooldown = \"1m\"\n[thresholds]\ncpu_percent = 50\n\
                     [monitor]\nexclude = [\"db\"]\nexamine = false\n[query]\nlisten = \"127.0.0.1:2\"\n[redis]\npassword = \"b\"";
        let (config, waiting) = reloaded(before, after);
        let policy = config.policy();
        assert_eq!(policy.container_defaults.cooldown, Span::from_secs(60));
        assert_eq!(policy.container_defaults.cpu.get(), 50.0);
        assert!(policy.exclude.contains("db") && !policy.exclude.contains("hemostat-1"));
        assert_eq!(config.query.listen.port(), 1);
        assert!(config.monitor.examine, "the examinations were started");
        assert_eq!(waiting, ["data_dir", "redis.password", "monitor.examine", "query.listen"]);
    }

    #[test]
    fn a_key_that_is_no_longer_set_has_its_default_again() {
        let (config, waiting) = reloaded("[responder]\nmode = \"observe\"\nstorm = 3", "[responder]\nstorm = 3");
        assert_eq!(config.policy().container_defaults.mode, hemostat_core::policy::Mode::Auto);
        assert_eq!((config.origin("responder.mode"), waiting), (Origin::Default, vec![]));
    }

    #[test]
    fn every_key_of_the_policy_is_read_back_as_it_is_shown() {
        let config = Config::default();
        for key in Config::keys().iter().filter(|key| !key.secret) {
            let value = config.value(key.name).unwrap_or_else(|| panic!("{} = {} is no TOML", key.name, key.default));
            let mut settings = Settings::default();
            assert_eq!(settings.set(key.name, &value), Some(Ok(())), "{}", key.name);
            assert!(!changes(key.name, &value, &config), "{} is its default", key.name);
        }
    }

    #[test]
    fn a_wrong_file_is_refused_as_a_whole() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("hemostat.toml");
        let input = Input { file: Some(file.clone()), ..Input::default() };
        std::fs::write(&file, "").unwrap();
        let config = Config::load(&input).unwrap();
        for wrong in
            ["[responder]\nmode = \"observe\"\ncooldown = \"soon\"", "[responder", "[responder]\ncooldwon = \"1m\""]
        {
            std::fs::write(&file, wrong).unwrap();
            let error = config.reload(&input).unwrap_err().to_string();
            assert!(error.contains("hemostat.toml"), "{error}");
        }
    }

    #[test]
    fn a_file_that_sets_nothing_any_more_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("hemostat.toml");
        let input = Input { file: Some(file.clone()), ..Input::default() };
        std::fs::write(&file, "[responder]\nmode = \"observe\"").unwrap();
        let config = Config::load(&input).unwrap();
        for empty in ["", "\n", "# mode = \"observe\"\n", "[responder]\n"] {
            std::fs::write(&file, empty).unwrap();
            let error = config.reload(&input).unwrap_err();
            assert_eq!(error, Error::Emptied { path: file.clone() }, "{empty:?}");
        }
        std::fs::write(&file, "[query]\nlisten = \"127.0.0.1:1\"").unwrap();
        assert!(config.reload(&input).is_ok(), "it sets something else");
    }

    #[test]
    fn the_sources_of_a_policy_are_those_of_the_keys_that_change_it() {
        let file = "[responder]\ncooldown = \"2h\"\n[query]\nlisten = \"127.0.0.1:1\"";
        let origin = |file, variables: &[(&str, &str)], set: &[(&str, &str)]| {
            load(file, variables, set).unwrap().policy_origin()
        };
        assert_eq!(origin("", &[("LOG_LEVEL", "debug")], &[]), "defaults");
        let all = origin(file, &[("RESPONDER_DRY_RUN", "true")], &[("responder.storm", "5")]);
        assert!(
            all.contains("hemostat.toml, command line, environment") || all.contains("command line, environment"),
            "{all}"
        );
        assert!(!origin("[query]\nlisten = \"127.0.0.1:1\"", &[], &[]).contains("hemostat.toml"));
    }

    #[test]
    fn a_policy_has_no_secrets() {
        let secrets: Vec<(String, String)> = Config::keys()
            .into_iter()
            .filter(|key| key.secret)
            .map(|key| (key.name.to_owned(), "rediss://x:hunter2secret@127.0.0.1:1".to_owned()))
            .collect();
        assert!(secrets.len() > 5, "{secrets:?}");
        let secrets: Vec<(&str, &str)> = secrets
            .iter()
            .filter(|(key, _)| key != "alerts.slack_webhook_url")
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .chain([("alerts.slack_webhook_url", "https://hooks.example/hunter2secret"), ("analyzer.mode", "both")])
            .chain([("analyzer.model", "gpt-4o-mini")])
            .collect();
        let policy = load("", &[], &secrets).unwrap().policy();
        assert!(!policy.to_value().to_string().contains("hunter2"), "{}", policy.to_value());
        assert_ne!(policy, load("", &[], &[]).unwrap().policy(), "the model is part of it");
    }
}
