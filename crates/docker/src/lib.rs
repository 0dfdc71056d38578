//! Finds Docker engines, connects to them and calls them.
//!
//! ```text
//!  configuration ──┐
//!  Docker contexts ┼─► hosts ──► Endpoint ──► Link ──► transport: unix · pipe · tcp · TLS · ssh ──► engine
//!  known sockets ──┘ (discover) (address, tls)  ▲
//!                                            Docker (adapter): one error type, one time-out rule
//! ```
//!
//! The only crate of HemoStat's services that uses bollard, Docker's client. Answers come back as bollard's generated
//! [`models`]; the monitor and the responder read them through traits of their own, which tests implement.

mod adapter;
mod address;
mod connect_error;
mod context;
mod discover;
mod disk_usage;
mod endpoint;
mod environment;
mod error;
mod hosts;
mod link;
mod ssh;
mod tls;
mod transport;

/// Docker's answers, generated from the definition of its API.
pub use bollard::{container::LogOutput, models};

pub use self::{
    adapter::{Docker, EngineInfo, RECORDED_EVENTS, state, timestamp},
    address::Address,
    connect_error::ConnectError,
    disk_usage::DiskUsage,
    endpoint::Endpoint,
    environment::{Environment, SystemEnvironment},
    error::Error,
    hosts::{Host, hosts},
    link::Link,
};
