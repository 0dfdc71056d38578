//! Where a Docker engine is, and how it is reached.
//!
//! ```text
//!  configuration ─┐
//!  Docker context ┼─► hosts ──► Endpoint ──► Link ──► wire: unix · tcp · TLS · ssh ──► engine
//!  sockets        ┘  (discover)  (address, tls)  └─► trouble: what went wrong, what to look at
//! ```
//!
//! What is asked of an engine, and what its answers mean, is the business of those who ask: of the monitor and of the
//! responder.

pub mod address;
pub mod context;
pub mod discover;
pub mod hosts;
pub mod link;
mod ssh;
pub mod tls;
pub mod trouble;
mod wire;

pub use self::{
    address::Address,
    hosts::{Host, hosts},
    link::{Endpoint, Link},
    trouble::Trouble,
};
