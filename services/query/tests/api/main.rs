//! The API over real HTTP: answers, errors and its OpenAPI description.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly, in its helpers, too")]

mod as_of;
mod broken;
mod dead_letters;
mod metrics;
mod openapi;
mod paging;
mod problems;
mod reading;
mod server;
mod stream;
