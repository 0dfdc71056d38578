//! The texts of alerts: which container, what was observed, the diagnosis, what HemoStat does, what a person can do.
//!
//! Text from outside (a model's diagnosis, an error of Docker's) is cut to one line of bounded length.

use hemostat_schema::{Span, Subject, action::Refusal, alert::Resolution, diagnosis::Reached};

use super::{
    case::{Case, LastAttempt},
    notice::NeedsPerson,
};
use crate::views::story;

/// Maximum characters of a text from outside.
const MAX_CHARS: usize = 400;

/// Writes the texts about one incident.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words<'a> {
    pub(super) subject: &'a Subject,
    pub(super) case: &'a Case,
}

impl Words<'_> {
    /// `api on docker-1 is unhealthy`
    pub(super) fn title(&self) -> String {
        let symptoms: Vec<_> = self.case.symptoms.keys().map(|symptom| symptom.phrase()).collect();
        match symptoms.is_empty() {
            true => format!("{} is sick", self.container()),
            false => format!("{} {}", self.container(), symptoms.join(" and ")),
        }
    }

    /// `api on docker-1 needs you: it is unhealthy`
    pub(super) fn needs_you(&self) -> String {
        let symptoms: Vec<_> = self.case.symptoms.keys().map(|symptom| format!("it {}", symptom.phrase())).collect();
        match symptoms.is_empty() {
            true => format!("{} needs you", self.container()),
            false => format!("{} needs you: {}", self.container(), symptoms.join(" and ")),
        }
    }

    /// `api on docker-1 was healed`
    pub(super) fn resolved(&self, how: Resolution) -> String {
        format!("{} {}", self.container(), how.phrase())
    }

    /// The symptoms, the diagnosis and what HemoStat does next.
    pub(super) fn diagnosed(&self, reached: &Reached) -> String {
        let next = match &reached.remedy {
            Some(remedy) => format!("Next: HemoStat tries a {}, if the limits allow it.", remedy.name()),
            None => "Next: HemoStat keeps observing; the evidence is not conclusive yet.".to_owned(),
        };
        self.lines([Some(next), None])
    }

    /// Why a person is needed, and what the person can do.
    pub(super) fn needs_person(&self, why: &NeedsPerson<'_>) -> String {
        let (why, hint) = match why {
            NeedsPerson::NoRemedy => ("No remedy of HemoStat's would help.".to_owned(), None),
            NeedsPerson::Refused(refused) => (
                format!(
                    "HemoStat does not {} it: {}.",
                    refused.remedy.info().verb,
                    one_line(&refused.refusal.to_string())
                ),
                self.hint(&refused.refusal),
            ),
            NeedsPerson::Proposed(proposed) => (
                format!(
                    "HemoStat asks for approval to {} it, until {:.0}.",
                    proposed.remedy.info().verb,
                    proposed.expires
                ),
                None,
            ),
            NeedsPerson::Failed(failed) => {
                (format!("The {} failed: {}.", failed.remedy.name(), one_line(&failed.error)), None)
            }
            NeedsPerson::GaveUp(gave_up) => (
                format!(
                    "HemoStat gave up after {}; it may try once more at {:.0}.",
                    unsuccessful(gave_up.attempts),
                    gave_up.until
                ),
                Some(self.where_to_look()),
            ),
        };
        let by_hand = format!("By hand: docker logs --tail 100 {0}; docker inspect {0}.", self.subject.short());
        let by_hand = hint.map_or_else(|| by_hand.clone(), |hint| format!("{by_hand} {hint}"));
        format!("{why}\n{}", self.lines([self.last_attempt(), Some(by_hand)]))
    }

    /// How the incident ended, and after how long.
    pub(super) fn ending(&self, how: Resolution, took: Span) -> String {
        let how = match (how, &self.case.last_attempt) {
            (Resolution::Healed, Some(LastAttempt { remedy, attempt, of, .. })) => {
                format!("HemoStat {} it (attempt {attempt} of {of}).", remedy.info().past)
            }
            (Resolution::Healed, None) => "A remedy helped.".to_owned(),
            (Resolution::Passed, Some(_)) => "It recovered, but not by what HemoStat tried.".to_owned(),
            (Resolution::Passed, None) => "It recovered without a remedy.".to_owned(),
            (Resolution::Stopped, _) => "HemoStat leaves it alone.".to_owned(),
            (Resolution::Removed, _) => "There is nothing left to heal.".to_owned(),
        };
        format!("{how}\nResolved {took} after the alert was raised.")
    }

    fn container(&self) -> String {
        format!("{} on {}", self.subject.short(), self.subject.host)
    }

    /// The symptoms and the diagnosis, followed by these lines.
    fn lines(&self, more: [Option<String>; 2]) -> String {
        let symptoms: Vec<_> =
            self.case.symptoms.iter().map(|(symptom, evidence)| story::symptom(*symptom, evidence)).collect();
        let symptoms = (!symptoms.is_empty()).then(|| format!("Symptoms: {}.", symptoms.join("; ")));
        let cause = self.case.root_cause.as_ref().map(|cause| format!("Cause: {}.", one_line(cause)));
        [symptoms, cause].into_iter().chain(more).flatten().collect::<Vec<_>>().join("\n")
    }

    fn last_attempt(&self) -> Option<String> {
        let LastAttempt { remedy, attempt, of, dry_run } = self.case.last_attempt.as_ref()?;
        let dry_run = if *dry_run { " (dry run)" } else { "" };
        Some(format!("Tried: {}, attempt {attempt} of {of}{dry_run}.", remedy.name()))
    }

    fn hint(&self, refusal: &Refusal) -> Option<String> {
        match refusal {
            Refusal::CoolingDown { .. } | Refusal::Tripped { .. } => Some(self.where_to_look()),
            Refusal::NotPermitted => Some("The label hemostat.actions lists the allowed remedies.".into()),
            Refusal::Observing => Some("The label hemostat.mode=auto lets HemoStat act.".into()),
            Refusal::Storm { .. } => Some("Look at the host first: disk, memory, network, its Docker engine.".into()),
            Refusal::NotDurable { .. } => Some("Look at Redis: its replicas or its disk do not keep up.".into()),
            Refusal::Paused
            | Refusal::Stale { .. }
            | Refusal::Protected { .. }
            | Refusal::OperatorStopped
            | Refusal::Maintenance { .. }
            | Refusal::Unsure { .. }
            | Refusal::InHand
            | Refusal::Moot
            | Refusal::BackingOff { .. }
            | Refusal::Unsupported { .. } => None,
        }
    }

    fn where_to_look(&self) -> String {
        let key = self.subject.to_string().replace('/', "%2F");
        format!("GET /containers/{key} shows the attempts so far and why HemoStat waits.")
    }
}

fn unsuccessful(attempts: u32) -> String {
    if attempts == 1 { "an unsuccessful attempt".into() } else { format!("{attempts} unsuccessful attempts") }
}

/// One line of at most [`MAX_CHARS`] characters, without a final full stop: the sentence around it has one.
fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_control() || c.is_whitespace()).filter(|word| !word.is_empty());
    let line = words.collect::<Vec<_>>().join(" ");
    let line = line.trim_end_matches('.');
    match line.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_is_one_bounded_line() {
        assert_eq!(one_line("it failed.\n\n\tBecause of\u{1b}[0m ä."), "it failed. Because of [0m ä");
        assert_eq!(one_line(&"ä".repeat(5000)).chars().count(), MAX_CHARS + 1);
    }
}
