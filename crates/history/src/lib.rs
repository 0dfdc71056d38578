//! Questions about the past: what happened, why, how things stood, and whether all of it fits together.
//!
//! Everything here reads [`History`], which is archive and log as one, and changes nothing. What is pure (which events are
//! asked for, how a story is told, how rows are folded) is kept apart from the reading, so that it is tested on recorded
//! sequences.
//!
//! | module | answers |
//! |---|---|
//! | [`filter`], [`window`] | which events are asked for? |
//! | [`select`] | which are they, in one order across partitions? |
//! | [`event_json`] | which JSON do API, export and tail write? |
//! | [`as_of`] | how did the rows of a view stand at an instant? |
//! | [`explain`] | what led to what, and which limits stood where? |
//! | [`export`] | the same for other programs: NDJSON, CSV, Parquet |
//! | [`backtest`] | what would have been decided under another policy? |
//! | [`verify`] | are rows, history and archive what they were? |
//! | [`fsck`] | do streams, groups, heads, timers and views agree with each other? |

pub mod as_of;
pub mod backtest;
pub mod event_json;
pub mod explain;
pub mod export;
pub mod filter;
pub mod fsck;
pub mod select;
#[cfg(feature = "testing")]
pub mod testing;
pub mod verify;
pub mod window;

pub use event_json::EventJson;
pub use filter::Filter;
pub use hemostat_log::{Archive, Entry, Error, History, RawEntry};
pub use select::{Found, Progress, Selected};
pub use window::{Position, Window};
