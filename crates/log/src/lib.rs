//! The event store: an ordered log per partition, consumer groups, read models, timers, and one atomic, fenced commit.
//!
//! [`Log`] is the contract. Two stores implement it: [`RedisLog`] (Redis Streams and one Redis Function, see
//! `migrations/`) and [`MemoryLog`] for tests; one test suite runs on both. No other crate knows the Redis
//! client, and nothing in this crate knows what an event means.
//!
//! ```text
//!                 ┌──────── partition p: one clock, one total order of ids ─────────────┐
//!   commit ──────►│ observations  diagnoses  actions  alerts  samples │versions rows tmrs│
//!   (fenced,      └───────┬──────────┬──────────┬────────┬───────┬────┴─────────┬────────┘
//!    atomic)              └──────────┴─ merged ─┴────────┴───────┘              │
//!                                  by id: Inbox (a group's), read (anybody's)   rows, timers
//! ```

pub mod aof_repair;
mod append;
pub mod chain;
mod commit;
mod durability;
mod entry;
mod error;
mod history;
mod inbox;
mod inspection;
mod lease;
mod log;
mod options;
mod raw;
mod redis;
mod scan;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use append::{Append, Appended, Settle, Settlement};
pub use commit::{Commit, CommitError, Cursor, Guard, NewDeadLetter, RowChange, TimerKey, TimerUpdate, ViewChange};
pub use durability::{Confirmed, Durability, UnknownDurability};
pub use entry::{Backlog, DeadLetter, Delivery, Entry, Reader, StoredTimer};
pub use error::Error;
pub use history::{Archive, History};
pub use inbox::Inbox;
pub use inspection::{GroupState, Inspection, LeaseState, MAX_PENDING, StreamState, Trimmed};
pub use lease::{Heartbeat, Lease, Session, Sessions};
pub use log::{Log, Order, Range};
pub use options::{Options, ReadPassword};
pub use raw::RawEntry;
pub use redis::{Applied, Plan, RedisLog, Step, migrate, plan};
pub use scan::Scan;
#[cfg(any(test, feature = "testing"))]
pub use testing::MemoryLog;
