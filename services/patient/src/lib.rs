//! The demo workload: a small HTTP service that falls ill on request, and the stage that runs it in a Docker engine.
//!
//! A patient is well when it starts and ill when it is told to be, so that HemoStat can be watched, tested and measured
//! on real containers. An illness lives in the process's memory only: a restart cures it, unless the patient was
//! started as a stubborn one.

pub mod condition;
pub mod http;
pub mod illness;
#[cfg(feature = "stage")]
pub mod mailbox;
pub mod server;
#[cfg(feature = "stage")]
pub mod stage;
mod stress;
pub mod worker;

pub use illness::Illness;
pub use stress::be_killed;
