//! Reads a list of named entries: an array of tables, or a text such as `web=tcp://10.0.0.5:2376,db=ssh://me@db`.

use toml::Value;

use crate::{error::Wrong, value::text};

/// One entry of such a list.
pub(crate) trait NamedEntry: Sized {
    /// What else has names, for errors: `host`.
    const WHAT: &'static str;

    /// Reads a table.
    fn parse(value: &Value) -> Result<Self, Wrong>;

    /// Reads `name=value`.
    fn from_text(text: &str) -> Option<Self>;

    /// Its name as it is shown.
    fn shown_name(&self) -> String;
}

/// The entries of `value`; `right` describes a right one. Two of one name are refused.
pub(crate) fn parse<T: NamedEntry>(value: &Value, right: String) -> Result<Vec<T>, Wrong> {
    let entries: Vec<T> = match value {
        Value::Array(items) => {
            let parse = |(index, item)| T::parse(item).map_err(|wrong| wrong.under(&format!("[{index}]")));
            items.iter().enumerate().map(parse).collect::<Result<_, _>>()?
        }
        value => {
            let entries = |text: &str| {
                let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
                entries.map(T::from_text).collect::<Option<_>>()
            };
            text(value).and_then(entries).ok_or_else(|| Wrong::value("", value, right))?
        }
    };
    for (index, entry) in entries.iter().enumerate() {
        let name = entry.shown_name();
        if entries[..index].iter().any(|earlier| earlier.shown_name() == name) {
            let right = format!("a name that no other {} has", T::WHAT);
            return Err(Wrong::Value { at: format!("[{index}].name"), value: name, right });
        }
    }
    Ok(entries)
}
