//! Where alerts are sent: `[[alerts.channels]]`, each with a name, a kind and an address.
//!
//! ```toml
//! [[alerts.channels]]
//! name = "oncall"
//! kind = "slack"
//! url_file = "/run/secrets/slack-oncall"
//! severity = "critical"
//! ```
//!
//! A variable or `--set` has room for names and kinds only: `oncall=slack,ops=slack`. The address is a secret: it may be in
//! the entry (`url`, or `url_file` for a file that holds it), in the variable `HEMOSTAT_ALERTS__CHANNELS__ONCALL__URL` (or
//! with `_FILE` the path of its file), or in the systemd credential `alerts.channels.oncall.url`. Both of the latter win over
//! the entry.

use std::path::{Path, PathBuf};

use hemostat_schema::observation::Severity;
use toml::{Table, Value};

use crate::{
    choices::ChannelKind,
    credentials,
    error::{Error, Origin, Wrong},
    named_list::{self, NamedEntry},
    secret::Secret,
    section::PREFIX,
    setting::Setting,
    suggestion::nearest,
    value::{bracketed, quoted, text},
    variables::Variables,
};

/// The entries of `[[alerts.channels]]`.
#[derive(Debug, Clone, Default)]
pub struct Channels(pub(crate) Vec<Entry>);

/// One entry.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub name: String,
    pub kind: ChannelKind,
    pub url: Option<Secret>,
    pub severity: Severity,
}

/// A channel to which alerts are sent.
#[derive(Debug, Clone)]
pub struct Channel {
    /// Its name on the log: lower-case letters, digits and `-`.
    pub name: String,
    /// What it is.
    pub kind: ChannelKind,
    /// Its address.
    pub url: Secret,
    /// Incidents that are less severe are not sent.
    pub severity: Severity,
}

/// All fields of an entry.
const FIELDS: [&str; 5] = ["name", "kind", "url", "url_file", "severity"];

/// Prefix of the variables that hold an entry's address.
const VARIABLES: &str = "ALERTS__CHANNELS__";

impl NamedEntry for Entry {
    const WHAT: &'static str = "channel";

