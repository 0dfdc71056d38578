//! Signals to a process, by the shell's own `kill`: there is a shell everywhere, and a `kill` program is not.

use std::process::Command;

/// Sends `signal` (such as `STOP`) to the process.
pub(crate) fn send(signal: &str, pid: u32) {
    let status = Command::new("sh").args(["-c", "kill -\"$0\" \"$1\"", signal, &pid.to_string()]).status();
    assert!(status.unwrap().success(), "could not send {signal} to process {pid}");
}
