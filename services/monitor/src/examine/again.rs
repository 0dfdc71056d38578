//! When is a container that stays ill examined again?
//!
//! What a diagnosis waited for (a restore in it, a lock, a dependency) ends without any event of Docker's. So who stays
//! ill is looked at again, ever more rarely: what is chronic is no news.

use std::{collections::HashMap, time::Duration};

use hemostat_schema::ContainerName;
use tokio::time::Instant;

/// However long it is ill, it is looked at so often.
const LONGEST: Duration = Duration::from_secs(3600);

/// Who is examined again, and when.
#[derive(Debug)]
pub struct Again {
    first: Duration,
    due: HashMap<ContainerName, Due>,
}

#[derive(Debug, Clone, Copy)]
struct Due {
    at: Instant,
    wait: Duration,
}

impl Again {
    /// For the first time after `first`, then after twice that, and so on; never, where that is zero.
    pub fn new(first: Duration) -> Self {
        Self { first, due: HashMap::new() }
    }

    /// It was examined as it fell ill, or worse.
    pub fn examined(&mut self, name: &ContainerName, now: Instant) {
        self.due.insert(name.clone(), Due { at: now + self.first, wait: self.first });
    }

    /// Those of the ill whose time has come; who is not ill is forgotten.
    pub fn due<'a>(&mut self, ill: impl Iterator<Item = &'a ContainerName>, now: Instant) -> Vec<ContainerName> {
        if self.first.is_zero() {
            return vec![];
        }
        let mut before = std::mem::take(&mut self.due);
        let mut come = vec![];
        for name in ill {
            let mut due = before.remove(name).unwrap_or(Due { at: now + self.first, wait: self.first });
            if due.at <= now {
                let wait = due.wait.saturating_mul(2).min(LONGEST.max(self.first));
                due = Due { at: now + wait, wait };
                come.push(name.clone());
            }
            self.due.insert(name.clone(), due);
        }
        come
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> ContainerName {
        name.parse().unwrap()
    }

    #[test]
    fn who_stays_ill_is_looked_at_ever_more_rarely_and_who_is_well_no_more() {
        let (began, minutes) = (Instant::now(), |n: u64| Duration::from_secs(60 * n));
        let mut again = Again::new(minutes(5));
        let ill = [name("a"), name("b")];
        again.examined(&ill[0], began);
        let mut looked = |minute, ill: &[ContainerName]| again.due(ill.iter(), began + minutes(minute));
        let at: Vec<u64> = (0..=240).filter(|minute| looked(*minute, &ill[..1]).len() == 1).collect();
        assert_eq!(at, [5, 15, 35, 75, 135, 195]);
        // Who was found ill without an examination (by another process, say) has his time from then on.
        assert!(looked(241, &ill).is_empty());
        assert_eq!(looked(246, &ill), [name("b")]);
        assert!(looked(247, &ill[1..]).is_empty());
        // That it was well for a while makes it news again.
        assert!(looked(256, &ill[..1]).is_empty());
        assert_eq!(looked(261, &ill[..1]), [name("a")]);
    }

    #[test]
    fn nobody_is_looked_at_again_where_that_is_not_wanted() {
        let mut again = Again::new(Duration::ZERO);
        let now = Instant::now();
        again.examined(&name("a"), now);
        assert!(again.due([name("a")].iter(), now + LONGEST).is_empty());
    }
}
