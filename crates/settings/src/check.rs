//! Refuses values that have the right type and still cannot work.

use std::time::Duration;

use hemostat_core::policy::Sensitivity;
use hemostat_log::{Durability, Options};
use hemostat_schema::Span;
use secrecy::ExposeSecret as _;

use crate::{
    address::WebAddress,
    choices::DiagnosisBy,
    secret::Secret,
    sections::{Alerts, Analyzer},
    settings::Settings,
};

/// A key whose value cannot work.
#[derive(Debug)]
pub(crate) struct Invalid {
    pub key: &'static str,
    /// What would be right.
    pub right: String,
}

/// Checks all settings.
pub(crate) fn check(settings: &Settings) -> Result<(), Invalid> {
    let ms = Duration::from_millis;
    check_addresses(settings)?;
    at_least("docker.timeout", settings.docker.timeout, ms(100))?;
    at_least("monitor.interval", settings.monitor.interval, ms(100))?;
    at_least("monitor.sample_every", settings.monitor.sample_every.into(), ms(100))?;
    for (key, value, most) in [
        ("monitor.log_lines", settings.monitor.log_lines, 1000),
        ("monitor.log_bytes", settings.monitor.log_bytes, 64 << 10),
    ] {
        require(value <= most, key, || format!("at most {most}"))?;
    }
    let disk_every = settings.monitor.disk_every;
    require(disk_every.is_zero() || disk_every >= ms(1000), "monitor.disk_every", || {
        "at least 1 s, as each measurement is expensive; \"0s\" is never".to_owned()
    })?;
    check_channels(&settings.alerts)?;
    at_least("alerts.slack_timeout", settings.alerts.slack_timeout, ms(100))?;
    at_least("runtime.lease_ttl", settings.runtime.lease_ttl, ms(1000))?;
    at_least("redis.durable_within", settings.redis.durable_within, ms(10))?;
    let has_replicas = settings.redis.url.is_some() || !matches!(settings.redis.durability, Durability::Replicas(_));
    require(has_replicas, "redis.durability", || {
        "\"always\" or \"everysec\": HemoStat's own Redis has no replicas (redis.url names another one)".to_owned()
    })?;
    at_least("responder.window", settings.responder.window.into(), ms(1))?;
    at_least("thresholds.loop_within", settings.thresholds.loop_within.into(), ms(1))?;
    positive("thresholds.loop_restarts", settings.thresholds.loop_restarts)?;
    at_least("thresholds.leak_over", settings.thresholds.leak_over.into(), ms(1000))?;
    at_least("thresholds.flaps_within", settings.thresholds.flaps_within.into(), ms(1))?;
    let most = Sensitivity::MAX_FLAPS;
    let flaps = settings.thresholds.flaps;
    require((2..=most).contains(&flaps), "thresholds.flaps", || format!("2 to {most}"))?;
    positive("responder.max_attempts", settings.responder.max_attempts)?;
    positive("responder.storm", settings.responder.storm)?;
    positive("archive.segment_events", settings.archive.segment_events)?;
    positive("notary.every", settings.notary.every)?;
    positive("responder.backoff.factor", settings.responder.backoff.factor)?;
    check_analyzer(&settings.analyzer)
}

/// Whether the addresses of Redis and Slack can be used. They are secrets, so the errors do not repeat them.
fn check_addresses(settings: &Settings) -> Result<(), Invalid> {
    if let Some(url) = settings.redis.url.as_ref().map(Secret::current) {
        let fault = match Options::new(url.expose_secret()) {
            Err(hemostat_log::Error::Url { reason }) => Some(reason),
            Err(other) => Some(other.to_string()),
            Ok(_) => None,
        };
        // The password would end at such a character, and HemoStat would log in without it.
        let is_cut = login(url.expose_secret()).is_some_and(|login| login.contains(['/', '?', '#']));
        let hint = match login(url.expose_secret()) {
            Some(login) if login.contains(['/', '?', '#', '@']) => {
                "; in a user or password, / is written %2F, # %23, ? %3F and @ %40, or the password is set as redis.password"
            }
            _ => "",
        };
        let fault = fault.or_else(|| is_cut.then(|| "the user or the password is not percent-encoded".to_owned()));
        require(fault.is_none(), "redis.url", || {
            format!(
                "redis://user:password@host:6379/0, rediss://host:6379, unix:///path, redis-cluster://host:6379,host:6379 \
                 or redis-sentinel://host:26379,host:26379/master ({}{hint})",
                fault.as_deref().unwrap_or_default()
            )
        })?;
    }
    let slack = settings.alerts.slack_webhook_url.as_ref().map(Secret::current);
    let is_web = slack.is_none_or(|url| url.expose_secret().trim().parse::<WebAddress>().is_ok());
    require(is_web, "alerts.slack_webhook_url", || {
        "a web address; Slack's begin with https://hooks.slack.com/services/".to_owned()
    })
}

/// Whether each channel has a web address, and none the name of the channel that `slack_webhook_url` makes.
fn check_channels(alerts: &Alerts) -> Result<(), Invalid> {
    for entry in &alerts.channels.0 {
        let url = entry.url.as_ref().map(Secret::current);
        let is_web = url.is_some_and(|url| url.expose_secret().trim().parse::<WebAddress>().is_ok());
        require(is_web, "alerts.channels", || {
            format!("a web address as url (or its file as url_file) of the channel {}", entry.name)
        })?;
        let is_taken = entry.name == "slack" && alerts.slack_webhook_url.is_some();
        require(!is_taken, "alerts.channels", || {
            "another name than \"slack\", which is that of alerts.slack_webhook_url".to_owned()
        })?;
    }
    Ok(())
}

/// The user and password in an address of Redis, as far as a person meant them: up to the last `@`.
fn login(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    // The path of a socket may contain anything.
    if scheme.contains("unix") { None } else { rest.rsplit_once('@').map(|(login, _)| login) }
}

/// Whether a model can be asked as configured. The key is not looked for here: only the analyzer needs one, and all roles
/// read the settings.
fn check_analyzer(analyzer: &Analyzer) -> Result<(), Invalid> {
    let is_asked = analyzer.mode != DiagnosisBy::Rules;
    require(!is_asked || analyzer.model.is_some(), "analyzer.mode", || {
        "\"rules\", as long as no model is named (analyzer.model or AI_MODEL, such as \"gpt-4o-mini\")".to_owned()
    })?;
    let second = Duration::from_secs(1);
    require(analyzer.timeout >= second, "analyzer.timeout", || "at least 1 s".to_owned())?;
    positive("analyzer.max_tokens", analyzer.max_tokens)?;
    positive("analyzer.concurrency", analyzer.concurrency)?;
    let has_prices = analyzer.price_in.is_some() && analyzer.price_out.is_some();
    require(analyzer.dollars_per_hour.is_none() || has_prices, "analyzer.dollars_per_hour", || {
        "\"\", unless the prices of tokens are set (analyzer.price_in and analyzer.price_out)".to_owned()
    })
}

fn at_least(key: &'static str, value: Duration, least: Duration) -> Result<(), Invalid> {
    require(value >= least, key, || format!("at least {}", Span::from(least)))
}

fn positive(key: &'static str, value: u32) -> Result<(), Invalid> {
    require(value > 0, key, || "at least 1".to_owned())
}

fn require(holds: bool, key: &'static str, right: impl FnOnce() -> String) -> Result<(), Invalid> {
    if holds { Ok(()) } else { Err(Invalid { key, right: right() }) }
}
