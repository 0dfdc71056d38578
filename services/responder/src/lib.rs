//! The responder: it decides what may be done for a sick container, does it, and judges whether it helped.

pub mod deed;
pub mod engine;
mod execute;

pub use execute::Execute;
