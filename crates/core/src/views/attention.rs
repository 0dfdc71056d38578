//! Why a container is or is not being healed now: a reason for programs and a sentence for people.

use hemostat_schema::{
    Timestamp,
    action::{Refusal, Remedy},
    container::Exit,
    observation::Symptom,
};
use serde::{Deserialize, Serialize};

use crate::observe::condition::OperatorHalt;

/// What HemoStat does about a container, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, strum::IntoStaticStr, strum::VariantNames)]
#[serde(rename_all = "snake_case", tag = "reason")]
#[strum(serialize_all = "snake_case")]
pub enum Attention {
    /// It runs without symptoms.
    Healthy,
    /// It runs, and its resource use is unusual; it is not sick.
    Unusual {
        /// Its symptoms.
        symptoms: Vec<Symptom>,
    },
    /// It runs, and its health check has no result yet.
    Starting,
    /// It does not run and has no symptoms: it was never started, has finished, or Docker restarts it.
    Idle {
        /// How its last run ended; none before its first.
        exit: Option<Exit>,
        /// Whether Docker starts it again by its restart policy.
        docker_restarts: bool,
    },
    /// An operator stopped or paused it; that is intended.
    LeftAlone {
        /// How the operator halted it.
        how: OperatorHalt,
        /// Since when.
        since: Timestamp,
    },
    /// It is sick, and nothing is decided yet.
    Sick {
        /// Its symptoms.
        symptoms: Vec<Symptom>,
    },
    /// It is sick, and the diagnosis names no remedy.
    NoRemedy {
        /// The diagnosis.
        root_cause: String,
    },
    /// A remedy is under way, or has no verdict yet.
    InHand {
        /// The remedy.
        remedy: Remedy,
        /// The number of the attempt.
        attempt: u32,
        /// Maximum attempts.
        of: u32,
        /// When it was authorised.
        since: Timestamp,
    },
    /// A person is asked to approve a remedy.
    WaitingForApproval {
        /// The remedy.
        remedy: Remedy,
        /// When the proposal expires.
        expires: Timestamp,
    },
    /// The last attempt did not help; the next one comes after the backoff.
    BackingOff {
        /// When the backoff ends.
        until: Timestamp,
    },
    /// It is sick again within the cooldown of an earlier incident.
    CoolingDown {
        /// When the cooldown ends.
        until: Timestamp,
    },
    /// HemoStat gave up after unsuccessful attempts.
    GivenUp {
        /// When the circuit breaker lets the next attempt pass.
        until: Timestamp,
    },
    /// It is part of HemoStat, excluded, or healed by a scheduler.
    Protected {
        /// Which of these.
        why: String,
    },
    /// A person denied the remedy, or the proposal expired.
    NotApproved,
    /// The remedy was refused for any other reason.
    Refused {
        /// The remedy.
        remedy: Remedy,
        /// The reason.
        refusal: Refusal,
    },
}

impl Attention {
    /// The reason's wire name, such as `left_alone`.
    pub fn name(&self) -> &'static str {
        self.into()
    }

    /// Until when the reason holds, if that is known.
    pub fn until(&self) -> Option<Timestamp> {
        match self {
            Self::BackingOff { until } | Self::CoolingDown { until } | Self::GivenUp { until } => Some(*until),
            Self::WaitingForApproval { expires, .. } => Some(*expires),
            Self::Refused { refusal, .. } => refusal.until(),
            Self::Healthy
            | Self::Unusual { .. }
            | Self::Starting
            | Self::Idle { .. }
            | Self::LeftAlone { .. }
            | Self::Sick { .. }
            | Self::NoRemedy { .. }
            | Self::InHand { .. }
            | Self::Protected { .. }
            | Self::NotApproved => None,
        }
    }

    /// The reason after a refusal of `remedy` at `at`; none for a refusal that the row shows better from the events
    /// themselves.
    pub(super) fn refused(remedy: Remedy, refusal: Refusal, at: Timestamp) -> Option<Self> {
        Some(match refusal {
            Refusal::InHand | Refusal::Moot => return None,
            Refusal::BackingOff { until } => Self::BackingOff { until },
            Refusal::CoolingDown { until } => Self::CoolingDown { until },
            Refusal::Tripped { until } => Self::GivenUp { until },
            Refusal::Protected { why } => Self::Protected { why },
            Refusal::OperatorStopped => Self::LeftAlone { how: OperatorHalt::Stopped, since: at },
            Refusal::Paused
            | Refusal::Stale { .. }
            | Refusal::Observing
            | Refusal::Maintenance { .. }
            | Refusal::Unsure { .. }
            | Refusal::NotPermitted
            | Refusal::Storm { .. }
            | Refusal::Unsupported { .. }
            | Refusal::NotDurable { .. } => Self::Refused { remedy, refusal },
        })
    }
}

/// The sentence, about an unnamed container: `stopped by an operator at …; HemoStat leaves it alone`.
impl std::fmt::Display for Attention {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Healthy => f.write_str("well; there is nothing to heal"),
            Self::Unusual { symptoms } => {
                write!(f, "well, but its resource use is unusual ({}); there is nothing to heal", listed(symptoms))
            }
            Self::Starting => f.write_str("starting; its health check has no result yet"),
            Self::Idle { exit: None, .. } => f.write_str("never started; there is nothing to heal"),
            Self::Idle { exit: Some(exit), docker_restarts } => {
                let next = match docker_restarts {
                    true => "Docker starts it again by its restart policy",
                    false => "there is nothing to heal",
                };
                write!(f, "{} at {:.0}; {next}", exit.phrase(), exit.at)
            }
            Self::LeftAlone { how: OperatorHalt::Stopped, since } => {
                write!(f, "stopped by an operator at {since:.0}; HemoStat leaves it alone")
            }
            Self::LeftAlone { how: OperatorHalt::Paused, since } => {
                write!(f, "paused by an operator at {since:.0}; HemoStat leaves it alone")
            }
            Self::Sick { symptoms } => write!(f, "sick ({}); HemoStat is deciding what to do", listed(symptoms)),
            Self::NoRemedy { root_cause } => write!(f, "sick; no remedy of HemoStat's would help: {root_cause}"),
            Self::InHand { remedy, attempt, of, since } => write!(
                f,
                "sick; {} under way since {since:.0}, attempt {attempt} of {of}; its outcome is not known yet",
                remedy.name()
            ),
            Self::WaitingForApproval { remedy, expires } => {
                write!(f, "sick; {} waits for a person's approval until {expires:.0}", remedy.name())
            }
            Self::BackingOff { until } => {
                write!(f, "sick; the last attempt did not help, the next is due at {until:.0}")
            }
            Self::CoolingDown { until } => {
                write!(f, "sick again too soon after its last incident; HemoStat does not act on it until {until:.0}")
            }
            Self::GivenUp { until } => {
                write!(f, "sick; several attempts did not help, HemoStat has given up on it until {until:.0}")
            }
            Self::Protected { why } => write!(f, "sick, but protected ({why}); HemoStat does not touch it"),
            Self::NotApproved => f.write_str("sick; the remedy was proposed and not approved"),
            Self::Refused { remedy, refusal } => write!(f, "sick; {} refused because {refusal}", remedy.name()),
        }
    }
}

fn listed(symptoms: &[Symptom]) -> String {
    symptoms.iter().map(Symptom::to_string).collect::<Vec<_>>().join(", ")
}
