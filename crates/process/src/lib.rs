//! The process around the workers: supervision, logging, metrics, the health endpoint and the embedded Redis.

pub mod embedded;
pub mod endpoint;
pub mod metrics;
mod open;
pub mod policy;
mod supervise;
pub mod telemetry;

pub use embedded::Embedded;
pub use endpoint::router;
pub use hemostat_log::{Plan as MigrationPlan, Step as MigrationStep};
pub use open::{migrate, migration_plan, open};
pub use supervise::run;
