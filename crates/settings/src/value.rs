//! Reading and showing the raw values of a TOML file, of which text is also what the environment and `--set` have.

use std::fmt;

use toml::Value;

/// What some editors write at the beginning of a file; it is no part of the text.
pub(crate) const BYTE_ORDER_MARK: char = '\u{feff}';

/// The text of a string, without surrounding blanks.
pub(crate) fn text(value: &Value) -> Option<&str> {
    value.as_str().map(str::trim)
}

/// A number, also one that is written as text.
pub(crate) fn number(value: &Value) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "no setting has more than 2^53 as its value")]
    match value {
        Value::Integer(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        value => text(value)?.parse().ok(),
    }
}

/// The texts of a list, or of a text with commas.
pub(crate) fn list(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Array(items) => items.iter().map(|item| text(item).map(str::to_owned)).collect(),
        value => {
            let items = text(value)?.split(',').map(str::trim).filter(|item| !item.is_empty());
            Some(items.map(str::to_owned).collect())
        }
    }
}

/// `text` as a TOML string.
pub(crate) fn quoted(text: impl fmt::Display) -> String {
    let text = text.to_string().replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{text}\"")
}

/// `items`, which are TOML already, as a TOML list.
pub(crate) fn bracketed(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

/// As it was written, for an error.
pub(crate) fn written(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        Value::Array(items) => bracketed(items.iter().map(written)),
        Value::Table(_) => "a table".to_owned(),
        Value::Integer(number) => number.to_string(),
        // With its `.0`, which is why it is no whole number.
        Value::Float(number) => format!("{number:?}"),
        Value::Boolean(switch) => switch.to_string(),
        Value::Datetime(instant) => instant.to_string(),
    }
}
