//! The cooldown after an incident: a new incident that follows too soon is left to people.
//!
//! The cooldown starts when an incident ends, healed or given up. The same incident may come back within it (the
//! circuit breaker governs a relapse); only a new one is refused. So each incident is treated, and a container that
//! gets sick again and again is brought before a person instead of being restarted every few minutes for ever.

use hemostat_schema::{IncidentId, Span, Timestamp};
use serde::{Deserialize, Serialize};

/// The cooldown after an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cooldown {
    /// The incident that ended.
    pub incident: Option<IncidentId>,
    /// When it ended.
    pub since: Timestamp,
}

impl Cooldown {
    /// Until when `incident` is not acted on; none if it may be now.
    pub fn holds(&self, incident: Option<&IncidentId>, length: Span, now: Timestamp) -> Option<Timestamp> {
        let same = incident.is_some() && self.incident.as_ref() == incident;
        let until = self.until(length);
        (!same && now < until).then_some(until)
    }

    /// When a cooldown of this length ends.
    pub fn until(&self, length: Span) -> Timestamp {
        length.after(self.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, incident};

    #[test]
    fn only_a_new_incident_has_to_wait() {
        let cooldown = Cooldown { incident: Some(incident(1)), since: at(0) };
        let check = |incident: Option<IncidentId>, now, until: Option<i64>| {
            assert_eq!(cooldown.holds(incident.as_ref(), Span::from_secs(3600), at(now)), until.map(at), "{now}");
        };
        check(Some(incident(1)), 10, None);
        check(Some(incident(2)), 10, Some(3600));
        check(Some(incident(2)), 3600, None);
        check(None, 10, Some(3600));
    }
}
