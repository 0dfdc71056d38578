//! The checked configuration: all settings, each with its origin.

use std::{collections::BTreeMap, ops};

use crate::{
    check::{Invalid, check},
    choices::DiagnosisBy,
    error::{Error, Origin},
    section::{Key, Section as _},
    settings::Settings,
    source::{Input, Sources},
};

/// The checked configuration; its [`Settings`] are read as its own fields.
#[derive(Debug, Clone, Default)]
pub struct Config {
    settings: Settings,
    origins: BTreeMap<&'static str, Origin>,
    warnings: Vec<String>,
}

impl ops::Deref for Config {
    type Target = Settings;

    fn deref(&self) -> &Settings {
        &self.settings
    }
}

impl ops::DerefMut for Config {
    fn deref_mut(&mut self) -> &mut Settings {
        &mut self.settings
    }
}

/// One key with its value, for `hemostat config`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// With dots.
    pub key: &'static str,
    /// As it is written in a file; `"***"` for a secret.
    pub value: String,
    /// Where it was set.
    pub origin: Origin,
}

impl Config {
    /// Reads and checks `input`.
    ///
    /// # Errors
    /// When a source cannot be read, a key does not exist or a value is invalid.
    pub fn load(input: &Input) -> Result<Self, Error> {
        let Sources { values, mut warnings } = Sources::read_all(&Self::keys(), input)?;
        let mut config = Self::default();
        for (key, (value, origin)) in values {
            let set = config.settings.set(key, &value).expect("sources give only keys that exist");
            set.map_err(|wrong| wrong.into_error(key, &origin))?;
            config.origins.insert(key, origin);
        }
        let origin = config.origins.entry("alerts.channels").or_default();
        warnings.extend(config.settings.alerts.channels.take_addresses(&input.environment, origin)?);
        if config.analyzer.mode == DiagnosisBy::Rules && config.analyzer.model.is_some() {
            warnings.push(
                "analyzer.model is set, but HemoStat asks no model because analyzer.mode is \"rules\"; set it to \
                 \"model\" or \"both\" to ask the model"
                    .to_owned(),
            );
        }
        config.warnings = warnings;
        check(&config.settings).map_err(|invalid| config.invalid(invalid))?;
        Ok(config)
    }

    /// Every key there is.
    pub fn keys() -> Vec<Key> {
        let mut keys = vec![];
        Settings::keys(&mut |key| keys.push(key));
        keys
    }

    /// Every key with its value and where it was set; secrets as `"***"`.
    pub fn shown(&self) -> Vec<Shown> {
        let mut shown = vec![];
        self.settings.show(&mut |key, value| shown.push(Shown { key, value, origin: self.origin(key) }));
        shown
    }

    /// Sets a key that was checked with all others, and where it was set.
    pub(crate) fn take_over(&mut self, key: &'static str, value: &toml::Value, origin: Origin) {
        if self.settings.set(key, value).is_some_and(|set| set.is_ok()) {
            self.origins.insert(key, origin);
        }
    }

    /// Hands out every key with another value than in `other`.
    pub(crate) fn differing(&self, other: &Self, each: &mut dyn FnMut(&'static str)) {
        self.settings.differing(&other.settings, each);
    }

    /// Where this key was set.
    pub(crate) fn origin(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or_default()
    }

    /// What is odd, but no reason to refuse; for the log once there is one.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    fn invalid(&self, Invalid { key, right }: Invalid) -> Error {
        let shown = self.shown().into_iter().find(|shown| shown.key == key).expect("every key is shown");
        Error::Value { key: key.to_owned(), value: shown.value, origin: shown.origin, right }
    }
}