    fn parse(value: &Value) -> Result<Self, Wrong> {
        let Value::Table(table) = value else {
            return Err(Wrong::value("", value, r#"a table such as { name = "oncall", kind = "slack", url = "..." }"#));
        };
        if let Some(field) = table.keys().find(|field| !FIELDS.contains(&field.as_str())) {
            let near = nearest(field, FIELDS.into_iter().map(str::to_owned));
            return Err(Wrong::Unknown { at: format!(".{field}"), near });
        }
        let name = text_of(table, "name");
        if !is_name(name) {
            return Err(Wrong::Value { at: ".name".to_owned(), value: quoted(name), right: RIGHT_NAME.to_owned() });
        }
        let kind = field::<ChannelKind>(table, "kind")?.ok_or_else(|| Wrong::Value {
            at: ".kind".to_owned(),
            value: quoted(""),
            right: ChannelKind::right(),
        })?;
        let url = field::<Secret>(table, "url")?;
        let file = match text_of(table, "url_file") {
            "" => None,
            path => Some(Secret::from_file(path.into()).map_err(Wrong::SecretFile)?),
        };
        if url.is_some() && file.is_some() {
            let right = "\"\", as url_file is set, too".to_owned();
            return Err(Wrong::Value { at: ".url".to_owned(), value: "***".to_owned(), right });
        }
        let severity = field::<Severity>(table, "severity")?.unwrap_or(Severity::Low);
        Ok(Self { url: url.or(file), severity, ..Self::new(name, kind) })
    }

    /// Reads `oncall=slack`.
    fn from_text(text: &str) -> Option<Self> {
        let (name, kind) = text.split_once('=')?;
        let kind = ChannelKind::read(&Value::String(kind.to_owned()))?;
        Some(Self::new(name.trim(), kind)).filter(|entry| is_name(&entry.name))
    }

    fn shown_name(&self) -> String {
        quoted(&self.name)
    }
}

impl Entry {
    fn new(name: &str, kind: ChannelKind) -> Self {
        Self { name: name.to_owned(), kind, url: None, severity: Severity::Low }
    }

    /// The channel; none without an address, which the check refuses.
    pub fn channel(&self) -> Option<Channel> {
        let Self { name, kind, url, severity } = self.clone();
        Some(Channel { name, kind, url: url?, severity })
    }

    /// The key of its address, in errors and as the name of its credential.
    fn key(&self) -> String {
        format!("alerts.channels.{}.url", self.name)
    }

    fn variable(&self) -> String {
        format!("{PREFIX}{VARIABLES}{}__URL", self.name.to_uppercase().replace('-', "_"))
    }

    /// Takes the address that the environment or a credential gives, and says where that is; two of them are an error.
    fn take_address(&mut self, variables: &Variables, credentials: Option<&Path>) -> Result<Option<Origin>, Error> {
        let (key, variable) = (self.key(), self.variable());
        let origin = |name: &str| Origin::Environment(name.to_owned());
        let file = |path: PathBuf, named_by: &str| {
            let named_by = Box::new(origin(named_by));
            (Origin::SecretFile { path: path.clone(), named_by }, Err(path))
        };
        let of_file = format!("{variable}_FILE");
        let credential = credentials.map(|directory| directory.join(&key)).filter(|path| path.is_file());
        let found = [
            variables.get(&variable).map(|url| (origin(&variable), Ok(Secret::from(url)))),
            variables.get(&of_file).map(|path| file(path.into(), &of_file)),
            credential.map(|path| file(path, credentials::VARIABLE)),
        ];
        let mut found = found.into_iter().flatten();
        let Some((origin, address)) = found.next() else { return Ok(None) };
        if let Some((second, _)) = found.next() {
            return Err(Error::Twice { key, first: origin, second });
        }
        match address.or_else(Secret::from_file) {
            Ok(address) => self.url = Some(address),
            Err(reason) => return Err(Error::SecretFile { key, origin, reason }),
        }
        Ok(Some(origin))
    }
}

impl Channels {
    /// Takes the addresses that the environment and the credentials give; they become parts of `origin`. Returns warnings
    /// about those that belong to no channel.
    pub(crate) fn take_addresses(
        &mut self,
        environment: &[(String, String)],
        origin: &mut Origin,
    ) -> Result<Vec<String>, Error> {
        let variables = Variables::new(environment);
        let credentials = variables.get(credentials::VARIABLE).map(PathBuf::from);
        for entry in &mut self.0 {
            if let Some(set_by) = entry.take_address(&variables, credentials.as_deref())? {
                let whole = Box::new(std::mem::take(origin));
                *origin = Origin::Parts { whole, part: entry.key(), set_by: Box::new(set_by) };
            }
        }
        let known: Vec<String> = self.0.iter().map(Entry::variable).collect();
        let unknown = variables.names().filter(|name| is_address_variable(name));
        let unknown = unknown.filter(|name| !known.iter().any(|known| name.trim_end_matches("_FILE") == known));
        let warning = |name: &str| {
            let hint = nearest(name, known.iter().cloned()).map(|near| format!("; did you mean {near}?"));
            let hint = hint.unwrap_or_default();
            format!(
                "the environment variable {name} means nothing to HemoStat: no entry of alerts.channels has it{hint}"
            )
        };
        Ok(unknown.map(warning).collect())
    }
}

/// Whether a variable is meant to hold the address of an entry.
pub(crate) fn is_address_variable(name: &str) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|name| name.starts_with(VARIABLES))
}

const RIGHT_NAME: &str = "a name of 1 to 32 lower-case letters, digits and -, beginning with a letter or digit";

fn is_name(name: &str) -> bool {
    let is_inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=32).contains(&name.len()) && !name.starts_with('-') && name.chars().all(is_inside)
}

fn text_of<'a>(table: &'a Table, field: &str) -> &'a str {
    table.get(field).and_then(text).unwrap_or_default()
}

/// A field that is set and not empty.
fn field<T: Setting>(table: &Table, name: &str) -> Result<Option<T>, Wrong> {
    let value = table.get(name).filter(|value| text(value) != Some(""));
    value.map(|value| T::parse(value).map_err(|wrong| wrong.under(&format!(".{name}")))).transpose()
}

impl Setting for Channels {
    fn right() -> String {
        "tables [[alerts.channels]], each with a name and a kind, or a text such as \"oncall=slack,ops=slack\"".into()
    }

    fn read(value: &Value) -> Option<Self> {
        Self::parse(value).ok()
    }

    fn parse(value: &Value) -> Result<Self, Wrong> {
        named_list::parse(value, Self::right()).map(Self)
    }

    fn show(&self) -> String {
        bracketed(self.0.iter().map(|Entry { name, kind, url, severity }| {
            let url = url.as_ref().map_or_else(String::new, |url| format!(", url = {}", url.show()));
            format!("{{ name = {}, kind = {}{url}, severity = {} }}", quoted(name), kind.show(), severity.show())
        }))
    }
}

#[cfg(test)]
mod tests;
