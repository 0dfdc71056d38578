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
//! The [`EngineState`] is a state machine without clock, randomness or I/O: containers with their restart policies, health
//! checks, counters and illnesses, to which time is an argument. [`FakeDocker`] gives it a clock and a socket. It is for
//! scale (ten thousand containers in one process), for faults that a real engine cannot be asked for (slow, hanging,
//! refusing, cut off), and for showing HemoStat where no Docker is at hand.
//!
//! What it does it does as Docker 20.10 does (`tests/conformance.rs` in HemoStat's test bed compares the two); the real
//! engine stays the judge. There are no images, networks, volumes or processes behind it, and no Swarm.

mod api;
mod counter;
mod engine;
mod event;
mod failure;
pub mod fault;
pub mod fleet;
mod server;
mod spec;
mod time;

pub use engine::{Container, ContainerId, EngineState, Health, OperationId, Outcome, Refusal, Status, Updates};
pub use event::Event;
pub use failure::{Failure, FailureKind};
pub use fault::ApiFault;
pub use server::FakeDocker;
pub use spec::{BaselineUsage, ContainerSpec, HealthCheck, RestartPolicy, StopBehaviour};
pub use time::UnixNanos;
