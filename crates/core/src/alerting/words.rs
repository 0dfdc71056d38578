//! How alerts are put: who, what was seen with its figures, what was concluded, what HemoStat does, what a person can do.
//!
//! Whatever comes from outside (a model's conclusion, an engine's error) is brought to one line of bounded length.

use hemostat_schema::{
    Span, Subject,
    action::{Refusal, Remedy},
    alert::Resolution,
    diagnosis::Reached,
    observation::Symptom,
};

use super::{Trouble, case::Case};
use crate::view::story;

/// So much of a sentence from outside is passed on.
const LONGEST: usize = 400;

/// Puts what is told of one incident.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words<'a> {
    pub(super) subject: &'a Subject,
    pub(super) case: &'a Case,
}

impl Words<'_> {
    /// `api on docker-1 is unhealthy`
    pub(super) fn title(&self) -> String {
        let signs: Vec<_> = self.case.symptoms.keys().map(|symptom| sign(*symptom)).collect();
        match signs.is_empty() {
            true => format!("{} is ill", self.who()),
            false => format!("{} {}", self.who(), signs.join(" and ")),
        }
    }

    /// `api on docker-1 needs you: it is unhealthy`
    pub(super) fn needs_you(&self) -> String {
        let signs: Vec<_> = self.case.symptoms.keys().map(|symptom| format!("it {}", sign(*symptom))).collect();
        match signs.is_empty() {
            true => format!("{} needs you", self.who()),
            false => format!("{} needs you: {}", self.who(), signs.join(" and ")),
        }
    }

    /// `api on docker-1 has recovered`
    pub(super) fn over(&self, how: Resolution) -> String {
        let how = match how {
            Resolution::Healed => "was healed",
            Resolution::Passed => "is well again",
            Resolution::Stopped => "was stopped by an operator",
            Resolution::Removed => "was removed",
        };
        format!("{} {how}", self.who())
    }

    /// What was seen, what was concluded, and what comes next.
    pub(super) fn illness(&self, reached: &Reached) -> String {
        let next = match &reached.remedy {
            Some(remedy) => format!("Next: {} it, as far as its limits allow.", remedy.name()),
            None => "Next: HemoStat goes on watching; the evidence does not say enough yet.".to_owned(),
        };
        self.lines([Some(next), None])
    }

    /// Why a person is needed, and what to do.
    pub(super) fn trouble(&self, trouble: &Trouble<'_>) -> String {
        let (why, hint) = match trouble {
            Trouble::Incurable => ("Nothing that HemoStat may do would help.".to_owned(), None),
            Trouble::Refused(refused) => (
                format!("HemoStat does not {} it: {}.", refused.remedy.name(), one_line(&refused.refusal.to_string())),
                self.hint(&refused.refusal),
            ),
            Trouble::Proposed(proposed) => (
                format!("HemoStat asks for leave to {} it, until {:.0}.", proposed.remedy.name(), proposed.expires),
                None,
            ),
            Trouble::Failed(failed) => {
                (format!("Its {} failed: {}.", failed.remedy.name(), one_line(&failed.error)), None)
            }
            Trouble::GaveUp(gave_up) => (
                format!(
                    "HemoStat gave up after {}; it tries once more at {:.0}.",
                    attempts(gave_up.attempts),
                    gave_up.until
                ),
                self.holds_back(),
            ),
        };
        let by_hand = format!("By hand: docker logs --tail 100 {0}; docker inspect {0}.", self.subject.short());
        let by_hand = hint.map_or_else(|| by_hand.clone(), |hint| format!("{by_hand} {hint}"));
        format!("{why}\n{}", self.lines([self.tried(), Some(by_hand)]))
    }

    /// How it ended, and after how long.
    pub(super) fn ending(&self, how: Resolution, took: Span) -> String {
        let how = match (how, &self.case.tried) {
            (Resolution::Healed, Some(tried)) => {
                format!("HemoStat {} it (attempt {} of {}).", done(&tried.remedy), tried.attempt, tried.of)
            }
            (Resolution::Healed, None) => "A remedy helped.".to_owned(),
            (Resolution::Passed, Some(_)) => "It got well after what was tried had not helped.".to_owned(),
            (Resolution::Passed, None) => "It got well without a remedy.".to_owned(),
            (Resolution::Stopped, _) => "HemoStat leaves it alone.".to_owned(),
            (Resolution::Removed, _) => "There is nothing left to heal.".to_owned(),
        };
        format!("{how}\nOver {took} after it was told.")
    }

    fn who(&self) -> String {
        format!("{} on {}", self.subject.short(), self.subject.host)
    }

    /// What was seen and concluded, and then these lines.
    fn lines(&self, more: [Option<String>; 2]) -> String {
        let seen: Vec<_> = self.case.symptoms.iter().map(|(symptom, by)| story::symptom(*symptom, by)).collect();
        let seen = (!seen.is_empty()).then(|| format!("Seen: {}.", seen.join("; ")));
        let cause = self.case.root_cause.as_ref().map(|cause| format!("Cause: {}.", one_line(cause)));
        [seen, cause].into_iter().chain(more).flatten().collect::<Vec<_>>().join("\n")
    }

    fn tried(&self) -> Option<String> {
        let tried = self.case.tried.as_ref()?;
        let dry = if tried.dry_run { " (dry run)" } else { "" };
        Some(format!("Tried: {}, attempt {} of {}{dry}.", tried.remedy.name(), tried.attempt, tried.of))
    }

    fn hint(&self, refusal: &Refusal) -> Option<String> {
        match refusal {
            Refusal::CoolingDown { .. } | Refusal::Tripped { .. } => self.holds_back(),
            Refusal::NotPermitted => Some("The label hemostat.actions says what is allowed.".into()),
            Refusal::Observing => Some("The label hemostat.mode=auto would let HemoStat act.".into()),
            Refusal::Storm { .. } => Some("Look at the host first: disk, memory, network, its Docker engine.".into()),
            Refusal::Undurable { .. } => Some("Look at Redis: its replicas or its disk do not keep up.".into()),
            _ => None,
        }
    }

    fn holds_back(&self) -> Option<String> {
        let key = self.subject.to_string().replace('/', "%2F");
        Some(format!("GET /containers/{key} shows what was tried and what holds HemoStat back."))
    }
}

