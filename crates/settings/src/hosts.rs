//! Which Docker hosts are monitored: `[[hosts]]`, each with a name and with what differs from `[docker]`.
//!
//! ```toml
//! [[hosts]]
//! name = "web"
//! docker = "tcp://10.0.0.5:2376"
//! tls_dir = "/etc/hemostat/web"
//! ```
//!
//! A variable or `--set` has room for names and addresses only: `web=tcp://10.0.0.5:2376,db=ssh://me@db`. Without an
//! entry, this host is monitored.

use std::collections::BTreeMap;

use hemostat_schema::HostName;
use toml::{Table, Value};

use crate::{
    error::Wrong,
    named_list::{self, NamedEntry},
    section::Section as _,
    sections::Docker,
    setting::Setting,
    suggestion::nearest,
    value::{bracketed, text, written},
};

/// The entries of `[[hosts]]`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Hosts(pub(crate) Vec<Entry>);

/// One host, with its own settings of Docker; the others are as in `[docker]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its name in events and in the API.
    pub name: HostName,
    /// Its own settings by field. Each has been read once, so it is valid.
    fields: BTreeMap<String, Value>,
}

/// The key in `[docker]` that a field of an entry stands for.
pub(crate) fn key_of(field: &str) -> String {
    format!("docker.{}", if field == "docker" { "host" } else { field })
}

/// All fields of an entry.
fn fields() -> Vec<String> {
    let mut fields = vec!["name".to_owned()];
    Docker::keys(&mut |key| {
        let field = key.name.trim_start_matches("docker.");
        fields.push(if field == "host" { "docker" } else { field }.to_owned());
    });
    fields
}

impl NamedEntry for Entry {
    const WHAT: &'static str = "host";

    fn parse(value: &Value) -> Result<Self, Wrong> {
        let Value::Table(table) = value else {
            return Err(Wrong::value("", value, r#"a table such as { name = "web", docker = "tcp://10.0.0.5:2376" }"#));
        };
        let mut entry = Self { name: name_of(table)?, fields: BTreeMap::new() };
        for (field, value) in table.iter().filter(|(field, _)| *field != "name") {
            let known = fields();
            if !known.contains(field) {
                return Err(Wrong::Unknown { at: format!(".{field}"), near: nearest(field, known.into_iter()) });
            }
            if let Some(set) = Docker::default().set(&key_of(field), value) {
                set.map_err(|wrong| wrong.under(&format!(".{field}")))?;
            }
            if text(value) != Some("") {
                entry.fields.insert(field.clone(), value.clone());
            }
        }
        Ok(entry)
    }

    /// Reads `web=tcp://10.0.0.5:2376`.
    fn from_text(text: &str) -> Option<Self> {
        let (name, docker) = text.split_once('=')?;
        let docker = Some(docker.trim()).filter(|docker| !docker.is_empty());
        let fields = docker.map(|docker| ("docker".to_owned(), docker.into())).into_iter().collect();
        Some(Self { name: name.trim().parse().ok()?, fields })
    }

    fn shown_name(&self) -> String {
        self.name.show()
    }
}

impl Entry {
    /// The value of a field as it was written, if the entry sets it.
    pub(crate) fn written(&self, field: &str) -> Option<String> {
        self.fields.get(field).map(written)
    }

    /// Its own settings over those for all hosts.
    pub(crate) fn over(&self, all: &Docker) -> Docker {
        let mut docker = all.clone();
        if self.fields.contains_key("docker") || self.fields.contains_key("context") {
            (docker.host, docker.context) = (None, None);
        }
        for (field, value) in &self.fields {
            // They were valid when the entry was read.
            let _ = docker.set(&key_of(field), value);
        }
        docker
    }
}

fn name_of(table: &Table) -> Result<HostName, Wrong> {
    let name = table.get("name").cloned().unwrap_or_else(|| Value::String(String::new()));
    HostName::read(&name).ok_or_else(|| Wrong::value(".name", &name, HostName::right()))
}

impl Setting for Hosts {
    fn right() -> String {
        "tables [[hosts]], each with a name, or a text such as \"web=tcp://10.0.0.5:2376,db=ssh://me@db\"".into()
    }

    fn read(value: &Value) -> Option<Self> {
        Self::parse(value).ok()
    }

    fn parse(value: &Value) -> Result<Self, Wrong> {
        named_list::parse(value, Self::right()).map(Self)
    }

    fn show(&self) -> String {
        let entry = |Entry { name, fields }: &Entry| {
            let name = ("name".to_owned(), name.show());
            let fields = fields.iter().map(|(field, value)| (field.clone(), written(value)));
            let all = std::iter::once(name).chain(fields).map(|(field, value)| format!("{field} = {value}"));
            format!("{{ {} }}", all.collect::<Vec<_>>().join(", "))
        };
        bracketed(self.0.iter().map(entry))
    }
}
