//! Test tools: given/when/then for any decider, and a simulated loop for laws over whole histories.
//!
//! Time is a number, ids are counted, and the log is a vector. Behind the feature `testing`, for tests of this crate
//! and of others.

mod events;
mod given;
mod simulation;

pub use events::{
    at, cleared, container, event, examined, exited, facts, health, host, id, incident, incident_event, labelled,
    policy, raised, reached, run, seen, started, subject, unhealthy, unhealthy_with, unusual, vitals,
};
pub use given::{Given, Then, fold, given};
pub use simulation::Simulation;
