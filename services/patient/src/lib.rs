//! The demo workload: a small HTTP service that fails on request, and the stage that runs it in a Docker engine.
//!
//! A patient is healthy when it starts and falls ill on request, so that HemoStat can be demonstrated, tested and
//! measured on real containers. An illness lives only in the process's memory, so that a restart cures it, unless the
//! patient was started as a stubborn one.

pub mod condition;
mod episode;
pub mod http;
pub mod illness;
pub mod server;
#[cfg(feature = "stage")]
pub mod stage;
mod stress;
#[cfg(feature = "stage")]
pub mod webhook_receiver;
pub mod worker;

pub use illness::Illness;
pub use stress::exhaust_memory;