fn sign(symptom: Symptom) -> &'static str {
    match symptom {
        Symptom::Unhealthy => "is unhealthy",
        Symptom::Exited => "has crashed",
        Symptom::OomKilled => "was killed for want of memory",
        Symptom::RestartLoop => "restarts again and again",
        Symptom::CpuHigh => "uses too much CPU",
        Symptom::MemoryHigh => "uses too much memory",
        Symptom::OomChild => "loses processes for want of memory",
        Symptom::Flapping => "changes between healthy and unhealthy",
        Symptom::CpuThrottled => "is held back by its CPU limit",
        Symptom::Pressure => "waits too much",
        Symptom::PidsHigh => "has too many processes",
        Symptom::MemoryLeak => "leaks memory",
        Symptom::DiskFilling => "fills the disk",
        Symptom::CpuUnusual | Symptom::MemoryUnusual | Symptom::NetworkUnusual | Symptom::BlockUnusual => {
            "is not as usual"
        }
    }
}

fn done(remedy: &Remedy) -> &'static str {
    match remedy {
        Remedy::Restart => "restarted",
        Remedy::Start => "started",
        Remedy::Stop => "stopped",
        Remedy::Scale => "scaled",
        Remedy::Cleanup => "cleaned up after",
        Remedy::Exec { .. } => "ran a command in",
    }
}

fn attempts(n: u32) -> String {
    if n == 1 { "an attempt that did not help".into() } else { format!("{n} attempts that did not help") }
}

/// One line of at most [`LONGEST`] characters, without the full stop that the sentence around it has.
fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_control() || c.is_whitespace()).filter(|word| !word.is_empty());
    let line = words.collect::<Vec<_>>().join(" ");
    let line = line.trim_end_matches('.');
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_from_outside_are_one_bounded_line() {
        assert_eq!(one_line("it failed.\n\n\tBecause of\u{1b}[0m ä."), "it failed. Because of [0m ä");
        assert_eq!(one_line(&"ä".repeat(5000)).chars().count(), LONGEST + 1);
    }
}
