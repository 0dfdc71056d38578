//! What was measured of a container, as the API shows it.

use hemostat_core::views::metrics::{self, Figure, Figures, Reading};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// What a container used, in buckets of five minutes.
#[derive(Debug, Serialize, ToSchema)]
pub struct ContainerMetrics {
    /// The container: `host/name`.
    #[schema(example = "docker-1/api-1")]
    pub container: String,
    /// The length of a bucket in seconds.
    #[schema(example = 300)]
    pub bucket_seconds: u64,
    /// The buckets in which something was measured, the oldest first.
    pub buckets: Vec<MetricsBucket>,
}

/// What a container used in five minutes. A figure is null if it was not measured.
#[derive(Debug, Serialize, ToSchema)]
pub struct MetricsBucket {
    /// When the bucket begins.
    at: Timestamp,
    /// For how many seconds of it the container was measured.
    measured_seconds: f64,
    /// CPU, in percent of its limit or of the host.
    cpu_percent: Option<Digest>,
    /// Memory without page cache, in percent of its limit or of the host.
    memory_percent: Option<Digest>,
    /// Memory without page cache, in bytes.
    memory_bytes: Option<Digest>,
    /// Processes and threads.
    pids: Option<Digest>,
    /// Share of the scheduler periods in which its CPU limit throttled it, in percent.
    throttled_percent: Option<Digest>,
    /// Share of the time in which it waited for a CPU, in percent.
    cpu_pressure_percent: Option<Digest>,
    /// Share of the time in which it waited for memory, in percent.
    memory_pressure_percent: Option<Digest>,
    /// Share of the time in which it waited for a disk, in percent.
    disk_pressure_percent: Option<Digest>,
    /// Bytes received per second.
    network_rx_per_second: Option<Digest>,
    /// Bytes sent per second.
    network_tx_per_second: Option<Digest>,
    /// Bytes read from block devices per second.
    block_read_per_second: Option<Digest>,
    /// Bytes written to block devices per second.
    block_write_per_second: Option<Digest>,
    /// The used share of the host's disk with Docker's data, in percent.
    host_disk_percent: Option<Digest>,
    /// The used bytes of that disk.
    host_disk_bytes: Option<Digest>,
}

/// A figure over the time in which it was measured.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = MetricsDigest)]
pub struct Digest {
    /// The minimum.
    min: f64,
    /// The mean, weighted by time.
    mean: f64,
    /// The maximum.
    max: f64,
}

/// The samples of the hour around an incident.
#[derive(Debug, Serialize, ToSchema)]
pub struct IncidentSamples {
    /// The incident.
    pub incident: String,
    /// The container: `host/name`.
    #[schema(example = "docker-1/api-1")]
    pub container: String,
    /// The samples from half an hour before its beginning to half an hour after its end, the oldest first; of a long
    /// incident only the first and the last thousand.
    pub samples: Vec<IncidentSample>,
    /// Number of samples omitted in between.
    pub omitted: usize,
}

/// What was measured at one time. A figure is null if it was not measured; all are if measuring failed or the run ended.
#[derive(Debug, Serialize, ToSchema)]
pub struct IncidentSample {
    /// When.
    at: Timestamp,
    /// It holds until the next sample, but not longer than until then.
    holds_until: Timestamp,
    /// CPU, in percent of its limit or of the host.
    cpu_percent: Option<f64>,
    /// Memory without page cache, in percent of its limit or of the host.
    memory_percent: Option<f64>,
    /// Memory without page cache, in bytes.
    memory_bytes: Option<f64>,
    /// 100 percent of `memory_percent`, in bytes.
    memory_limit_bytes: Option<f64>,
    /// Processes and threads.
    pids: Option<f64>,
    /// Share of the scheduler periods in which its CPU limit throttled it, in percent.
    throttled_percent: Option<f64>,
    /// Share of the time in which it waited for a CPU, in percent.
    cpu_pressure_percent: Option<f64>,
    /// Share of the time in which it waited for memory, in percent.
    memory_pressure_percent: Option<f64>,
    /// Share of the time in which it waited for a disk, in percent.
    disk_pressure_percent: Option<f64>,
    /// Bytes received since the container started.
    network_rx_bytes: Option<f64>,
    /// Bytes sent since the container started.
    network_tx_bytes: Option<f64>,
    /// Bytes read from block devices since the container started.
    block_read_bytes: Option<f64>,
    /// Bytes written to block devices since the container started.
    block_write_bytes: Option<f64>,
}

/// The number that is shown for a stored one.
#[expect(clippy::cast_precision_loss, reason = "numbers in JSON are that precise")]
pub fn shown(figure: Figure, value: u64) -> f64 {
    if figure.is_share() { value as f64 / 100.0 } else { value as f64 }
}

/// The instant this number of milliseconds after the epoch.
pub fn instant(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}

impl MetricsBucket {
    /// A bucket of a container, and the one of its host that begins at the same time.
    pub fn new(at: Timestamp, bucket: &metrics::Bucket, host: Option<&metrics::Bucket>) -> Self {
        let digest = |figure: Figure| {
            let metrics::Digest { min, mean, max } =
                bucket.figures.get(&figure).or_else(|| host?.figures.get(&figure))?;
            Some(Digest { min: shown(figure, *min), mean: shown(figure, *mean), max: shown(figure, *max) })
        };
        Self {
            at,
            measured_seconds: hemostat_schema::Span::from_millis(bucket.measured).as_secs_f64(),
            cpu_percent: digest(Figure::Cpu),
            memory_percent: digest(Figure::Memory),
            memory_bytes: digest(Figure::MemoryBytes),
            pids: digest(Figure::Pids),
            throttled_percent: digest(Figure::Throttled),
            cpu_pressure_percent: digest(Figure::CpuPressure),
            memory_pressure_percent: digest(Figure::MemoryPressure),
            disk_pressure_percent: digest(Figure::DiskPressure),
            network_rx_per_second: digest(Figure::NetworkRx),
            network_tx_per_second: digest(Figure::NetworkTx),
            block_read_per_second: digest(Figure::BlockRead),
            block_write_per_second: digest(Figure::BlockWrite),
            host_disk_percent: digest(Figure::DiskUsed),
            host_disk_bytes: digest(Figure::DiskUsedBytes),
        }
    }
}

impl From<&Reading> for IncidentSample {
    fn from(Reading { at, until, figures }: &Reading) -> Self {
        let figure = |of: Figure| figure(figures, of);
        Self {
            at: instant(*at),
            holds_until: instant(*until),
            cpu_percent: figure(Figure::Cpu),
            memory_percent: figure(Figure::Memory),
            memory_bytes: figure(Figure::MemoryBytes),
            memory_limit_bytes: figure(Figure::MemoryLimit),
            pids: figure(Figure::Pids),
            throttled_percent: figure(Figure::Throttled),
            cpu_pressure_percent: figure(Figure::CpuPressure),
            memory_pressure_percent: figure(Figure::MemoryPressure),
            disk_pressure_percent: figure(Figure::DiskPressure),
            network_rx_bytes: figure(Figure::NetworkRx),
            network_tx_bytes: figure(Figure::NetworkTx),
            block_read_bytes: figure(Figure::BlockRead),
            block_write_bytes: figure(Figure::BlockWrite),
        }
    }
}

fn figure(figures: &Figures, of: Figure) -> Option<f64> {
    figures.get(&of).map(|value| shown(of, *value))
}
