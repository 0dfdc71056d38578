//! The interface over real HTTP: what it answers, what it refuses, and how it describes itself.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly, in its helpers, too")]

mod as_of;
mod broken;
mod openapi;
mod paging;
mod parked;
mod problems;
mod reading;
mod server;
