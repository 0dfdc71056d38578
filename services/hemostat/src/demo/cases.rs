//! The patients of the demo: how each is set up, how it falls ill, and how its incident must end.

use std::time::Duration;

use hemostat_patient::{
    Illness,
    illness::{Crash, Memory, Unhealthy},
    stage::PatientSpec,
};

use super::journal::Story;

/// One patient of the demo.
#[derive(Debug)]
pub struct Case {
    /// Its name, without the prefix.
    pub name: &'static str,
    /// How it falls ill.
    pub fate: Fate,
    /// How its incident must end.
    pub end: End,
}

/// How a patient falls ill.
#[derive(Debug, Clone, Copy)]
pub enum Fate {
    /// It falls ill on request; a restart cures it.
    FallsIll(Illness),
    /// It falls ill again after every start.
    Stubborn,
    /// An operator stops it.
    Stopped,
}

/// How an incident must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Healed, and verified.
    Recovered,
    /// Given up after three attempts with growing pauses.
    GivenUp,
    /// Left alone.
    LeftAlone,
}

/// The memory limit of the patient that fills its memory, in MiB.
pub const MEMORY_LIMIT_MB: u64 = 96;
const MEMORY_TAKEN_MB: u64 = 84;

/// How soon after a start the stubborn patient falls ill again.
pub const RELAPSES_AFTER: Duration = Duration::from_millis(500);

/// The demo's attempts for the stubborn patient.
pub const ATTEMPTS: usize = 3;

/// All of them.
pub fn all() -> Vec<Case> {
    let case = |name, fate, end| Case { name, fate, end };
    let unhealthy = Fate::FallsIll(Illness::Unhealthy(Unhealthy::default()));
    let crashed = Fate::FallsIll(Illness::Crash(Crash { code: 1 }));
    let memory = Fate::FallsIll(Illness::Memory(Memory { duration: 300, size_mb: MEMORY_TAKEN_MB }));
    vec![
        case("unhealthy", unhealthy, End::Recovered),
        case("crashed", crashed, End::Recovered),
        case("memory", memory, End::Recovered),
        case("stubborn", Fate::Stubborn, End::GivenUp),
        case("stopped", Fate::Stopped, End::LeftAlone),
    ]
}

impl Case {
    /// How it is set up in Docker.
    pub fn spec(&self) -> PatientSpec {
        let plain = PatientSpec::named(self.name);
        match self.fate {
            Fate::FallsIll(Illness::Memory(_)) => PatientSpec { memory: Some(MEMORY_LIMIT_MB << 20), ..plain },
            Fate::Stubborn => PatientSpec { stubborn: Some(("unhealthy", RELAPSES_AFTER)), ..plain },
            Fate::FallsIll(_) | Fate::Stopped => plain,
        }
    }

    /// Whether its incident has ended as it must, and its alerts are delivered.
    pub fn has_ended(&self, story: &Story) -> bool {
        let told = story.alerts.messages == story.alerts.delivered;
        match self.end {
            End::Recovered => {
                story.recovered.is_some() && story.alerts.raised == 1 && story.alerts.messages == 2 && told
            }
            End::GivenUp => {
                let gaps = story.gaps();
                story.given_up.is_some()
                    && story.attempts.len() == ATTEMPTS
                    && gaps.windows(2).all(|pair| pair[0] < pair[1])
                    && story.alerts.raised == 1
                    && told
            }
            End::LeftAlone => story.stopped.is_some() && story.attempts.is_empty() && story.alerts.raised == 0,
        }
    }

    /// What went wrong, if anything did that nothing later can make good.
    pub fn went_wrong(&self, story: &Story) -> Option<String> {
        match self.end {
            End::GivenUp if story.attempts.len() > ATTEMPTS => Some(format!("{} attempts", story.attempts.len())),
            End::GivenUp if story.recovered.is_some() => Some("it was called recovered".to_owned()),
            End::LeftAlone if !story.attempts.is_empty() => Some("it was acted on".to_owned()),
            End::Recovered if story.given_up.is_some() => Some("it was given up".to_owned()),
            _ => None,
        }
    }
}
