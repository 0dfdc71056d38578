//! When did something happen, as the API tells it, in milliseconds since the epoch?

use anyhow::Context;
use jiff::Timestamp;
use serde_json::Value;

/// What a text such as an event's `at` says.
///
/// # Errors
/// When it is no instant.
pub fn instant(at: &Value) -> anyhow::Result<f64> {
    let at: Timestamp = at.as_str().context("no instant")?.parse()?;
    #[expect(clippy::cast_precision_loss, reason = "microseconds of this century fit")]
    Ok(at.as_microsecond() as f64 / 1000.0)
}

/// When the log took an event, by its id: whole milliseconds of the log's clock.
///
/// # Errors
/// When it has no such id.
pub fn on_log(event: &Value) -> anyhow::Result<f64> {
    let id = event["id"].as_str().context("no id")?;
    let ms = id.split_once('.').and_then(|(_, entry)| entry.split_once('-')).context("not an id")?.0;
    Ok(ms.parse()?)
}
