//! Refuses values that have the right type and still cannot work.

use std::time::Duration;

use hemostat_core::policy::Sensitivity;
use hemostat_log::Durability;
use hemostat_schema::Span;

use crate::{choices::DiagnosisBy, sections::Analyzer, settings::Settings};

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
    positive("responder.max_retries_per_hour", settings.responder.max_retries_per_hour)?;
    positive("responder.storm", settings.responder.storm)?;
    positive("archive.segment_events", settings.archive.segment_events)?;
    positive("notary.every", settings.notary.every)?;
    positive("responder.backoff.factor", settings.responder.backoff.factor)?;
    check_analyzer(&settings.analyzer)
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
