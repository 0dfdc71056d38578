//! What can be wrong with the engine itself?
//!
//! A fault strikes requests of one kind (or all), for one container (or all), for a share of them, and so often. What it
//! does is done before the request is looked at, so a refused `start` starts nothing.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Something that is wrong with the engine. In JSON: `{"on": "stats", "container": "api-1", "does": "hang"}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Which requests: `ping`, `info`, `list`, `inspect`, `stats`, `events` …; none: all but those to `/simulated`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<String>,
    /// About which container, by the key in the request's path; none: about any, or about none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// What becomes of them.
    pub does: Does,
    /// So many of them are struck, and then no more; none: without end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// Which share of them is struck, 0 to 1.
    #[serde(default = "all")]
    pub share: f64,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Does {
    /// It is answered so many milliseconds later.
    DelayMs(u64),
    /// It is never answered.
    Hang,
    /// It is answered with this status, and not carried out.
    Status(u16),
    /// Its connection is closed without an answer.
    Cut,
}

fn all() -> f64 {
    1.0
}

impl Fault {
    /// All requests are struck.
    pub fn new(does: Does) -> Self {
        Self { on: None, container: None, does, times: None, share: 1.0 }
    }

    /// Only requests of this kind.
    #[must_use]
    pub fn on(self, kind: &str) -> Self {
        Self { on: Some(kind.to_owned()), ..self }
    }

    /// Only requests about this container.
    #[must_use]
    pub fn about(self, container: &str) -> Self {
        Self { container: Some(container.to_owned()), ..self }
    }

    /// Only so many requests.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times: Some(times), ..self }
    }

    /// Only this share of the requests.
    #[must_use]
    pub fn share(self, share: f64) -> Self {
        Self { share, ..self }
    }

    /// A request that is answered late.
    pub fn slow(by: Duration) -> Self {
        Self::new(Does::DelayMs(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
    }

    fn strikes(&self, kind: &str, keys: &[&str]) -> bool {
        self.on.as_deref().is_none_or(|on| on == kind)
            && self.container.as_deref().is_none_or(|of| keys.contains(&of))
            && self.times != Some(0)
    }
}

/// All that is wrong with an engine.
#[derive(Debug)]
pub(crate) struct Faults {
    all: Vec<Fault>,
    random: fastrand::Rng,
}

impl Faults {
    pub(crate) fn none(seed: u64) -> Self {
        Self { all: vec![], random: fastrand::Rng::with_seed(seed) }
    }

    pub(crate) fn add(&mut self, fault: Fault) {
        self.all.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.all.clear();
    }

    pub(crate) fn all(&self) -> &[Fault] {
        &self.all
    }

    /// What befalls a request of this kind about a container that goes by these names, in this order.
    pub(crate) fn strike(&mut self, kind: &str, keys: &[&str]) -> Vec<Does> {
        let Self { all, random } = self;
        all.iter_mut()
            .filter(|fault| fault.strikes(kind, keys) && (fault.share >= 1.0 || random.f64() < fault.share))
            .map(|fault| {
                fault.times = fault.times.map(|left| left - 1);
                fault.does
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_strikes_what_it_is_for_and_so_often() {
        let hang = Fault::new(Does::Hang);
        for (fault, kind, keys, struck) in [
            (hang.clone(), "list", &[][..], 3),
            (hang.clone().on("stats"), "stats", &["api"], 3),
            (hang.clone().on("stats"), "inspect", &["api"], 0),
            (hang.clone().about("api"), "stats", &["0f3a", "api"], 3),
            (hang.clone().about("api"), "stats", &["db"], 0),
            (hang.clone().about("api"), "list", &[], 0),
            (hang.clone().times(2), "list", &[], 2),
            (hang.share(0.0), "list", &[], 0),
        ] {
            let mut faults = Faults::none(1);
            faults.add(fault.clone());
            let count: usize = (0..3).map(|_| faults.strike(kind, keys).len()).sum();
            assert_eq!(count, struck, "{fault:?} on {kind} of {keys:?}");
        }
    }

    #[test]
    fn a_share_is_about_that_share() {
        let mut faults = Faults::none(7);
        faults.add(Fault::new(Does::Status(500)).share(0.25));
        let struck: usize = (0..4000).map(|_| faults.strike("stats", &[]).len()).sum();
        assert!((900..1100).contains(&struck), "{struck}");
    }

    #[test]
    fn a_fault_is_written_as_people_would() {
        for (json, fault) in [
            (r#"{"does":"hang"}"#, Fault::new(Does::Hang)),
            (
                r#"{"on":"stats","container":"api-1","does":{"delay_ms":250},"times":3}"#,
                Fault::slow(Duration::from_millis(250)).on("stats").about("api-1").times(3),
            ),
            (r#"{"does":{"status":500},"share":0.5}"#, Fault::new(Does::Status(500)).share(0.5)),
        ] {
            assert_eq!(serde_json::from_str::<Fault>(json).unwrap(), fault, "{json}");
        }
        assert!(serde_json::from_str::<Fault>(r#"{"does":"dance"}"#).is_err());
    }
}
