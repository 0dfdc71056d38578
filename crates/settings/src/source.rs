//! Where values come from: a file, then the environment, then the command line; the later one wins.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use config::{FileFormat, Map, Source, Value, ValueKind};

use super::{
    Error, Origin,
    setting::{Setting, Wrong},
};

/// A key of the configuration.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// As in `hemostat.toml`, with dots: `responder.cooldown`.
    pub name: &'static str,
    /// Names that its variable had in the Python HemoStat or has everywhere.
    pub aliases: &'static [Alias],
    /// Whether its value is never shown.
    pub secret: bool,
}

/// Another name of a key's environment variable.
#[derive(Debug, Clone, Copy)]
pub enum Alias {
    /// Holds what the key holds.
    Plain(&'static str),
    /// Holds a time, as a plain number of seconds or as the key holds it.
    Seconds(&'static str),
}

impl Key {
    /// The name of its environment variable: `HEMOSTAT_RESPONDER__COOLDOWN`.
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.name.to_uppercase().replace('.', "__"))
    }
}

const PREFIX: &str = "HEMOSTAT_";

/// Read by the command line itself: which file to read.
pub const FILE_VARIABLE: &str = "HEMOSTAT_CONFIG";

/// Where files are looked for when none is named.
const FILES: [&str; 2] = ["hemostat.toml", "/etc/hemostat/hemostat.toml"];

/// What is read, before it is read.
#[derive(Debug, Clone, Default)]
pub struct Input {
    /// The file; where it is none, the first that there is of `hemostat.toml` and `/etc/hemostat/hemostat.toml`.
    pub file: Option<PathBuf>,
    /// The environment.
    pub environment: Vec<(String, String)>,
    /// From the command line: key, value.
    pub overrides: Vec<(String, String)>,
}

impl Input {
    /// This process's environment, with a file and overrides from the command line.
    pub fn of_process(file: Option<PathBuf>, overrides: Vec<(String, String)>) -> Self {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let file = file.or_else(|| FILES.iter().map(PathBuf::from).find(|path| path.is_file()));
        Self { file, environment, overrides }
    }
}

/// Every value that is set, with where it was set.
#[derive(Debug, Default)]
pub(super) struct Sources {
    values: BTreeMap<&'static str, (Value, Origin)>,
    /// What is odd, but no reason to refuse.
    pub warnings: Vec<String>,
}

impl Sources {
    /// Reads all sources, the later ones over the earlier ones.
    pub fn read_all(keys: &[Key], input: &Input) -> Result<Self, Error> {
        let mut sources = Self::default();
        if let Some(path) = &input.file {
            sources.take_file(keys, path)?;
        }
        sources.take_environment(keys, &input.environment);
        for (name, value) in &input.overrides {
            let key = find(keys, name, || "the command line".to_owned())?;
            sources.values.insert(key.name, (Value::new(None, value.clone()), Origin::CommandLine));
        }
        Ok(sources)
    }

    fn take_file(&mut self, keys: &[Key], path: &Path) -> Result<(), Error> {
        let unreadable = |reason: String| Error::File { path: path.to_owned(), reason };
        let text = fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
        let table = config::File::from_str(&text, FileFormat::Toml)
            .collect()
            .map_err(|error| unreadable(error.to_string().trim().to_owned()))?;
        let mut flat = vec![];
        flatten(keys, "", table, &mut flat);
        for (name, value) in flat {
            let key = find(keys, &name, || path.display().to_string())?;
            self.values.insert(key.name, (value, Origin::File(path.to_owned())));
        }
        Ok(())
    }

