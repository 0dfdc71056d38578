//! Times in the API's responses, as milliseconds since the epoch.

use anyhow::Context;
use jiff::Timestamp;
use serde_json::Value;

/// Parses a timestamp such as an event's `at`.
///
/// # Errors
/// When it is not a timestamp.
pub fn instant(at: &Value) -> anyhow::Result<f64> {
    let at: Timestamp = at.as_str().context("not a timestamp")?.parse()?;
    #[expect(clippy::cast_precision_loss, reason = "microseconds of this century fit")]
    Ok(at.as_microsecond() as f64 / 1000.0)
}

/// When the event was appended, by its id: whole milliseconds of the log's clock.
///
/// # Errors
/// When it has no valid id.
pub fn appended_at(event: &Value) -> anyhow::Result<f64> {
    let id = event["id"].as_str().context("no id")?;
    let ms = id.split_once('.').and_then(|(_, entry)| entry.split_once('-')).context("not an id")?.0;
    Ok(ms.parse()?)
}
