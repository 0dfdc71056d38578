//! By what HemoStat decides: the limits of the whole installation, and how labels bend them for one container.
//!
//! A label that cannot be read never gives permission: it is reported as a fault, and where it was to restrict
//! something (mode, actions, enable) the most careful reading stands.

use std::collections::BTreeSet;

use globset::{Glob, GlobSet, GlobSetBuilder};
use hemostat_schema::{Confidence, Percent, Span, action::Remedy, container::Facts};
use serde::{Deserialize, Serialize};

mod labels;
mod sensitivity;

pub use hemostat_schema::action::Mode;
pub use labels::span;
pub use sensitivity::Sensitivity;

/// The label by which HemoStat knows its own containers; its value is the role.
pub const OWN: &str = "hemostat.role";

/// The limits of the whole installation.
#[derive(Debug, Clone)]
pub struct Policy {
    /// What holds for a container whose labels say nothing.
    pub care: Care,
    /// From where on what is judged over time is too much.
    pub sensitivity: Sensitivity,
    /// Names (globs) of containers that are seen but never diagnosed or touched.
    pub exclude: Names,
    /// Where there are any, every container of another name is treated as excluded.
    pub only: Names,
    /// Nothing is carried out, though everything else happens.
    pub dry_run: bool,
    /// A diagnosis must be at least this sure (default 0.7).
    pub confidence: Confidence,
    /// A diagnosis older than this is not acted on (default 10 min).
    pub stale_after: Span,
    /// More sick containers than this on one host at once are a storm (default 10).
    pub storm: u32,
    /// Spacing of attempts.
    pub backoff: Backoff,
    /// The rolling window of attempts (default 1 h).
    pub window: Span,
    /// How long the breaker stays tripped (default 1 h).
    pub hold: Span,
    /// How long after a remedy it is judged (default 60 s). A symptom that comes back within this time belongs to the
    /// same incident.
    pub stabilisation: Span,
    /// How long a container must be well until a symptom counts as over (default 10 s).
    pub clear_after: Span,
    /// So many restarts by Docker within `loop_within` are a restart loop (default 5).
    pub loop_restarts: u32,
    /// See `loop_restarts` (default 10 min).
    pub loop_within: Span,
    /// A sample of each container goes on the log once in this time, each at another instant of it; all of them are
    /// looked at (default 30 s).
    pub sample_every: Span,
    /// A diagnosis waits so long for the examination of a sick container; zero: it does not wait (default zero).
    pub examine_within: Span,
    /// Whether a language model has a say (default: the rules alone).
    pub opinion: Opinion,
    /// When people are told.
    pub alerts: AlertPolicy,
}

/// Whether a language model has a say in diagnoses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Opinion {
    /// No: the rules decide.
    #[default]
    Rules,
    /// It decides; where it fails the rules do.
    Decides(Model),
    /// The rules decide; it is asked all the same, and compared with them.
    Shadows(Model),
}

/// A language model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// Whose: `openai`, `anthropic`.
    pub provider: String,
    /// Its name with the provider.
    pub name: String,
}

/// When people are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlertPolicy {
    /// Whether anything is told at all.
    pub enabled: bool,
    /// What is worth telling.
    pub tell: Tell,
}

/// What is worth telling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tell {
    /// Every incident, when it begins and when it ends.
    Incidents,
    /// Only incidents that HemoStat could not, or must not, heal.
    Failures,
}

/// Exponential backoff between the attempts of one incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// After the first attempt (default 10 s, as the kubelet's).
    pub first: Span,
    /// Each next one is so many times longer (default 2).
    pub factor: u32,
    /// At most so long (default 5 min).
    pub cap: Span,
}

impl Backoff {
    /// How long to wait after attempt `n`, counted from 1.
    pub fn after(&self, n: u32) -> Span {
        let factor = u64::from(self.factor).saturating_pow(n.saturating_sub(1));
        self.first.times(factor).min(self.cap)
    }
}

/// A remedy without its arguments, for lists of what is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "see Remedy")]
pub enum Allowed {
    Restart,
    Start,
    Stop,
    Scale,
    Cleanup,
    Exec,
}

impl From<&Remedy> for Allowed {
    fn from(remedy: &Remedy) -> Self {
        match remedy {
            Remedy::Restart => Self::Restart,
            Remedy::Start => Self::Start,
            Remedy::Stop => Self::Stop,
            Remedy::Scale => Self::Scale,
            Remedy::Cleanup => Self::Cleanup,
            Remedy::Exec { .. } => Self::Exec,
        }
    }
}

/// How one container is cared for.
#[derive(Debug, Clone, PartialEq)]
pub struct Care {
    /// Whether it is cared for at all (`hemostat.enable`, `autoheal`; default true).
    pub enabled: bool,
    /// How far HemoStat may go (`hemostat.mode`; default auto).
    pub mode: Mode,
    /// What it may do (`hemostat.actions`; default restart and start).
    pub remedies: BTreeSet<Allowed>,
    /// How long after an incident a new one is not acted on (`hemostat.cooldown`; default 1 h).
    pub cooldown: Span,
    /// Attempts in the rolling window (`hemostat.max_retries`; default 3).
    pub max_retries: u32,
    /// How long it may take to stop (`hemostat.stop_timeout`, `autoheal.stop.timeout`; default the container's own).
    pub stop_timeout: Option<Span>,
    /// CPU above this is a symptom (`hemostat.thresholds.cpu`; default 85 %).
    pub cpu: Percent,
    /// Memory above this is a symptom (`hemostat.thresholds.memory`; default 80 %).
    pub memory: Percent,
    /// For how long CPU or memory must be above (`hemostat.for`; default 60 s).
    pub sustained: Span,
    /// For how long Docker must call it unhealthy (`hemostat.for`; default at once, as the health check has its own
    /// retries).
    pub unhealthy: Span,
    /// For how long after it was made what is wrong with it may pass by itself (`hemostat.grace`; default 30 s).
    pub grace: Span,
    /// An operator works on it (`hemostat.maintenance`).
    pub maintenance: bool,
    /// Labels that cannot be read, each with what would be right.
    pub faults: Vec<String>,
}

