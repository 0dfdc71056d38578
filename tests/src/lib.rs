//! The test bed: real processes, isolated from one another so that any number of tests can run at once.
//!
//! A [`TestDeployment`] has a directory, patients in the real Docker engine under a name prefix of its own, a fake Slack,
//! and as many HemoStat processes as a test starts; each HemoStat watches only its own patients. Tests wait for events
//! with [`wait_until`], never for a fixed time. Dropping the deployment removes everything, also after a panic.
//!
//! `make test` builds the binaries; a test that misses one says so.
#![allow(clippy::unwrap_used, reason = "a test bed may panic wherever it fails")]

mod bench_results;
mod cluster;
mod container_history;
mod deployment;
mod event_generator;
mod hemostat;
pub mod in_process;
pub mod instants;
mod model;
mod node;
pub mod process;
mod proxy;
mod redis;
pub mod resp;
mod sentinel;
mod signal;
mod simulated_deployment;
mod slack;
mod tls;
pub mod torture;
mod wait;

pub use bench_results::BenchResults;
pub use cluster::Cluster;
pub use container_history::{ContainerHistory, Event};
pub use deployment::TestDeployment;
pub use event_generator::EventGenerator;
pub use hemostat::Hemostat;
pub use model::{FakeModel, ModelResponse, Request};
pub use proxy::Proxy;
pub use redis::{Fsync, RedisServer};
pub use sentinel::Sentinels;
pub use simulated_deployment::SimulatedDeployment;
pub use slack::{FakeSlack, SlackResponse};
pub use tls::RedisTls;
pub use wait::{STEP_TIMEOUT, wait_until};
