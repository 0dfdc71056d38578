//! Fault injection at the HTTP API: delay, hang, fail or cut requests.
//!
//! A fault applies to requests of one kind (or all), about one container (or all), to a share of them, and a limited
//! number of times. The server applies it before it handles the request, so a `start` that fails starts nothing.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One injected fault. In JSON: `{"on": "stats", "container": "api-1", "does": "hang"}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiFault {
    /// The kind of request: `ping`, `info`, `list`, `inspect`, `stats`, `events` …; `None`: all except `/simulated`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<String>,
    /// The container's name or id; `None`: requests about any container, or about none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// What happens to a matching request.
    #[serde(rename = "does")]
    pub effect: FaultEffect,
    /// How many more requests it applies to; `None`: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// The share of matching requests that it applies to, 0 to 1.
    #[serde(default = "all")]
    pub share: f64,
}

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultEffect {
    /// The response is delayed by this many milliseconds.
    DelayMs(u64),
    /// The response never comes.
    Hang,
    /// The response has this status; the request is not carried out.
    Status(u16),
    /// The connection is closed without a response.
    Cut,
}

fn all() -> f64 {
    1.0
}

impl ApiFault {
    /// A fault that applies to every request.
    pub fn new(effect: FaultEffect) -> Self {
        Self { on: None, container: None, effect, times: None, share: 1.0 }
    }

    /// Limits it to requests of this kind.
    #[must_use]
    pub fn on(self, kind: &str) -> Self {
        Self { on: Some(kind.to_owned()), ..self }
    }

    /// Limits it to requests about this container.
    #[must_use]
    pub fn for_container(self, container: &str) -> Self {
        Self { container: Some(container.to_owned()), ..self }
    }

    /// Limits it to this number of requests.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times: Some(times), ..self }
    }

    /// Limits it to this share of the requests, 0 to 1.
    #[must_use]
    pub fn share(self, share: f64) -> Self {
        Self { share, ..self }
    }

    /// Delays every response.
    pub fn slow(by: Duration) -> Self {
        Self::new(FaultEffect::DelayMs(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
    }

    fn applies_to(&self, kind: &str, keys: &[&str]) -> bool {
        self.on.as_deref().is_none_or(|on| on == kind)
            && self.container.as_deref().is_none_or(|of| keys.contains(&of))
            && self.times != Some(0)
    }
}

/// The active faults of one server.
#[derive(Debug)]
pub(crate) struct Faults {
    all: Vec<ApiFault>,
    random: fastrand::Rng,
}

impl Faults {
    pub(crate) fn none(seed: u64) -> Self {
        Self { all: vec![], random: fastrand::Rng::with_seed(seed) }
    }

    pub(crate) fn add(&mut self, fault: ApiFault) {
        self.all.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.all.clear();
    }

    pub(crate) fn all(&self) -> &[ApiFault] {
        &self.all
    }

    /// The effects to apply, in order, to a request of this kind about the container with these names and ids.
    pub(crate) fn effects_on(&mut self, kind: &str, keys: &[&str]) -> Vec<FaultEffect> {
        let Self { all, random } = self;
        all.iter_mut()
            .filter(|fault| fault.applies_to(kind, keys) && (fault.share >= 1.0 || random.f64() < fault.share))
            .map(|fault| {
                fault.times = fault.times.map(|left| left - 1);
                fault.effect
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_applies_only_to_matching_requests_and_only_as_often_as_it_says() {
        let hang = ApiFault::new(FaultEffect::Hang);
        for (fault, kind, keys, hits) in [
            (hang.clone(), "list", &[][..], 3),
            (hang.clone().on("stats"), "stats", &["api"], 3),
            (hang.clone().on("stats"), "inspect", &["api"], 0),
            (hang.clone().for_container("api"), "stats", &["0f3a", "api"], 3),
            (hang.clone().for_container("api"), "stats", &["db"], 0),
            (hang.clone().for_container("api"), "list", &[], 0),
            (hang.clone().times(2), "list", &[], 2),
            (hang.share(0.0), "list", &[], 0),
        ] {
            let mut faults = Faults::none(1);
            faults.add(fault.clone());
            let count: usize = (0..3).map(|_| faults.effects_on(kind, keys).len()).sum();
            assert_eq!(count, hits, "{fault:?} on {kind} of {keys:?}");
        }
    }

    #[test]
    fn a_share_applies_to_about_that_share_of_requests() {
        let mut faults = Faults::none(7);
        faults.add(ApiFault::new(FaultEffect::Status(500)).share(0.25));
        let hits: usize = (0..4000).map(|_| faults.effects_on("stats", &[]).len()).sum();
        assert!((900..1100).contains(&hits), "{hits}");
    }

    #[test]
    fn a_fault_has_a_short_json_form() {
        for (json, fault) in [
            (r#"{"does":"hang"}"#, ApiFault::new(FaultEffect::Hang)),
            (
                r#"{"on":"stats","container":"api-1","does":{"delay_ms":250},"times":3}"#,
                ApiFault::slow(Duration::from_millis(250)).on("stats").for_container("api-1").times(3),
            ),
            (r#"{"does":{"status":500},"share":0.5}"#, ApiFault::new(FaultEffect::Status(500)).share(0.5)),
        ] {
            assert_eq!(serde_json::from_str::<ApiFault>(json).unwrap(), fault, "{json}");
        }
        assert!(serde_json::from_str::<ApiFault>(r#"{"does":"dance"}"#).is_err());
    }
}
