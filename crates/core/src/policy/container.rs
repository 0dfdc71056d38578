//! The policy of one container.

use std::collections::BTreeSet;

use hemostat_schema::{
    Percent, Span,
    action::{Mode, RemedyKind},
};
use serde::{Deserialize, Serialize};

/// The policy of one container. Each field names the label that overrides it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerPolicy {
    /// Whether HemoStat watches it (`hemostat.enable`, `autoheal`, `deunhealth.restart.on.unhealthy`).
    pub enabled: bool,
    /// How far HemoStat may go (`hemostat.mode`).
    pub mode: Mode,
    /// Remedies that are allowed (`hemostat.actions`).
    pub remedies: BTreeSet<RemedyKind>,
    /// How long after an incident a new one is not acted on (`hemostat.cooldown`).
    #[serde(with = "super::recorded::written")]
    pub cooldown: Span,
    /// Maximum attempts within the rolling window (`hemostat.max_attempts`); zero forbids every remedy.
    pub max_attempts: u32,
    /// How long it may take to stop (`hemostat.stop_timeout`, `autoheal.stop.timeout`); none: the container's own
    /// timeout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<Span>,
    /// CPU threshold (`hemostat.thresholds.cpu`).
    pub cpu: Percent,
    /// Memory threshold (`hemostat.thresholds.memory`).
    pub memory: Percent,
    /// How long a signal must be above its threshold before its symptom is raised (`hemostat.for`).
    #[serde(with = "super::recorded::written")]
    pub sustained: Span,
    /// How long the health check must fail before `unhealthy` is raised (`hemostat.for`). The default is at once, as
    /// the health check has retries of its own.
    #[serde(with = "super::recorded::written")]
    pub unhealthy: Span,
    /// The grace period after the container was created: a fault that passes within it is not raised
    /// (`hemostat.grace`).
    #[serde(with = "super::recorded::written")]
    pub grace: Span,
    /// An operator works on it; HemoStat does not act (`hemostat.maintenance`).
    pub maintenance: bool,
    /// Labels that cannot be parsed, each with what would be valid.
    #[serde(skip)]
    pub faults: Vec<String>,
}
