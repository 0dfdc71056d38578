//! Questions about the past: what happened, why, what the state was, and whether everything is consistent.
//!
//! Everything here reads [`History`], which is archive and log as one, and changes nothing. What is pure (filters, stories,
//! consistency checks) is separate from the reading, so that tests run it on recorded sequences.
//!
//! | module | question |
//! |---|---|
//! | [`filter`], [`window`] | which events does a question select? |
//! | [`select`] | which are they, in one order across partitions? |
//! | [`follow`] | which events are appended from now on? |
//! | [`event_json`] | which JSON do API, export and tail write? |
//! | [`as_of`] | what were the rows of a view at an instant? |
//! | [`explain`] | what led to what, and what was the state of each limit? |
//! | [`policies`] | by which policy was a decision made? |
//! | [`export`] | the same for other programs: NDJSON, CSV, Parquet |
//! | [`backtest`] | what would HemoStat have decided under another policy? |
//! | [`verify`] | do rows equal the fold of their events, and history its chain of hashes? |
//! | [`fsck`] | are streams, groups, versions, timers and views consistent? |

pub mod as_of;
pub mod backtest;
pub mod event_json;
pub mod explain;
pub mod export;
pub mod filter;
pub mod follow;
pub mod fsck;
pub mod policies;
pub mod select;
#[cfg(feature = "testing")]
pub mod testing;
pub mod verify;
pub mod window;

pub use event_json::EventJson;
pub use filter::Filter;
pub use follow::{Cursor, Follower};
pub use hemostat_log::{Archive, Entry, Error, History, RawEntry};
pub use policies::Policies;
pub use select::{Found, Progress, Selected};
pub use window::{Position, Window};
