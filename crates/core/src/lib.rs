//! Every decision and every fold of HemoStat.
//!
//! Nothing here is async, reads a clock, a random number or the environment, or does I/O. Events come in, time comes in
//! as an argument, and decisions go out as events: so any history can be decided again.
//!
//! | module | task |
//! |---|---|
//! | [`observe`] | what the monitor sees becomes observations and symptoms; the condition of a container |
//! | [`remedy`] | whether a remedy is authorised, proposed or refused; backoff, circuit breaker, cooldown |
//! | [`judge`] | whether a remedy helped |
//! | [`alerting`] | what people are told about an incident |
//! | [`policy`] | the limits that all of this obeys, their defaults, and the labels that override them |
//! | [`views`] | the read models |
//! | [`decider`], [`projection`], [`fold`], [`last_applied`], [`schedule`] | what deciders and projections are, how they are folded, and their tools |

pub mod alerting;
pub mod decider;
pub mod fold;
pub mod judge;
pub mod last_applied;
pub mod observe;
pub mod policy;
pub mod projection;
pub mod remedy;
pub mod schedule;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod views;

pub use decider::{Decider, Decision, Timer, TimerChange, Trigger};
pub use policy::Policy;
pub use projection::Projection;
