//! Why a container is, or is not, being healed at this moment: a reason that programs can match and a sentence that
//! people can read.

use hemostat_schema::{
    Timestamp,
    action::{Refusal, Remedy},
    container::Exit,
    observation::Symptom,
};
use serde::{Deserialize, Serialize};

use super::story;

/// What HemoStat is doing about a container, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "reason")]
pub enum Attention {
    /// It runs, and nothing is wrong.
    Healthy,
    /// It runs, and nothing is wrong, but it is not as usual.
    Unusual {
        /// In which ways.
        symptoms: Vec<Symptom>,
    },
    /// It runs, but its health check has not spoken yet.
    Starting,
    /// It does not run, and no symptom stands: never started, or finished, or in Docker's own hands.
    Idle {
        /// How its last run ended; none before its first.
        exit: Option<Exit>,
        /// Whether its restart policy makes Docker start it again.
        docker_restarts: bool,
    },
    /// An operator stopped or froze it: that is his wish, not an illness.
    LeftAlone {
        /// Whether it is stopped or frozen.
        how: Halt,
        /// Since when.
        since: Timestamp,
    },
    /// It is ill, and nothing is decided yet.
    Sick {
        /// In which ways.
        symptoms: Vec<Symptom>,
    },
    /// It is ill, but the diagnosis names no remedy.
    NoRemedy {
        /// What is wrong with it.
        root_cause: String,
    },
    /// A remedy is under way, or its outcome is awaited.
    InHand {
        /// Which.
        remedy: Remedy,
        /// Which attempt.
        attempt: u32,
        /// Of how many.
        of: u32,
        /// Since when.
        since: Timestamp,
    },
    /// A person is asked for leave.
    WaitingForApproval {
        /// To do what.
        remedy: Remedy,
        /// When the question lapses.
        expires: Timestamp,
    },
    /// The last attempt did not help; the next one comes later.
    BackingOff {
        /// Then.
        until: Timestamp,
    },
    /// It was ill only lately: a new illness is left to people.
    CoolingDown {
        /// Until then.
        until: Timestamp,
    },
    /// Attempt after attempt did not help.
    GivenUp {
        /// Until then nothing more is tried.
        until: Timestamp,
    },
    /// HemoStat's own, excluded, or a scheduler's.
    Protected {
        /// Which of them.
        why: String,
    },
    /// A person said no, or nobody answered.
    NotApproved,
    /// A remedy was asked for and is not carried out, for any other reason.
    Refused {
        /// What was asked for.
        remedy: Remedy,
        /// Why not.
        refusal: Refusal,
    },
}

/// In which way an operator halted a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Halt {
    /// `docker stop`, `kill`, `compose stop`.
    Stopped,
    /// `docker pause`.
    Frozen,
}

impl Attention {
    /// The reason's wire name, such as `left_alone`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unusual { .. } => "unusual",
            Self::Starting => "starting",
            Self::Idle { .. } => "idle",
            Self::LeftAlone { .. } => "left_alone",
            Self::Sick { .. } => "sick",
            Self::NoRemedy { .. } => "no_remedy",
            Self::InHand { .. } => "in_hand",
            Self::WaitingForApproval { .. } => "waiting_for_approval",
            Self::BackingOff { .. } => "backing_off",
            Self::CoolingDown { .. } => "cooling_down",
            Self::GivenUp { .. } => "given_up",
            Self::Protected { .. } => "protected",
            Self::NotApproved => "not_approved",
            Self::Refused { .. } => "refused",
        }
    }

    /// Until when the reason holds, where that is known.
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

    /// What follows from a refusal of `remedy`; `at` is when it was refused.
    pub(super) fn refused(remedy: Remedy, refusal: Refusal, at: Timestamp) -> Self {
        match refusal {
            Refusal::BackingOff { until } => Self::BackingOff { until },
            Refusal::CoolingDown { until } => Self::CoolingDown { until },
            Refusal::Tripped { until } => Self::GivenUp { until },
            Refusal::Protected { why } => Self::Protected { why },
            Refusal::OperatorStopped => Self::LeftAlone { how: Halt::Stopped, since: at },
            Refusal::Paused
            | Refusal::Stale { .. }
            | Refusal::Observing
            | Refusal::Maintenance { .. }
            | Refusal::Unsure { .. }
            | Refusal::NotPermitted
            | Refusal::Storm { .. }
            | Refusal::InHand
            | Refusal::Moot
            | Refusal::Unsupported { .. }
            | Refusal::Undurable { .. } => Self::Refused { remedy, refusal },
        }
    }
}

/// The sentence, about an unnamed container: `stopped by an operator at …; HemoStat leaves it alone`.
impl std::fmt::Display for Attention {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Healthy => f.write_str("well; there is nothing to heal"),
            Self::Unusual { symptoms } => {
                write!(f, "well, but not as usual ({}); there is nothing to heal", listed(symptoms))
            }
            Self::Starting => f.write_str("starting; its health check has not spoken yet"),
            Self::Idle { exit: None, .. } => f.write_str("never started; there is nothing to heal"),
            Self::Idle { exit: Some(exit), docker_restarts } => {
                let so = match docker_restarts {
                    true => "Docker starts it again by its own restart policy",
                    false => "there is nothing to heal",
                };
                write!(f, "{} at {:.0}; {so}", story::ended(exit), exit.at)
            }
            Self::LeftAlone { how: Halt::Stopped, since } => {
                write!(f, "stopped by an operator at {since:.0}; HemoStat leaves it alone")
            }
            Self::LeftAlone { how: Halt::Frozen, since } => {
                write!(f, "paused by an operator at {since:.0}; HemoStat leaves it alone")
            }
            Self::Sick { symptoms } => {
                write!(f, "sick ({}); what to do is being decided", listed(symptoms))
            }
            Self::NoRemedy { root_cause } => {
                write!(f, "sick, and nothing that HemoStat can do would help: {root_cause}")
            }
            Self::InHand { remedy, attempt, of, since } => write!(
                f,
                "sick; {} in hand since {since:.0}, attempt {attempt} of {of}, its outcome is awaited",
                remedy.name()
            ),
            Self::WaitingForApproval { remedy, expires } => {
                write!(f, "sick; {} waits for a person's approval until {expires:.0}", remedy.name())
            }
            Self::BackingOff { until } => {
                write!(f, "sick; the last attempt did not help, the next is due at {until:.0}")
            }
            Self::CoolingDown { until } => {
                write!(f, "sick again so soon after the last time that HemoStat does not act on it until {until:.0}")
            }
            Self::GivenUp { until } => {
                write!(f, "sick; attempt after attempt did not help, HemoStat has given up on it until {until:.0}")
            }
            Self::Protected { why } => write!(f, "sick, but protected ({why}); HemoStat does not touch it"),
            Self::NotApproved => f.write_str("sick; a person was asked and did not approve the remedy"),
            Self::Refused { remedy, refusal } => write!(f, "sick; {} refused because {refusal}", remedy.name()),
        }
    }
}

fn listed(symptoms: &[Symptom]) -> String {
    symptoms.iter().map(Symptom::to_string).collect::<Vec<_>>().join(", ")
}
