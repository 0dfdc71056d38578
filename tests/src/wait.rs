//! Polling with a deadline.

use std::time::Duration;

use tokio::time::Instant;

/// Deadline of one step of a journey; generous, for a busy machine.
pub const STEP_TIMEOUT: Duration = Duration::from_secs(60);

/// Time between two polls.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Polls until `check` succeeds, and returns its value.
///
/// The deadline includes the time that `check` itself takes, so that a hanging check cannot hang the test.
///
/// # Panics
/// When `check` has not succeeded `within` this time; with `what` was waited for and the last error.
pub async fn wait_until<T>(within: Duration, what: &str, mut check: impl AsyncFnMut() -> anyhow::Result<T>) -> T {
    let deadline = Instant::now() + within;
    let mut last = String::from("no check completed");
    loop {
        match tokio::time::timeout_at(deadline, check()).await {
            Ok(Ok(found)) => return found,
            Ok(Err(error)) => last = format!("{error:#}"),
            Err(_) => last.push_str("; the last check did not complete"),
        }
        assert!(Instant::now() + POLL_INTERVAL < deadline, "not within {within:?}: {what}; {last}");
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
