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
pub mod config;
mod context;
mod decide;
mod effect;
pub mod embedded;
mod fleet;
pub mod health;
mod lease;
pub mod metrics;
mod open;
pub mod parked;
mod producer;
mod project;
pub mod rebuild;
mod retry;
pub mod rows;
mod supervise;
mod tally;
pub mod telemetry;
pub mod trace;
pub mod views;
mod worker;

pub use clock::{Clock, ManualClock, SystemClock};
pub use config::Config;
pub use context::Context;
pub use decide::{DecideWorker, Known, decider};
pub use effect::{Effect, EffectWorker, Fault, Permit, Undurable, effect, effect_on};
pub use embedded::Embedded;
pub use health::{Condition, Health, router};
pub use hemostat_log as log;
pub use hemostat_log::{Plan as MigrationPlan, Step as MigrationStep};
pub use lease::{Tenure, Uncertain};
pub use metrics::Metric;
pub use open::{migrate, migration_plan};
pub use producer::{Lost, Producer};
pub use project::{ProjectWorker, projection};
pub use supervise::{Task, run};
pub use worker::{Halt, Stage, Step, Worker};
