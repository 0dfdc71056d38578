//! How HemoStat is set up: a file, the environment and the command line, checked before anything starts.
//!
//! A bad value is refused with its key, itself, where it was set and what would be right; so is a key that does not
//! exist. Secrets are never shown.

mod address;
mod dollars;
mod hosts;
mod log_filter;
mod sections;
mod setting;
mod source;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fmt, fs, ops,
    path::{Path, PathBuf},
    time::Duration,
};

use hemostat_core::policy::{self, AlertPolicy, Care, Model, Names, Opinion, Policy, Sensitivity};
pub use hemostat_log::Durability;
use hemostat_schema::{HostName, Span};

pub use self::{
    address::WebAddress,
    dollars::Dollars,
    hosts::{Entry, Hosts, Said, Watched},
    sections::{
        Alerts, Analyzer, Archive, Backoff, DiagnosisBy, Docker, LogFormat, ModelProvider, Monitor, Notary, Query,
        Redis, Responder, Retention, Runtime, SampleSource, Settings, Thresholds,
    },
    source::{Alias, FILE_VARIABLE, Input, Key},
};
use self::{log_filter::is_filter, sections::Section as _};

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

/// Where a value was set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Origin {
    /// Nowhere.
    #[default]
    Default,
    /// In this file.
    File(PathBuf),
    /// In this environment variable.
    Environment(String),
    /// On the command line.
    CommandLine,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => path.display().fmt(f),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::CommandLine => f.write_str("command line"),
        }
    }
}

