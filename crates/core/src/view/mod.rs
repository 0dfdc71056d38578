//! The views: what people and dashboards read, folded from the log.
//!
//! | view | one row for each | answers |
//! |---|---|---|
//! | [`Containers`] | container | how is it, and why is it (not) being healed? |
//! | [`Incidents`] | incident | what happened, in which order, and how did it end? |
//! | [`Timeline`] | container or host | what happened to it lately, a line an event? |
//! | [`Cooldown`] | container | until when is a new illness left to people? |
//! | [`Breaker`] | container | has HemoStat given up on it? |
//! | [`Dedup`] | incident | which alert stands? |
//! | [`Calibration`] | container | what was the confidence of its diagnoses worth? |
//!
//! Nothing decides by a view: a decision folds the log itself. So a view that lags makes a page old, never an act wrong.
//! Every row carries the id of the last event that it took in, and an event at or before it changes nothing.

pub mod attempt;
pub mod attention;
pub mod breaker;
pub mod calibration;
pub mod containers;
pub mod cooldown;
pub mod dedup;
pub mod incidents;
#[cfg(test)]
mod laws;
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
pub use incidents::Incidents;
pub use timeline::Timeline;
