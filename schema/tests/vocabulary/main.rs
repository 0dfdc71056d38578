//! The vocabulary may grow, but what is on somebody's log must stay readable for ever.

#![allow(clippy::unwrap_used, reason = "all of this is tests")]

mod examples;
mod goldens;
mod roundtrip;