/// Why the configuration is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The file cannot be read, or is not TOML.
    #[error("could not read the configuration file {}: {reason}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A value is not right.
    #[error("{key} = {value} (from {origin}) is not right; right would be {right}")]
    Value {
        /// Which key.
        key: String,
        /// Its value as it was written; `***` for a secret.
        value: String,
        /// Where it was set.
        origin: Origin,
        /// What would be right.
        right: String,
    },
    /// There is no such key.
    #[error(
        "there is no key {key} (from {origin}){}",
        near.as_ref().map(|near| format!("; did you mean {near}?")).unwrap_or_default()
    )]
    Unknown {
        /// As it was written.
        key: String,
        /// Where it was set.
        origin: String,
        /// What was probably meant.
        near: Option<String>,
    },
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
    /// When a source cannot be read, a key does not exist or a value is not right.
    pub fn load(input: &Input) -> Result<Self, Error> {
        let keys = Self::keys();
        let mut sources = source::Sources::read_all(&keys, input)?;
        let settings = Settings::read(&sources)?;
        let mut warnings = std::mem::take(&mut sources.warnings);
        if settings.analyzer.mode == DiagnosisBy::Rules && settings.analyzer.model.is_some() {
            warnings.push(
                "analyzer.model is set, and no model is asked, as analyzer.mode is \"rules\"; \"model\" or \"both\" asks it"
                    .to_owned(),
            );
        }
        let origins = keys.iter().map(|key| (key.name, sources.origin(key.name))).collect();
        let config = Self { settings, origins, warnings };
        config.check()?;
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
        self.settings.show(&mut |key, value| {
            shown.push(Shown { key, value, origin: self.origins.get(key).cloned().unwrap_or_default() });
        });
        shown
    }

    /// What is odd, but no reason to refuse; for the log once there is one.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The limits by which HemoStat decides.
    pub fn policy(&self) -> Policy {
        let (thresholds, responder) = (&self.thresholds, &self.responder);
        Policy {
            care: Care {
                mode: responder.mode,
                remedies: responder.actions.clone(),
                cooldown: responder.cooldown,
                max_retries: responder.max_retries_per_hour,
                cpu: thresholds.cpu_percent,
                memory: thresholds.memory_percent,
                sustained: thresholds.sustained,
                unhealthy: thresholds.unhealthy_for,
                grace: thresholds.grace,
                ..Care::default()
            },
            sensitivity: Sensitivity {
                throttled: thresholds.throttled_percent,
                pressure: thresholds.pressure_percent,
                pids: thresholds.pids_percent,
                leak_over: thresholds.leak_over,
                leak_within: thresholds.leak_within,
                flaps: thresholds.flaps,
                flaps_within: thresholds.flaps_within,
                disk: thresholds.disk_percent,
                adaptive: thresholds.adaptive,
            },
            exclude: names(&self.monitor.exclude),
            only: names(&self.monitor.only),
            dry_run: responder.dry_run,
            confidence: self.analyzer.confidence_threshold,
            stale_after: responder.stale_after,
            storm: responder.storm,
            backoff: policy::Backoff {
                first: responder.backoff.first,
                factor: responder.backoff.factor,
                cap: responder.backoff.cap,
            },
            window: responder.window,
            hold: responder.hold,
            stabilisation: responder.stabilisation,
            clear_after: thresholds.clear_after,
            loop_restarts: thresholds.loop_restarts,
            loop_within: thresholds.loop_within,
            sample_every: self.monitor.sample_every,
            // Nobody waits for what nobody does.
            examine_within: if self.monitor.examine { self.analyzer.examine_within } else { Span::ZERO },
            opinion: self.opinion(),
            alerts: AlertPolicy { enabled: self.alerts.enabled, tell: self.alerts.tell },
        }
    }

    /// Whether a language model has a say. Without one to ask, which is refused when settings are read, it has none.
    fn opinion(&self) -> Opinion {
        let (Some(name), Some(provider)) = (self.analyzer.model.clone(), self.analyzer.provider()) else {
            return Opinion::Rules;
        };
        let model = Model { provider: provider.name().to_owned(), name };
        match self.analyzer.mode {
            DiagnosisBy::Rules => Opinion::Rules,
            DiagnosisBy::Model => Opinion::Decides(model),
            DiagnosisBy::Both => Opinion::Shadows(model),
        }
    }

    /// The name of this host: as configured, or the machine's own.
    pub fn host_name(&self) -> HostName {
        self.host.clone().unwrap_or_else(|| {
            let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
            name.trim().parse().unwrap_or_else(|_| "localhost".parse().expect("localhost is a host name"))
        })
    }

    /// Where the embedded Redis keeps its data: as configured, or the place that the system has for it.
    pub fn data_directory(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(|| {
            let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
            match (variable("XDG_STATE_HOME"), variable("HOME")) {
                (Some(state), _) => state.join("hemostat"),
                (None, Some(home)) if home != Path::new("/root") => home.join(".local/state/hemostat"),
                _ => PathBuf::from("/var/lib/hemostat"),
            }
        })
    }

    /// Where history is archived, if anywhere: as configured, or beside the data of the embedded Redis.
    pub fn archive_url(&self) -> Option<String> {
        match self.archive.url.as_deref() {
            Some("none") => None,
            Some(url) => Some(url.to_owned()),
            None if self.redis.url.is_some() => None,
            None => Some(self.data_directory().join("archive").to_string_lossy().into_owned()),
        }
    }

    /// Values that are of the right type and yet cannot work.
    fn check(&self) -> Result<(), Error> {
        let at_least = |key, value: Duration, least: Duration| {
            self.refuse_unless(value >= least, key, || format!("at least {}", Span::from(least)))
        };
        let positive = |key, value: u32| self.refuse_unless(value > 0, key, || "at least 1".to_owned());
        let ms = Duration::from_millis;

        at_least("docker.timeout", self.docker.timeout, ms(100))?;
        at_least("monitor.interval", self.monitor.interval, ms(100))?;
        at_least("monitor.sample_every", self.monitor.sample_every.into(), ms(100))?;
        for (key, value, most) in [
            ("monitor.log_lines", self.monitor.log_lines, 1000),
            ("monitor.log_bytes", self.monitor.log_bytes, 64 << 10),
        ] {
            self.refuse_unless(value <= most, key, || format!("at most {most}"))?;
        }
        let disk_every = self.monitor.disk_every;
        self.refuse_unless(disk_every.is_zero() || disk_every >= ms(1000), "monitor.disk_every", || {
            "at least 1 s, as it is dear; \"0s\" is never".to_owned()
        })?;
        at_least("alerts.slack_timeout", self.alerts.slack_timeout, ms(100))?;
        at_least("runtime.lease_ttl", self.runtime.lease_ttl, ms(1000))?;
        at_least("redis.durable_within", self.redis.durable_within, ms(10))?;
        let has_replicas = self.redis.url.is_some() || !matches!(self.redis.durability, Durability::Replicas(_));
        self.refuse_unless(has_replicas, "redis.durability", || {
            "\"always\" or \"everysec\": HemoStat's own Redis has no replicas (redis.url names another one)".to_owned()
        })?;
        at_least("responder.window", self.responder.window.into(), ms(1))?;
        at_least("thresholds.loop_within", self.thresholds.loop_within.into(), ms(1))?;
        positive("thresholds.loop_restarts", self.thresholds.loop_restarts)?;
        at_least("thresholds.leak_over", self.thresholds.leak_over.into(), ms(1000))?;
        at_least("thresholds.flaps_within", self.thresholds.flaps_within.into(), ms(1))?;
        let most = Sensitivity::MOST_FLAPS;
        self.refuse_unless((2..=most).contains(&self.thresholds.flaps), "thresholds.flaps", || format!("2 to {most}"))?;
        positive("responder.max_retries_per_hour", self.responder.max_retries_per_hour)?;
        positive("responder.storm", self.responder.storm)?;
        positive("archive.segment_events", self.archive.segment_events)?;
        positive("notary.every", self.notary.every)?;
        positive("responder.backoff.factor", self.responder.backoff.factor)?;
        self.check_analyzer()?;
        self.refuse_unless(is_filter(&self.log_level), "log_level", || {
            "error, warn, info, debug or trace, or directives such as info,hemostat_monitor=debug".to_owned()
        })
    }

    /// Whether a model can be asked as it is configured. That there is a key is not looked for here: only the analyzer
    /// needs one, and all roles read this.
    fn check_analyzer(&self) -> Result<(), Error> {
        let analyzer = &self.analyzer;
        let is_asked = analyzer.mode != DiagnosisBy::Rules;
        self.refuse_unless(!is_asked || analyzer.model.is_some(), "analyzer.mode", || {
            "\"rules\", as long as no model is named (analyzer.model or AI_MODEL, such as \"gpt-4o-mini\")".to_owned()
        })?;
        let second = Duration::from_secs(1);
        self.refuse_unless(analyzer.timeout >= second, "analyzer.timeout", || "at least 1 s".to_owned())?;
        self.refuse_unless(analyzer.max_tokens > 0, "analyzer.max_tokens", || "at least 1".to_owned())?;
        self.refuse_unless(analyzer.concurrency > 0, "analyzer.concurrency", || "at least 1".to_owned())?;
        let has_prices = analyzer.price_in.is_some() && analyzer.price_out.is_some();
        self.refuse_unless(analyzer.dollars_per_hour.is_none() || has_prices, "analyzer.dollars_per_hour", || {
            "\"\", as long as it is not said what tokens cost (analyzer.price_in and analyzer.price_out)".to_owned()
        })
    }

    fn refuse_unless(&self, right: bool, key: &'static str, say: impl FnOnce() -> String) -> Result<(), Error> {
        if right {
            return Ok(());
        }
        let shown = self.shown().into_iter().find(|shown| shown.key == key).expect("every key is shown");
        Err(Error::Value { key: key.to_owned(), value: shown.value, origin: shown.origin, right: say() })
    }
}

/// Globs as names.
fn names(globs: &[String]) -> Names {
    Names::new(globs.iter().map(String::as_str)).expect("the globs were tried when the configuration was read")
}
