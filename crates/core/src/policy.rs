//! By what HemoStat decides: the limits of the whole installation, and how labels bend them for one container.
//!
//! A label that cannot be read never gives permission: it is reported as a fault, and where it was to restrict
//! something (mode, actions, enable) the most careful reading stands.

use std::collections::BTreeSet;

use globset::{Glob, GlobSet, GlobSetBuilder};
use hemostat_schema::{Confidence, Percent, Span, action::Remedy, container::Facts};
use serde::{Deserialize, Serialize};

/// The limits of the whole installation.
#[derive(Debug, Clone)]
pub struct Policy {
    /// What holds for a container whose labels say nothing.
    pub care: Care,
    /// Names (globs) of containers that are seen but never diagnosed or touched.
    pub exclude: Names,
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
    /// When people are told.
    pub alerts: AlertPolicy,
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

/// How far HemoStat may go with a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Watch and tell.
    Observe,
    /// Ask a person before each act.
    Approve,
    /// Act.
    Auto,
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
            maintenance: false,
            faults: vec![],
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            care: Care::default(),
            exclude: Names::default(),
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
            alerts: AlertPolicy { enabled: true, tell: Tell::Incidents },
        }
    }
}

impl Policy {
    /// How the container with these facts is cared for: the defaults, bent by its labels.
    pub fn care_of(&self, facts: &Facts) -> Care {
        let _ = facts;
        self.care.clone()
    }
}
