//! A fake Docker engine: it serves the Docker API for thousands of containers without running any.
//!
//! ```text
//!                       ┌──────────────── FakeDocker ─────────────────┐
//!  docker, HemoStat ──► │ socket ─► API faults ─► api ─► EngineState  │
//!                       │                                  ▲  │       │
//!  /simulated/… ──────► │ failures, API faults       clock ┘  ▼       │
//!                       │                          events, responses  │
//!                       └─────────────────────────────────────────────┘
//! ```
//!
//! [`EngineState`] is a state machine without clock, randomness and I/O: containers with restart policies, health checks,
//! usage counters and injected failures; the caller passes the time. [`FakeDocker`] adds a clock and an HTTP server. It is
//! for scale (ten thousand containers in one process), for faults that a real engine does not produce on demand (slow,
//! hanging, failing, cut responses), and for a demo without Docker.
//!
//! It behaves like Docker 20.10; `tests/conformance.rs` in HemoStat's test bed compares it with a real engine, which is
//! the reference. It has no images, networks, volumes, processes or Swarm. It knows nothing of HemoStat and depends on no
//! other crate of it.

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

pub use engine::{
    EngineState,
    container::{Container, Health, Status},
    id::ContainerId,
    outcome::{OperationId, Outcome, Refusal, Updates},
};
pub use event::Event;
pub use failure::{Failure, FailureKind};
pub use fault::ApiFault;
pub use server::FakeDocker;
pub use spec::{BaselineUsage, ContainerSpec, HealthCheck, RestartPolicy, StopBehaviour};
pub use time::UnixNanos;
