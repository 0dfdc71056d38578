//! The policy that HemoStat decides by: the limits of the whole installation, and what the labels of a container
//! override.
//!
//! A label that cannot be parsed never grants a permission: it is reported as a fault, and where it would have
//! restricted something (mode, actions, enable) the most cautious reading applies. Every default stands in one table,
//! in `policy/defaults.rs`.

use hemostat_schema::{Confidence, Span, container::Facts};
use serde::{Deserialize, Serialize};

mod container;
mod defaults;
mod labels;
mod name_patterns;
mod recorded;
mod sensitivity;

pub use container::ContainerPolicy;
pub use hemostat_schema::action::{Mode, RemedyKind};
pub use name_patterns::NamePatterns;
pub use recorded::{Difference, differences};
pub use sensitivity::Sensitivity;

/// The label by which HemoStat recognises its own containers; its value is the role.
pub const ROLE_LABEL: &str = "hemostat.role";

/// The limits of the whole installation. Its form on the log is described in `policy/recorded.rs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// The policy of a container without labels.
    pub container_defaults: ContainerPolicy,
    /// Thresholds of the signals that no label overrides.
    pub sensitivity: Sensitivity,
    /// Names of containers that are observed but never diagnosed or touched.
    pub exclude: NamePatterns,
    /// If not empty, every container whose name does not match is treated as excluded.
    pub only: NamePatterns,
    /// No remedy is carried out; everything else happens.
    pub dry_run: bool,
    /// Minimum confidence of a diagnosis that is acted on.
    pub min_confidence: Confidence,
    /// How old a diagnosis may be before it is no longer acted on.
    #[serde(with = "recorded::written")]
    pub stale_after: Span,
    /// Maximum sick containers on one host; more are a storm, in which no remedy is authorised.
    pub storm_threshold: u32,
    /// The wait between attempts.
    pub backoff: Backoff,
    /// The rolling window in which attempts are counted.
    #[serde(with = "recorded::written")]
    pub attempt_window: Span,
    /// How long the circuit breaker stays tripped.
    #[serde(with = "recorded::written")]
    pub breaker_hold: Span,
    /// How long after a remedy it is judged. A symptom that comes back within this time belongs to the same incident.
    #[serde(with = "recorded::written")]
    pub stabilisation: Span,
    /// How long a container must be well before a symptom is cleared.
    #[serde(with = "recorded::written")]
    pub clear_after: Span,
    /// Restarts by Docker within `loop_within` that are a restart loop.
    pub loop_restarts: u32,
    /// See `loop_restarts`.
    #[serde(with = "recorded::written")]
    pub loop_within: Span,
    /// How often a sample of each container is put on the log. Every sample is evaluated.
    #[serde(with = "recorded::written")]
    pub sample_every: Span,
    /// How long a diagnosis waits for the examination of the container; zero: it does not wait.
    #[serde(with = "recorded::written")]
    pub examine_within: Span,
    /// Whether a language model takes part in diagnoses.
    pub opinion: Opinion,
    /// Which alerts are raised.
    pub alerts: AlertPolicy,
}

/// Whether a language model takes part in diagnoses.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Opinion {
    /// No: the rules decide.
    #[default]
    Rules,
    /// The model decides; if it fails, the rules do.
    Decides(Model),
    /// The rules decide; the model is asked as well and compared with them.
    Shadows(Model),
}

/// A language model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// The provider: `openai`, `anthropic`.
    pub provider: String,
    /// The provider's name for it.
    pub name: String,
}

/// Which alerts are raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AlertPolicy {
    /// Whether any alert is raised.
    pub enabled: bool,
    /// For which incidents.
    pub scope: AlertScope,
}

/// The incidents for which an alert is raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr, strum::VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum AlertScope {
    /// All of them, when they begin and when they end.
    Incidents,
    /// Only those that HemoStat cannot or must not heal.
    Failures,
}

/// Exponential backoff between the attempts of one incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Backoff {
    /// The wait after the first attempt.
    #[serde(with = "recorded::written")]
    pub first: Span,
    /// Each further wait is this many times longer.
    pub factor: u32,
    /// The maximum wait.
    #[serde(with = "recorded::written")]
    pub cap: Span,
}

