//! Schedules the next examination of a container whose symptoms persist, with exponential backoff.
//!
//! The condition that a diagnosis waited for (a restore, a lock, a dependency) ends without an event of Docker's, so the
//! monitor has to examine again.

use std::{collections::HashMap, time::Duration};

use hemostat_schema::ContainerName;
use tokio::time::Instant;

/// The longest interval between two examinations.
const MAX_INTERVAL: Duration = Duration::from_secs(3600);

/// When each container with symptoms is examined again.
#[derive(Debug)]
pub struct ReexaminationSchedule {
    first: Duration,
    due: HashMap<ContainerName, Due>,
}

#[derive(Debug, Clone, Copy)]
struct Due {
    at: Instant,
    interval: Duration,
}

impl ReexaminationSchedule {
    /// The first time after `first`, then at doubling intervals; never if `first` is zero.
    pub fn new(first: Duration) -> Self {
        Self { first, due: HashMap::new() }
    }

    /// A container was examined because a symptom was raised or worsened.
    pub fn examined(&mut self, name: &ContainerName, now: Instant) {
        if !self.first.is_zero() {
            self.due.insert(name.clone(), Due { at: now + self.first, interval: self.first });
        }
    }

    /// The containers of `with_symptoms` that are due. Others leave the schedule.
    pub fn due<'a>(
        &mut self,
        with_symptoms: impl Iterator<Item = &'a ContainerName>,
        now: Instant,
    ) -> Vec<ContainerName> {
        if self.first.is_zero() {
            return vec![];
        }
        let mut before = std::mem::take(&mut self.due);
        let mut all_due = vec![];
        for name in with_symptoms {
            let mut due = before.remove(name).unwrap_or(Due { at: now + self.first, interval: self.first });
            if due.at <= now {
                let interval = due.interval.saturating_mul(2).min(MAX_INTERVAL.max(self.first));
                due = Due { at: now + interval, interval };
                all_due.push(name.clone());
            }
            self.due.insert(name.clone(), due);
        }
        all_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> ContainerName {
        name.parse().unwrap()
    }

    #[test]
    fn persisting_symptoms_are_examined_at_doubling_intervals_and_cleared_ones_no_more() {
        let (began, minutes) = (Instant::now(), |n: u64| Duration::from_secs(60 * n));
        let mut schedule = ReexaminationSchedule::new(minutes(5));
        let sick = [name("a"), name("b")];
        schedule.examined(&sick[0], began);
        let mut due = |minute, sick: &[ContainerName]| schedule.due(sick.iter(), began + minutes(minute));
        let at: Vec<u64> = (0..=240).filter(|minute| due(*minute, &sick[..1]).len() == 1).collect();
        assert_eq!(at, [5, 15, 35, 75, 135, 195]);
        // A container that was not examined here when it got its symptoms is scheduled when it is first seen with them.
        assert!(due(241, &sick).is_empty());
        assert_eq!(due(246, &sick), [name("b")]);
        assert!(due(247, &sick[1..]).is_empty());
        // Without symptoms for a while, it starts again at the first interval.
        assert!(due(256, &sick[..1]).is_empty());
        assert_eq!(due(261, &sick[..1]), [name("a")]);
    }

    #[test]
    fn zero_turns_repeated_examinations_off() {
        let mut schedule = ReexaminationSchedule::new(Duration::ZERO);
        let now = Instant::now();
        schedule.examined(&name("a"), now);
        assert!(schedule.due([name("a")].iter(), now + MAX_INTERVAL).is_empty());
    }
}
