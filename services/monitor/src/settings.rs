//! The settings of one host's monitor.

use std::{sync::Arc, time::Duration};

use hemostat_core::policy::Policy;
use hemostat_redact::Redactor;
use hemostat_schema::HostName;
use tokio::sync::watch;

use crate::{examine, sweep};

/// How a host is monitored.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The host's name.
    pub host: HostName,
    /// How often counters are read.
    pub interval: Duration,
    /// From where they are read.
    pub sampling: sweep::Settings,
    /// How often disks are measured; zero: never.
    pub disk_every: Duration,
    /// Thresholds and durations. When they change, the deadlines of every container are computed again.
    pub policy: watch::Receiver<Arc<Policy>>,
    /// Redacts error texts of the engine.
    pub redactor: Redactor,
    /// How containers with symptoms are examined; `None`: they are not.
    pub examinations: Option<examine::Settings>,
}
