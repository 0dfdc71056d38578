//! The event store: what is kept, how it is read, and the one way to change it.
//!
//! [`Log`] is the contract. It is kept by two stores: [`RedisLog`] (Redis Streams and one Redis Function, see
//! `migrations/`) and [`MemoryLog`] for tests; one suite of laws runs on both. Nothing outside this crate knows that
//! there is a Redis client, and nothing inside it knows what an event means.
//!
//! ```text
//!                 ┌──────── partition p: one clock, one total order of ids ────────┐
//!   commit ──────►│ observations   diagnoses   actions   alerts │ heads rows timers│
//!   (fenced,      └───────┬──────────┬───────────┬────────┬─────┴─────────┬────────┘
//!    atomic)              └──────────┴─ merged ──┴────────┘               │
//!                                  by id: Inbox (a group's), read (anybody's)   rows, timers
//! ```

pub mod aof_repair;
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
mod memory;
mod options;
mod raw;
mod redis;
mod scan;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use commit::{Commit, CommitError, Cursor, Guard, NewDeadLetter, RowChange, TimerKey, TimerUpdate, ViewChange};
pub use durability::{Confirmed, Durability, UnknownDurability};
pub use entry::{Backlog, DeadLetter, Delivery, Entry, Reader, StoredTimer};
pub use error::Error;
pub use history::{Archive, History};
pub use inbox::Inbox;
pub use inspection::{GroupState, Inspection, LeaseState, MOST_PENDING, StreamState, Trimmed};
pub use lease::Lease;
pub use log::{Log, Order, Range};
pub use memory::MemoryLog;
pub use options::Options;
pub use raw::RawEntry;
pub use redis::{Applied, Plan, RedisLog, Step, migrate, plan};
pub use scan::Scan;
