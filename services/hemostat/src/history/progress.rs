//! Progress of a long scan through history, on standard error if that is a terminal.

use std::{
    io::{IsTerminal as _, stderr, stdout},
    sync::Arc,
    time::{Duration, Instant},
};

use hemostat_history::Progress;
use hemostat_schema::{Span, Timestamp};
use tokio::task::JoinHandle;

/// A scan shorter than this shows no progress.
const SILENT_FOR: Duration = Duration::from_millis(700);

/// Shows a [`Progress`] for as long as it lives.
#[derive(Debug)]
pub struct Shown {
    /// What the scan updates.
    pub progress: Arc<Progress>,
    task: Option<JoinHandle<()>>,
}

impl Shown {
    /// Shows progress only if standard error is a terminal and, for a tool that prints while it scans, standard output
    /// is not.
    pub fn begin(prints_meanwhile: bool) -> Self {
        let progress: Arc<Progress> = Arc::default();
        let seen = stderr().is_terminal() && !(prints_meanwhile && stdout().is_terminal());
        let task = seen.then(|| tokio::spawn(show(Arc::clone(&progress))));
        Self { progress, task }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            eprint_line("");
        }
    }
}

async fn show(progress: Arc<Progress>) {
    let begun = Instant::now();
    tokio::time::sleep(SILENT_FOR).await;
    let mut first = None;
    loop {
        let (events, ms) = (progress.looked_at(), progress.ms());
        let first = *first.get_or_insert((ms, begun.elapsed()));
        let now = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0);
        eprint_line(&line(events, begun.elapsed(), left(first, (ms, begun.elapsed()), now)));
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// Estimates the time left until `end`. `first` and `last` each are a time on the log (ms) and a duration of the scan.
fn left(first: (u64, Duration), last: (u64, Duration), end: u64) -> Option<Span> {
    let (walked, took) = (last.0.saturating_sub(first.0), last.1.saturating_sub(first.1));
    let to_go = u128::from(end.saturating_sub(last.0));
    let ms = took.as_millis().saturating_mul(to_go).checked_div(u128::from(walked))?;
    Some(Span::from_millis(u64::try_from(ms).ok()?))
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "approximate, for display"
)]
fn line(events: u64, took: Duration, left: Option<Span>) -> String {
    let pace = (events as f64 / took.as_secs_f64().max(0.001)) as u64;
    let left = left.map(|left| format!(", about {left} left")).unwrap_or_default();
    format!("{events} events read, {pace}/s{left}")
}

/// Overwrites the current line.
#[expect(clippy::print_stderr, reason = "progress belongs on the terminal")]
fn eprint_line(text: &str) {
    eprint!("\r\u{1b}[2K{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_extrapolated() {
        let secs = Duration::from_secs;
        for (first, last, end, expected) in [
            ((0, secs(0)), (100, secs(1)), 300, Some(2_000)),
            ((0, secs(0)), (100, secs(1)), 100, Some(0)),
            ((100, secs(1)), (100, secs(2)), 300, None),
        ] {
            assert_eq!(left(first, last, end), expected.map(Span::from_millis));
        }
        assert_eq!(line(5_000, secs(2), Some(Span::from_secs(3))), "5000 events read, 2500/s, about 3.0 s left");
    }
}