impl Backoff {
    /// How long to wait after attempt `n`, counted from 1.
    pub fn after(&self, n: u32) -> Span {
        let factor = u64::from(self.factor).saturating_pow(n.saturating_sub(1));
        self.first.times(factor).min(self.cap)
    }
}

impl Policy {
    /// The policy of the container with these facts: the defaults, overridden by its labels.
    pub fn for_container(&self, facts: &Facts) -> ContainerPolicy {
        labels::apply_labels(&self.container_defaults, &facts.labels)
    }

    /// Why HemoStat must not heal this container, if it must not: it is part of HemoStat, its name is excluded, or a
    /// scheduler heals it.
    ///
    /// An owner opts a container out by label; see [`ContainerPolicy::enabled`].
    pub fn protection(&self, name: &str, facts: &Facts) -> Option<String> {
        if let Some(role) = facts.labels.get(ROLE_LABEL) {
            return Some(format!("it is part of HemoStat itself ({ROLE_LABEL}={role})"));
        }
        if self.exclude.contains(name) {
            return Some(format!("its name, {name}, is excluded by configuration"));
        }
        if !self.only.is_empty() && !self.only.contains(name) {
            return Some(format!("its name, {name}, is not among those that the configuration limits HemoStat to"));
        }
        facts.swarm.as_ref().map(|swarm| format!("Swarm heals the tasks of its service {}", swarm.service))
    }

    /// The policy of a container whose symptoms are watched; none for one that is only observed and shown.
    pub fn watched(&self, name: &str, facts: &Facts) -> Option<ContainerPolicy> {
        let container = self.for_container(facts);
        (container.enabled && self.protection(name, facts).is_none()).then_some(container)
    }

    /// Whether symptoms of this container are watched; see [`Policy::watched`].
    pub fn watches(&self, name: &str, facts: &Facts) -> bool {
        self.watched(name, facts).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{facts, labelled};

    #[test]
    fn a_container_of_hemostat_an_excluded_one_and_a_scheduled_one_are_protected() {
        let policy = Policy { exclude: NamePatterns::new(["hemostat-*", "db"]).unwrap(), ..Policy::default() };
        let own = labelled(ROLE_LABEL, "monitor");
        let swarm = hemostat_schema::container::Swarm { service_id: "s1".into(), service: "web".into() };
        let check = |name: &str, facts: &Facts, reason: Option<&str>| {
            let why = policy.protection(name, facts);
            assert_eq!(why.is_some(), reason.is_some(), "{name}: {why:?}");
            assert!(why.unwrap_or_default().contains(reason.unwrap_or_default()));
            assert_eq!(policy.watches(name, facts), reason.is_none());
        };
        check("api", &facts(), None);
        check("api", &own, Some("HemoStat itself"));
        check("hemostat-redis", &facts(), Some("excluded"));
        check("db", &facts(), Some("excluded"));
        check("db-2", &facts(), None);
        check("web.1", &Facts { swarm: Some(swarm), ..facts() }, Some("Swarm"));
    }

    #[test]
    fn with_a_list_of_names_all_other_containers_are_protected() {
        let policy = Policy { only: NamePatterns::new(["api-*"]).unwrap(), ..Policy::default() };
        assert!(policy.watches("api-1", &facts()));
        assert!(!policy.watches("web-1", &facts()));
    }

    #[test]
    fn a_container_that_opted_out_is_not_watched() {
        for label in ["hemostat.enable", "autoheal"] {
            assert!(!Policy::default().watches("api", &labelled(label, "False")), "{label}");
        }
    }

    #[test]
    fn the_wait_between_attempts_grows_up_to_a_cap() {
        let waits: Vec<u64> = (1..=7).map(|n| Policy::default().backoff.after(n).as_millis() / 1000).collect();
        assert_eq!(waits, [10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(Policy::default().backoff.after(u32::MAX), Span::from_secs(300));
    }
}
