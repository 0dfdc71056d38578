//! What was measured at one instant, in whole numbers: rows of these are small.

use std::collections::BTreeMap;

use hemostat_schema::{
    Event, Observation, Percent, Recorded, Sample, Span, Timestamp, container::Vitals, sample::Disk,
};
use serde::{Deserialize, Serialize};

/// How long a sample holds that says nothing about it: those of earlier versions of HemoStat came every half minute.
const UNPROMISED: Span = Span::from_secs(120);
/// How long the measurement of a disk holds; a disk is measured, and written, every few minutes.
const DISK_HOLDS: Span = Span::from_secs(1800);
/// The longest promise that is believed.
const MAX_HOLD: Span = Span::from_secs(3600);

/// A measured figure. The number of each is stored and never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, strum::VariantArray)]
#[serde(try_from = "u8", into = "u8")]
pub enum Figure {
    /// CPU in hundredths of a per cent.
    Cpu,
    /// Memory in hundredths of a per cent.
    Memory,
    /// Memory in bytes.
    MemoryBytes,
    /// The memory limit in bytes.
    MemoryLimit,
    /// Processes and threads.
    Pids,
    /// The share of scheduler periods in which the CPU limit throttled it, in hundredths of a per cent.
    Throttled,
    /// The share of the time in which it waited for a CPU, in hundredths of a per cent.
    CpuPressure,
    /// The same for memory.
    MemoryPressure,
    /// The same for a disk.
    DiskPressure,
    /// Bytes received: in total, or per second.
    NetworkRx,
    /// Bytes sent: in total, or per second.
    NetworkTx,
    /// Bytes read from block devices: in total, or per second.
    BlockRead,
    /// Bytes written to block devices: in total, or per second.
    BlockWrite,
    /// The used share of the host's disk, in hundredths of a per cent.
    DiskUsed,
    /// The used bytes of the host's disk.
    DiskUsedBytes,
}

impl Figure {
    /// Whether the number is a share in hundredths of a per cent.
    pub fn is_share(self) -> bool {
        match self {
            Self::Cpu
            | Self::Memory
            | Self::Throttled
            | Self::CpuPressure
            | Self::MemoryPressure
            | Self::DiskPressure
            | Self::DiskUsed => true,
            Self::MemoryBytes
            | Self::MemoryLimit
            | Self::Pids
            | Self::NetworkRx
            | Self::NetworkTx
            | Self::BlockRead
            | Self::BlockWrite
            | Self::DiskUsedBytes => false,
        }
    }

    /// Whether a reading counts bytes since the container started, so that only its growth says something.
    pub fn is_counter(self) -> bool {
        matches!(self, Self::NetworkRx | Self::NetworkTx | Self::BlockRead | Self::BlockWrite)
    }
}

impl From<Figure> for u8 {
    fn from(figure: Figure) -> Self {
        figure as Self
    }
}

impl TryFrom<u8> for Figure {
    type Error = String;
    fn try_from(number: u8) -> Result<Self, String> {
        let known = <Self as strum::VariantArray>::VARIANTS.get(usize::from(number));
        known.copied().ok_or_else(|| format!("{number} is not the number of a figure"))
    }
}

/// Figures by name.
pub type Figures = BTreeMap<Figure, u64>;

/// What was measured at one instant, and until when it holds. Times are milliseconds since the epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "(i64, i64, Figures)", into = "(i64, i64, Figures)")]
pub struct Reading {
    /// When it was measured.
    pub at: i64,
    /// It holds until the next reading, but not longer than until then.
    pub until: i64,
    /// The figures; bytes of networks and block devices since the container started.
    pub figures: Figures,
}

impl From<(i64, i64, Figures)> for Reading {
    fn from((at, until, figures): (i64, i64, Figures)) -> Self {
        Self { at, until, figures }
    }
}

impl From<Reading> for (i64, i64, Figures) {
    fn from(Reading { at, until, figures }: Reading) -> Self {
        (at, until, figures)
    }
}

impl Reading {
    fn new(at: Timestamp, holds: Span, figures: Figures) -> Self {
        Self { at: at.as_millisecond(), until: holds.min(MAX_HOLD).after(at).as_millisecond(), figures }
    }

