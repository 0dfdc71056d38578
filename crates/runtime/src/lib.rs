//! The runtime around pure decisions: the only place that loops, waits, and reads a clock.
//!
//! Services bring deciders, projections and effects; [`decider`], [`projection`] and [`effect`] turn them into tasks, and
//! `hemostat-process` runs the tasks until the process shuts down. The decisions are in `hemostat-core`, the storage of
//! events is in `hemostat-log`.
//!
//! ```text
//!            ┌─ LeasedWorker: membership, lease, standby, outages ─────────────────┐
//!   inbox ──►│ fold ─► decide ─► commit                              (Decider)     │──► log
//!   log   ──►│ fold ─► commit rows and offset                        (Projection)  │
//!   inbox ──►│ intent ─► ExecutionGuard ─► world ─► outcome ─► commit (Effect)     │
//!            └─────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! [`Producer`] is for roles that append events and read none.

mod assignment;
mod clock;
pub mod commands;
mod context;
pub mod dead_letters;
mod decide;
mod effect;
mod event_metrics;
pub mod health;
mod lease;
mod lease_guard;
mod leased_worker;
mod live;
mod membership;
pub mod metrics;
mod producer;
mod project;
pub mod read_model;
pub mod rebuild;
pub mod retry;
pub mod session;
mod task;
pub mod trace;
mod worker;

pub use clock::{Clock, ManualClock, SystemClock};
pub use context::Context;
pub use decide::{DecideWorker, decider, unchanging};
pub use effect::{Effect, EffectWorker, ExecutionGuard, Fault, NotDurable, effect, effect_on_hosts};
pub use health::{Health, WorkerStatus};
pub use hemostat_log as log;
pub use lease::{LeaseHandle, LeaseMayHaveExpired};
pub use leased_worker::LeasedWorker;
pub use metrics::Metric;
pub use producer::{Producer, ProducerError};
pub use project::{ProjectWorker, projection};
pub use task::Task;
pub use worker::{Step, Worker, WorkerError};
