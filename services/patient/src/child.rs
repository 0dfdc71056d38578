//! The child of a patient that is to lose one: it takes memory until the kernel kills it.

use crate::{condition::Unlimited, stress};

/// The argument by which the patient's program is this child.
pub const COMMAND: &str = "take-memory";

/// Takes memory until the kernel kills this process, and this one before any other of its container.
///
/// # Errors
/// When nothing limits its memory: it would take the host's.
pub fn take_memory() -> Result<std::convert::Infallible, Unlimited> {
    if !stress::memory_is_limited() {
        return Err(Unlimited::Memory);
    }
    // Where this cannot be written, it is still the largest process before long.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    stress::take_memory()
}