/// Container names by glob.
#[derive(Debug, Clone, Default)]
pub struct Names(GlobSet);

impl Names {
    /// From globs such as `hemostat-*`.
    ///
    /// # Errors
    /// When one is not a glob.
    pub fn new<'a>(globs: impl IntoIterator<Item = &'a str>) -> Result<Self, globset::Error> {
        let mut set = GlobSetBuilder::new();
        for glob in globs {
            set.add(Glob::new(glob)?);
        }
        set.build().map(Self)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `name` is one of them.
    pub fn contains(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}

impl Default for Care {
    fn default() -> Self {
        Self {
            enabled: true,
            mode: Mode::Auto,
            remedies: BTreeSet::from([Allowed::Restart, Allowed::Start]),
            cooldown: Span::from_secs(3600),
            max_retries: 3,
            stop_timeout: None,
            cpu: Percent::clamped(85.0),
            memory: Percent::clamped(80.0),
            sustained: Span::from_secs(60),
            unhealthy: Span::ZERO,
            grace: Span::from_secs(30),
            maintenance: false,
            faults: vec![],
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            care: Care::default(),
            sensitivity: Sensitivity::default(),
            exclude: Names::default(),
            only: Names::default(),
            dry_run: false,
            confidence: Confidence::clamped(0.7),
            stale_after: Span::from_secs(600),
            storm: 10,
            backoff: Backoff { first: Span::from_secs(10), factor: 2, cap: Span::from_secs(300) },
            window: Span::from_secs(3600),
            hold: Span::from_secs(3600),
            stabilisation: Span::from_secs(60),
            clear_after: Span::from_secs(10),
            loop_restarts: 5,
            loop_within: Span::from_secs(600),
            sample_every: Span::from_secs(30),
            examine_within: Span::ZERO,
            opinion: Opinion::Rules,
            alerts: AlertPolicy { enabled: true, tell: Tell::Incidents },
        }
    }
}

impl Policy {
    /// How the container with these facts is cared for: the defaults, bent by its labels.
    pub fn care_of(&self, facts: &Facts) -> Care {
        labels::bend(&self.care, &facts.labels)
    }

    /// Why this container is nobody's to heal but its owner's, if it is: HemoStat's own, an excluded name, or a task
    /// that a scheduler already heals.
    ///
    /// A container whose owner does not want it looked after says so by label, which is [`Care::enabled`].
    pub fn protection(&self, name: &str, facts: &Facts) -> Option<String> {
        if let Some(role) = facts.labels.get(OWN) {
            return Some(format!("it is part of HemoStat itself ({OWN}={role})"));
        }
        if self.exclude.contains(name) {
            return Some(format!("its name, {name}, is excluded by configuration"));
        }
        if !self.only.is_empty() && !self.only.contains(name) {
            return Some(format!("its name, {name}, is not among those that the configuration limits HemoStat to"));
        }
        facts.swarm.as_ref().map(|swarm| format!("Swarm heals the tasks of its service {}", swarm.service))
    }

    /// Whether symptoms of this container are looked for at all. What is not watched is still seen, and shown.
    pub fn watches(&self, name: &str, facts: &Facts) -> bool {
        self.care_of(facts).enabled && self.protection(name, facts).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{facts, labelled};

    #[test]
    fn what_is_hemostats_own_excluded_or_scheduled_is_protected() {
        let policy = Policy { exclude: Names::new(["hemostat-*", "db"]).unwrap(), ..Policy::default() };
        let own = labelled(OWN, "monitor");
        let swarm = hemostat_schema::container::Swarm { service_id: "s1".into(), service: "web".into() };
        let check = |name: &str, facts: &Facts, says: Option<&str>| {
            let why = policy.protection(name, facts);
            assert_eq!(why.is_some(), says.is_some(), "{name}: {why:?}");
            assert!(why.unwrap_or_default().contains(says.unwrap_or_default()));
            assert_eq!(policy.watches(name, facts), says.is_none());
        };
        check("api", &facts(), None);
        check("api", &own, Some("HemoStat itself"));
        check("hemostat-redis", &facts(), Some("excluded"));
        check("db", &facts(), Some("excluded"));
        check("db-2", &facts(), None);
        check("web.1", &Facts { swarm: Some(swarm), ..facts() }, Some("Swarm"));
    }

    #[test]
    fn a_hemostat_that_is_limited_to_some_names_leaves_all_others_alone() {
        let policy = Policy { only: Names::new(["api-*"]).unwrap(), ..Policy::default() };
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
    fn the_gaps_between_attempts_grow_up_to_a_cap() {
        let gaps: Vec<u64> = (1..=7).map(|n| Policy::default().backoff.after(n).as_millis() / 1000).collect();
        assert_eq!(gaps, [10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(Policy::default().backoff.after(u32::MAX), Span::from_secs(300));
    }
}