    /// The figures that are no counters.
    pub(super) fn gauges(&self) -> impl Iterator<Item = (Figure, u64)> {
        let gauges = self.figures.iter().filter(|(figure, _)| !figure.is_counter());
        gauges.filter(|(figure, _)| **figure != Figure::MemoryLimit).map(|(figure, value)| (*figure, *value))
    }

    /// The growth of the counters until the reading `next`, in bytes per second; none of a counter that began again.
    pub(super) fn rates(&self, next: &Self) -> impl Iterator<Item = (Figure, u64)> {
        let passed = u128::try_from(next.at.saturating_sub(self.at)).unwrap_or(0);
        let counters = self.figures.iter().filter(|(figure, _)| figure.is_counter());
        counters.filter_map(move |(figure, before)| {
            let grown = u128::from(next.figures.get(figure)?.checked_sub(*before)?) * 1000;
            Some((*figure, u64::try_from(grown.checked_div(passed)?).unwrap_or(u64::MAX)))
        })
    }
}

/// What an event says about what is measured.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::views) enum Change {
    /// It was measured.
    Measured(Reading),
    /// Since this instant, in milliseconds since the epoch, the last reading does not hold: measuring failed, or the run
    /// ended.
    Ended(i64),
}

impl Change {
    pub(in crate::views) fn of(event: &Recorded) -> Option<Self> {
        let is_container = event.subject.container.is_some();
        Some(match event.event()? {
            Event::Sample(Sample::Container(sample)) if is_container => {
                Self::Measured(Reading::new(event.at, sample.holds, vitals(&sample.vitals)))
            }
            Event::Observation(Observation::Sampled(old)) if is_container => {
                Self::Measured(Reading::new(event.at, UNPROMISED, vitals(&old.vitals)))
            }
            Event::Sample(Sample::Disk(measured)) => Self::Measured(Reading::new(event.at, DISK_HOLDS, disk(measured))),
            Event::Observation(Observation::DiskMeasured(old)) => {
                Self::Measured(Reading::new(event.at, DISK_HOLDS, disk(&old.0)))
            }
            Event::Sample(Sample::Unmeasured(unmeasured)) => Self::Ended(unmeasured.since.as_millisecond()),
            Event::Observation(
                Observation::Started(_) | Observation::Exited(_) | Observation::Paused(_) | Observation::Removed(_),
            ) => Self::Ended(event.at.as_millisecond()),
            Event::Sample(_) | Event::Observation(_) | Event::Diagnosis(_) | Event::Action(_) | Event::Alert(_) => {
                return None;
            }
        })
    }
}

fn vitals(vitals: &Vitals) -> Figures {
    let strain = &vitals.strain;
    let shares = [
        (Figure::Cpu, Some(vitals.cpu)),
        (Figure::Memory, Some(vitals.memory)),
        (Figure::Throttled, strain.throttled),
        (Figure::CpuPressure, strain.cpu),
        (Figure::MemoryPressure, strain.memory),
        (Figure::DiskPressure, strain.disk),
    ];
    let counts = [
        (Figure::MemoryBytes, vitals.memory_used.0),
        (Figure::MemoryLimit, vitals.memory_limit.0),
        (Figure::Pids, vitals.pids),
        (Figure::NetworkRx, vitals.network_rx.0),
        (Figure::NetworkTx, vitals.network_tx.0),
        (Figure::BlockRead, vitals.block_read.0),
        (Figure::BlockWrite, vitals.block_write.0),
    ];
    let shares = shares.into_iter().filter_map(|(figure, value)| Some((figure, hundredths(value?))));
    shares.chain(counts).collect()
}

fn disk(disk: &Disk) -> Figures {
    let used = disk.size.0.saturating_sub(disk.available.0);
    [(Figure::DiskUsed, hundredths(disk.used())), (Figure::DiskUsedBytes, used)].into()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number from 0 to 10,000")]
fn hundredths(share: Percent) -> u64 {
    (share.get() * 100.0).round() as u64
}
