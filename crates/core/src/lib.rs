//! Every decision and every fold of HemoStat.
//!
//! Nothing here is async, reads a clock, a random number or the environment, or does I/O. What happened comes in as
//! events, time comes in as an argument, and what is decided goes out as events: so any history can be decided again.

pub mod alerting;
pub mod backoff;
pub mod breaker;
pub mod condition;
pub mod cooldown;
pub mod decider;
pub mod judge;
pub mod lifecycle;
pub mod observe;
pub mod once;
pub mod policy;
pub mod projection;
pub mod remedy;
pub mod schedule;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod view;
pub mod vitals;

pub use decider::{Decider, Decision, Timer, TimerChange, Trigger};
pub use policy::Policy;
pub use projection::Projection;
