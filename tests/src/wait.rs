//! Waiting for something to be so, with a deadline.

use std::time::Duration;

use tokio::time::Instant;

/// How long one step of a journey may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How often is looked.
const TICK: Duration = Duration::from_millis(50);

/// Looks until `check` gives something, and returns it.
///
/// What `check` itself waits for counts towards the deadline, so that nothing that hangs can hang a test.
///
/// # Panics
/// When it has given nothing `within` this time; says what was waited for and what stood in the way at the last look.
pub async fn until<T>(within: Duration, what: &str, mut check: impl AsyncFnMut() -> anyhow::Result<T>) -> T {
    let deadline = Instant::now() + within;
    let mut last = String::from("it could not be looked even once");
    loop {
        match tokio::time::timeout_at(deadline, check()).await {
            Ok(Ok(found)) => return found,
            Ok(Err(error)) => last = format!("{error:#}"),
            Err(_) => last.push_str("; the last look did not end"),
        }
        assert!(Instant::now() + TICK < deadline, "not within {within:?}: {what}; {last}");
        tokio::time::sleep(TICK).await;
    }
}
