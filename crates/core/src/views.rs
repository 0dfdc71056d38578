//! The read models: what people and dashboards read, folded from the log.
//!
//! | view | one row per | shows |
//! |---|---|---|
//! | [`Containers`] | container | its condition, and why it is or is not being healed |
//! | [`Incidents`] | incident | what happened, in which order, and how it ended |
//! | [`Timeline`] | container or host | its latest events, one line each |
//! | [`Cooldown`] | container | until when a new incident is left to people |
//! | [`Breaker`] | container | whether HemoStat has given up on it |
//! | [`Dedup`] | incident | its open alert |
//! | [`Calibration`] | container | how good the confidence of its diagnoses was |
//! | [`Metrics`] | container or host, and hour | minimum, mean and maximum of five minutes, for thirty days |
//! | [`IncidentSamples`] | container, and ten minutes | the samples of the hour around an incident |
//!
//! No decision reads a view: a decider folds the log itself. A view that lags makes a page stale, never an action
//! wrong. Every row carries the id of the last event that it applied, and ignores that event and any earlier one.

pub mod attempt;
pub mod attention;
pub mod breaker;
pub mod calibration;
pub mod containers;
pub mod cooldown;
pub mod dedup;
pub mod incident_samples;
pub mod incidents;
#[cfg(test)]
mod laws;
pub mod metrics;
pub mod story;
#[cfg(test)]
mod tests;
pub mod timeline;

pub use attempt::{Attempt, Stage};
pub use attention::Attention;
pub use breaker::Breaker;
pub use calibration::Calibration;
pub use containers::Containers;
pub use cooldown::Cooldown;
pub use dedup::Dedup;
pub use incident_samples::IncidentSamples;
pub use incidents::Incidents;
pub use metrics::Metrics;
pub use timeline::Timeline;
