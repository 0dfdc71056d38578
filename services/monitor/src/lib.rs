//! The monitor: it watches one Docker engine and puts what it sees on the log.

pub mod ending;
pub mod engine;
pub mod event;
pub mod facts;
pub mod follow;
pub mod samples;
pub mod watch;
