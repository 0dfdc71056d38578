//! Everything around decisions: the only place that loops, waits, and asks the time.
//!
//! Services bring deciders, projections and effects; [`decider`], [`projection`] and [`effect`] make tasks of them, and
//! [`run`] runs these until the process is told to end. What decisions are is in `hemostat-core`, how events are stored
//! in `hemostat-log`.
//!
//! ```text
//!            ┌─ Stage: lease, standby, reconnect ──────────────────────────────┐
//!   inbox ──►│ fold ─► decide ─► commit     (Decider)                          │──► log
//!   timers ─►│ fold ─► commit               (Projection)                       │
//!            │ intent ─► permit ─► world ─► outcome ─► commit     (Effect)     │
//!            └─────────────────────────────────────────────────────────────────┘
//! ```

mod clock;
mod context;
mod decide;
mod effect;
mod fleet;
pub mod health;
mod lease;
pub mod metrics;
pub mod parked;
mod producer;
mod project;
pub mod rebuild;
pub mod retry;
pub mod rows;
mod tally;
mod task;
pub mod trace;
pub mod views;
mod worker;

pub use clock::{Clock, ManualClock, SystemClock};
pub use context::Context;
pub use decide::{DecideWorker, Known, decider};
pub use effect::{Effect, EffectWorker, Fault, Permit, Undurable, effect, effect_on};
pub use health::{Condition, Health};
pub use hemostat_log as log;
pub use lease::{Tenure, Uncertain};
pub use metrics::Metric;
pub use producer::{Lost, Producer};
pub use project::{ProjectWorker, projection};
pub use task::Task;
pub use worker::{Halt, Stage, Step, Worker};
