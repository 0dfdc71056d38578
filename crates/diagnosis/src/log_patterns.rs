//! Finds known failures in the last lines of a container's log and in the output of its health check.
//!
//! Programs print the same few messages when they fail, in every language; `table` lists them. A match is a hint, not a
//! proof, because anyone who can make a container print text can forge it. So no match causes a remedy, except a cleanup
//! if the disk was not measured. It names the cause, and it can rule out a remedy. Access log lines are ignored, because
//! clients write parts of them.

use hemostat_schema::examination::{Check, Examined};

use crate::{exhibits::output_id, known_failure::KnownFailure, plain_text::plain};

mod table;

use table::{failure, reports_retry};

/// How many of the last lines are searched.
const LAST_LINES: usize = 25;
/// How many characters of a line are quoted.
const QUOTED: usize = 140;

/// A line that names a known failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogMatch<'a> {
    /// The failure.
    pub failure: KnownFailure,
    /// The line.
    line: &'a str,
    /// The index of the log line; `None`: the health check printed it.
    index: Option<usize>,
}

impl LogMatch<'_> {
    /// The failure with the quoted line.
    pub(super) fn description(&self) -> String {
        format!("{} (it printed “{}”)", self.failure.description(), self.quoted())
    }

    /// The line, safe to show.
    fn quoted(&self) -> String {
        plain(self.line, QUOTED)
    }

    /// Whether it is one of the last `last` of `lines` log lines, or output of the health check.
    pub(super) fn is_among_the_last(&self, last: usize, lines: usize) -> bool {
        self.index.is_none_or(|index| index + last >= lines)
    }

    /// The id of the exhibit that shows it.
    pub(super) fn exhibit(&self) -> String {
        self.index.map_or_else(|| "checks".to_owned(), output_id)
    }
}

/// The last log line that names a failure. A shutdown message does not explain why the container ended.
pub(super) fn in_output(examined: &Examined) -> Option<LogMatch<'_>> {
    all_in_output(examined).find(|found| found.failure != KnownFailure::ShuttingDown)
}

/// The last log line that says that the container was asked to stop.
pub(super) fn shutdown_message(examined: &Examined) -> Option<LogMatch<'_>> {
    all_in_output(examined).find(|found| found.failure == KnownFailure::ShuttingDown)
}

/// All matches in the last lines, the last line first.
fn all_in_output(examined: &Examined) -> impl Iterator<Item = LogMatch<'_>> {
    let lines = examined.output.iter().enumerate().rev().take(LAST_LINES);
    let own = lines.filter(|(_, line)| !is_access_log(&line.text));
    own.filter_map(|(index, line)| {
        // Only in the log: a health check repeats anyway, so "retry" in its output says nothing about other services.
        let failure = failure(&line.text).or_else(|| reports_retry(&line.text).then_some(KnownFailure::Unreachable))?;
        Some(LogMatch { failure, line: &line.text, index: Some(index) })
    })
}

/// Whether it is an access log line, which contains text that a client chose.
pub(super) fn is_access_log(line: &str) -> bool {
    request(line).is_some() && [" 2", " 3", " 4", "HTTP/1", "HTTP/2"].iter().any(|answer| line.contains(answer))
}

/// The line from the HTTP method on, if it contains a request.
pub(super) fn request(line: &str) -> Option<&str> {
    const METHODS: [&str; 6] = ["GET /", "POST /", "PUT /", "DELETE /", "PATCH /", "HEAD /"];
    METHODS.iter().find_map(|method| line.find(method)).map(|begin| &line[begin..])
}

/// The failure that a health check's output names.
pub(super) fn in_check(check: &Check) -> Option<LogMatch<'_>> {
    Some(LogMatch { failure: failure(&check.output)?, line: &check.output, index: None })
}

/// The match for a health check that reports an unhealthy external component.
pub(super) fn unhealthy_component(check: &Check) -> LogMatch<'_> {
    LogMatch { failure: KnownFailure::Unreachable, line: &check.output, index: None }
}
