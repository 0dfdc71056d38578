//! Exposes the metrics of [`hemostat_runtime::Metric`] in Prometheus' text format.

use std::{sync::OnceLock, time::Duration};

use anyhow::Context as _;
use hemostat_runtime::{
    Metric,
    metrics::{Info, Kind},
};
use metrics::{describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_util::MetricKindMask;

/// How long a gauge is exported after it was last set: its container is then gone or stopped. A gauge that must stay is
/// set more often (a lease's at each step or renewal).
const GAUGE_TIMEOUT: Duration = Duration::from_secs(300);

static EXPORTER: OnceLock<PrometheusHandle> = OnceLock::new();

/// Installs the recorder of metrics. A second call in the same process does nothing.
///
/// # Errors
/// When another recorder is installed already.
pub fn init() -> anyhow::Result<()> {
    if EXPORTER.get().is_some() {
        return Ok(());
    }
    let handle = exporter(GAUGE_TIMEOUT)?.install_recorder().context("could not set up metrics")?;
    let _ = EXPORTER.set(handle);
    for metric in Metric::ALL {
        let Info { name, unit, help, kind } = metric.info();
        match kind {
            Kind::Counter => describe_counter!(name, unit, help),
            Kind::Gauge => describe_gauge!(name, unit, help),
            Kind::Histogram(_) => describe_histogram!(name, unit, help),
        }
    }
    Ok(())
}

/// An exporter with the buckets of every histogram, which drops gauges that were not set for `idle`.
fn exporter(idle: Duration) -> anyhow::Result<PrometheusBuilder> {
    let mut builder = PrometheusBuilder::new().idle_timeout(MetricKindMask::GAUGE, Some(idle));
    for metric in Metric::ALL {
        if let Info { name, kind: Kind::Histogram(buckets), .. } = metric.info() {
            builder = builder
                .set_buckets_for_metric(Matcher::Full(name.to_owned()), buckets)
                .with_context(|| format!("the buckets of {name} are invalid"))?;
        }
    }
    Ok(builder)
}

/// All metrics in Prometheus' text format; empty before [`init`].
pub fn render() -> String {
    EXPORTER.get().map(PrometheusHandle::render).unwrap_or_default()
}

/// Periodically sorts recorded values into their buckets, so that they do not accumulate when no one scrapes.
pub(crate) async fn upkeep() {
    let mut tick = tokio::time::interval(Duration::from_secs(10));
    loop {
        tick.tick().await;
        if let Some(exporter) = EXPORTER.get() {
            exporter.run_upkeep();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_metric_is_exported_with_its_help_text() {
        init().unwrap();
        init().unwrap();
        Metric::EventsDeadLettered.counter(&[("group", "test")]).increment(2);
        Metric::CommitDuration.histogram(&[("group", "test")]).record(0.002);
        let shown = render();
        assert!(shown.contains("hemostat_events_parked_total{group=\"test\"} 2"), "{shown}");
        assert!(shown.contains("# HELP hemostat_events_parked_total Deliveries"), "{shown}");
        assert!(shown.contains("hemostat_commit_duration_seconds_bucket{group=\"test\",le=\"0.0025\"} 1"), "{shown}");
    }

    #[test]
    fn a_gauge_that_is_no_longer_set_is_dropped_and_counters_stay() {
        let recorder = exporter(Duration::from_millis(50)).unwrap().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            Metric::ContainerCpu.gauge(&[("container", "gone")]).set(85.0);
            Metric::EventsDeadLettered.counter(&[("group", "test")]).increment(1);
            assert!(handle.render().contains("container=\"gone\""));
            let deadline = Instant::now() + Duration::from_secs(30);
            while handle.render().contains("container=\"gone\"") {
                assert!(Instant::now() < deadline, "it is never dropped");
                std::thread::sleep(Duration::from_millis(10));
            }
            Metric::ContainerCpu.gauge(&[("container", "back")]).set(1.0);
            let shown = handle.render();
            assert!(shown.contains("container=\"back\"") && shown.contains("hemostat_events_parked_total"), "{shown}");
        });
    }
}