    /// An empty variable sets nothing: Compose passes on what is not set as empty.
    fn take_environment(&mut self, keys: &[Key], environment: &[(String, String)]) {
        let get = |name: &str| {
            environment.iter().find(|(is, value)| is == name && !value.trim().is_empty()).map(|(_, value)| value.trim())
        };
        for key in keys {
            let own = key.variable();
            let aliases = key.aliases.iter().map(|alias| match alias {
                Alias::Plain(name) => (*name, get(name).map(str::to_owned)),
                Alias::Seconds(name) => (*name, get(name).map(with_seconds)),
            });
            let mut found = std::iter::once((own.as_str(), get(&own).map(str::to_owned))).chain(aliases);
            if let Some((name, value)) = found.find_map(|(name, value)| Some((name, value?))) {
                let origin = Origin::Environment(name.to_owned());
                self.values.insert(key.name, (Value::new(None, value), origin));
            }
        }
        for (name, _) in environment.iter().filter(|(name, _)| name.starts_with(PREFIX) && name != FILE_VARIABLE) {
            if !keys.iter().any(|key| key.variable() == *name) {
                let hint = nearest(name, keys.iter().map(Key::variable)).map(|near| format!("; did you mean {near}?"));
                self.warnings.push(format!(
                    "the environment variable {name} means nothing to HemoStat{}",
                    hint.unwrap_or_default()
                ));
            }
        }
    }

    /// The value of `key`, where a source sets it.
    pub fn read<T: Setting>(&self, key: &'static str) -> Result<Option<T>, Error> {
        let Some((value, origin)) = self.values.get(key) else { return Ok(None) };
        T::parse(&value.kind).map(Some).map_err(|wrong| match wrong {
            Wrong::Value { at, value, right } => {
                Error::Value { key: format!("{key}{at}"), value, origin: origin.clone(), right }
            }
            Wrong::Unknown { at, near } => {
                Error::Unknown { key: format!("{key}{at}"), origin: origin.to_string(), near }
            }
        })
    }

    pub fn origin(&self, key: &str) -> Origin {
        self.values.get(key).map_or(Origin::Default, |(_, origin)| origin.clone())
    }
}

/// A plain number becomes seconds; anything else is left for the key's own reading.
fn with_seconds(text: &str) -> String {
    if text.bytes().all(|b| b.is_ascii_digit()) { format!("{text}s") } else { text.to_owned() }
}

pub(super) fn written(value: &ValueKind) -> String {
    match value {
        ValueKind::String(text) => format!("{text:?}"),
        ValueKind::Array(items) => {
            format!("[{}]", items.iter().map(|item| written(&item.kind)).collect::<Vec<_>>().join(", "))
        }
        ValueKind::Table(_) => "a table".into(),
        other => other.to_string(),
    }
}

/// Keys with dots instead of tables in tables; a table that stands where a key should be is given as it is.
fn flatten(keys: &[Key], prefix: &str, table: Map<String, Value>, flat: &mut Vec<(String, Value)>) {
    for (name, value) in table {
        let name = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        let is_key = keys.iter().any(|key| key.name == name);
        match value.kind {
            ValueKind::Table(inner) if !is_key => flatten(keys, &name, inner, flat),
            _ => flat.push((name, value)),
        }
    }
}

fn find<'a>(keys: &'a [Key], name: &str, origin: impl FnOnce() -> String) -> Result<&'a Key, Error> {
    keys.iter().find(|key| key.name == name).ok_or_else(|| Error::Unknown {
        key: name.to_owned(),
        origin: origin(),
        near: nearest(name, keys.iter().map(|key| key.name.to_owned())),
    })
}

/// The name that was probably meant: at most a third of its letters away, the same key in another section, or one that begins so.
pub(super) fn nearest(name: &str, names: impl Iterator<Item = String>) -> Option<String> {
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    names
        .map(|candidate| {
            let close = last(&candidate) == last(name) || candidate.starts_with(name);
            let distance = if close { 1 } else { distance(name, &candidate) };
            (distance, candidate)
        })
        .min()
        .filter(|(distance, candidate)| *distance * 3 <= candidate.len())
        .map(|(_, candidate)| candidate)
}

/// The number of letters to insert, delete or replace (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}
