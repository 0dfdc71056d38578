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

/// A gauge that was not set for so long is shown no more: its container is gone or does not run. Whatever is to stay
/// is set again sooner (a lease with each step or renewal).
const IDLE: Duration = Duration::from_secs(300);

static EXPORTER: OnceLock<PrometheusHandle> = OnceLock::new();

/// From here on, figures are counted. Once for each process; again does nothing.
///
/// # Errors
/// When somebody else has already set up metrics.
pub fn init() -> anyhow::Result<()> {
    if EXPORTER.get().is_some() {
        return Ok(());
    }
    let handle = exporter(IDLE)?.install_recorder().context("could not set up metrics")?;
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

/// With the buckets of every histogram; gauges that were not set for `idle` are dropped.
fn exporter(idle: Duration) -> anyhow::Result<PrometheusBuilder> {
    let mut builder = PrometheusBuilder::new().idle_timeout(MetricKindMask::GAUGE, Some(idle));
    for metric in Metric::ALL {
        if let Info { name, kind: Kind::Histogram(buckets), .. } = metric.info() {
            builder = builder
                .set_buckets_for_metric(Matcher::Full(name.to_owned()), buckets)
                .with_context(|| format!("the buckets of {name} are not right"))?;
        }
    }
    Ok(builder)
}

/// All figures, as Prometheus reads them; nothing before [`init`].
pub fn render() -> String {
    EXPORTER.get().map(PrometheusHandle::render).unwrap_or_default()
}

/// Puts measured values into their buckets now and then, so that they do not pile up where nobody asks for them.
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
    fn what_is_counted_is_shown_with_its_meaning() {
        init().unwrap();
        init().unwrap();
        Metric::EventsParked.counter(&[("group", "test")]).increment(2);
        Metric::CommitDuration.histogram(&[("group", "test")]).record(0.002);
        let shown = render();
        assert!(shown.contains("hemostat_events_parked_total{group=\"test\"} 2"), "{shown}");
        assert!(shown.contains("# HELP hemostat_events_parked_total Deliveries"), "{shown}");
        assert!(shown.contains("hemostat_commit_duration_seconds_bucket{group=\"test\",le=\"0.0025\"} 1"), "{shown}");
    }

    #[test]
    fn a_gauge_that_nobody_sets_any_more_is_dropped_and_counters_stay() {
        let recorder = exporter(Duration::from_millis(50)).unwrap().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            Metric::ContainerCpu.gauge(&[("container", "gone")]).set(85.0);
            Metric::EventsParked.counter(&[("group", "test")]).increment(1);
            assert!(handle.render().contains("container=\"gone\""));
            let deadline = Instant::now() + Duration::from_secs(30);
            while handle.render().contains("container=\"gone\"") {
                assert!(Instant::now() < deadline, "it is shown for ever");
                std::thread::sleep(Duration::from_millis(10));
            }
            Metric::ContainerCpu.gauge(&[("container", "back")]).set(1.0);
            let shown = handle.render();
            assert!(shown.contains("container=\"back\"") && shown.contains("hemostat_events_parked_total"), "{shown}");
        });
    }
}
