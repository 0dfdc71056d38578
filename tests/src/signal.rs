//! Sends signals with the shell's builtin `kill`: every machine has a shell, but not every machine a `kill` program.

use std::process::Command;

/// Sends `signal` (such as `STOP`) to the process.
pub(crate) fn send(signal: &str, pid: u32) {
    let status = Command::new("sh").args(["-c", "kill -\"$0\" \"$1\"", signal, &pid.to_string()]).status();
    assert!(status.unwrap().success(), "could not send {signal} to process {pid}");
}
