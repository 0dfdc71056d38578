//! The configuration of the demo: time windows of seconds, and only its own patients.

use std::{net::SocketAddr, path::Path, time::Duration};

use hemostat_patient::stage::docker_host;
use hemostat_schema::Span;
use hemostat_settings::Config;

/// The configuration for patients whose names begin with `prefix`.
pub fn config(prefix: &str, data: &Path, webhook: &str) -> Config {
    let mut config = Config::default();
    config.data_dir = Some(data.to_owned());
    config.monitor.interval = Duration::from_millis(500);
    config.monitor.exclude = vec![];
    config.monitor.only = vec![format!("{prefix}-*")];
    config.thresholds.sustained = Span::from_secs(3);
    config.thresholds.clear_after = Span::from_secs(2);
    config.thresholds.grace = Span::ZERO;
    config.responder.stabilisation = Span::from_secs(4);
    config.responder.backoff.first = Span::from_secs(2);
    config.alerts.slack_webhook_url = Some(webhook.to_owned().into());
    // Any free port, so that a running HemoStat is not disturbed.
    config.query.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.docker.host = Some(docker_host());
    config
}
