//! The schema may grow, but every event on an existing log must stay readable for ever.

#![allow(clippy::unwrap_used, reason = "all of this is tests")]

mod examples;
mod goldens;
mod roundtrip;
