//! A Docker engine that is not there: it speaks the Docker API for thousands of containers, none of which runs.
//!
//! ```text
//!                        ┌────────────── Simulated ──────────────┐
//!  docker, HemoStat ───► │ socket ─► faults ─► api ─► World       │
//!                        │                             │ time     │
//!  /simulated/… ───────► │ illnesses, faults           ▼          │
//!                        │                    events, answers     │
//!                        └────────────────────────────────────────┘
//! ```
//!
//! The [`World`] is a state machine without clock, randomness or I/O: containers with their restart policies, health
//! checks, counters and illnesses, to which time is an argument. [`Simulated`] gives it a clock and a socket. It is for
//! scale (ten thousand containers in one process), for faults that a real engine cannot be asked for (slow, hanging,
//! refusing, cut off), and for showing HemoStat where no Docker is at hand.
//!
//! What it does it does as Docker 20.10 does (`tests/conformance.rs` in HemoStat's test bed compares the two); the real
//! engine stays the judge. There are no images, networks, volumes or processes behind it, and no Swarm.

mod api;
mod event;
pub mod fault;
pub mod fleet;
mod illness;
mod line;
mod moment;
mod server;
mod spec;
mod world;

pub use event::Event;
pub use fault::Fault;
pub use illness::{Illness, Kind};
pub use moment::Moment;
pub use server::Simulated;
pub use spec::{AtRest, Check, Ends, Restart, Spec};
pub use world::{Answer, Container, ContainerId, Health, Life, News, Refusal, Ticket, World};
