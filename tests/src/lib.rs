//! The test bed: real processes, told apart so that any number of tests can run at once.
//!
//! A [`Bed`] has a directory, patients in the real Docker engine under a name prefix of their own, a fake Slack, and as
//! many HemoStat processes as a test starts; each HemoStat is limited to its own bed's patients. What a test waits for it
//! waits for with [`until`], never for a fixed time. Everything is taken away when the bed is dropped, in a panic too.
//!
//! The binaries are built by `make test`; a test that misses one says so.
#![allow(clippy::unwrap_used, reason = "a test bed may fail loudly, wherever it fails")]

mod bed;
mod cluster;
mod figures;
mod hemostat;
mod load;
mod model;
mod node;
pub mod process;
mod proxy;
mod redis;
mod resp;
mod sentinel;
mod signal;
mod slack;
mod story;
mod tls;
pub mod torture;
mod wait;

pub use bed::Bed;
pub use cluster::Cluster;
pub use figures::Figures;
pub use hemostat::Hemostat;
pub use load::Load;
pub use model::{FakeModel, Reply, Request};
pub use proxy::Proxy;
pub use redis::{Keeps, RedisServer};
pub use resp::{Resp, Value};
pub use sentinel::Sentinels;
pub use slack::{Answer, FakeSlack};
pub use story::{Event, Story};
pub use tls::RedisTls;
pub use wait::{PATIENCE, until};
