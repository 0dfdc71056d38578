//! Where values come from: a file, then the environment, then the command line; a later source wins over an earlier one.
//!
//! A secret may also be in a file of its own: `<key>_file` in the configuration file or with `--set`, `<variable>_FILE`
//! in the environment, or a systemd credential of the key's name. Within one source it is either a value or a file.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use toml::{Table, Value};

use crate::{
    error::{Error, Origin},
    python,
    section::{Key, PREFIX},
    suggestion::nearest,
    value::text,
};

/// Read by the command line itself: which file to read.
pub const FILE_VARIABLE: &str = "HEMOSTAT_CONFIG";

/// Set by systemd: the directory with a unit's credentials.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// Where the configuration file is looked for when none is named.
const FILES: [&str; 2] = ["hemostat.toml", "/etc/hemostat/hemostat.toml"];

/// The sources, before they are read.
#[derive(Debug, Clone, Default)]
pub struct Input {
    /// The configuration file, if any.
    pub file: Option<PathBuf>,
    /// The environment.
    pub environment: Vec<(String, String)>,
    /// From the command line: key, value.
    pub overrides: Vec<(String, String)>,
}

impl Input {
    /// This process's environment, with a file and overrides from the command line. Without a file, the first of
    /// `hemostat.toml` and `/etc/hemostat/hemostat.toml` that exists.
    pub fn of_process(file: Option<PathBuf>, overrides: Vec<(String, String)>) -> Self {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let file = file.or_else(|| FILES.iter().map(PathBuf::from).find(|path| path.is_file()));
        Self { file, environment, overrides }
    }
}

/// Every value that is set, with its origin, and warnings about what is odd but no reason to refuse.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    pub values: Values,
    pub warnings: Vec<String>,
}

pub(crate) type Values = BTreeMap<&'static str, (Value, Origin)>;

impl Sources {
    /// Reads all sources.
    pub fn read_all(keys: &[Key], input: &Input) -> Result<Self, Error> {
        let mut sources = Self::default();
        let mut layers = vec![];
        if let Some(path) = &input.file {
            layers.push(file(keys, path)?);
        }
        layers.push(sources.environment(keys, &input.environment)?);
        let mut overrides = Layer::default();
        for (name, value) in &input.overrides {
            overrides.put_named(keys, name, Value::String(value.clone()), Origin::CommandLine)?;
        }
        layers.push(overrides);
        for Layer(values) in layers {
            sources.values.extend(values);
        }
        Ok(sources)
    }

    /// An empty variable sets nothing: Compose passes a variable that is not set as an empty one.
    fn environment(&mut self, keys: &[Key], environment: &[(String, String)]) -> Result<Layer, Error> {
        let get = |name: &str| {
            let mut set = environment.iter().filter(|(is, _)| is == name).map(|(_, value)| value.trim());
            set.find(|value| !value.is_empty())
        };
        let origin = |name: &str| Origin::Environment(name.to_owned());
        let mut layer = Layer::default();
        for key in keys {
            // The last name that is put wins: the key's own.
            for variable in key.variables().rev() {
                if let Some(value) = get(&variable) {
                    layer.put(key, Value::String(value.to_owned()), origin(&variable))?;
                }
                let variable = format!("{variable}_FILE");
                if let Some(path) = get(&variable).filter(|_| key.secret) {
                    layer.put_file(key, path.into(), origin(&variable))?;
                }
            }
            let credential =
                get(CREDENTIALS).filter(|_| key.secret).map(|directory| Path::new(directory).join(key.name));
            if let Some(path) = credential.filter(|path| path.exists()) {
                layer.put_file(key, path, origin(CREDENTIALS))?;
            }
        }
        let python::Translation { values, warnings } = python::translate(environment, &get);
        self.warnings.extend(warnings);
        for (key, value, variable) in values {
            layer.0.entry(key).or_insert_with(|| (Value::String(value), origin(variable)));
        }
        self.warn_of_unknown(keys, environment);
        Ok(layer)
    }

    fn warn_of_unknown(&mut self, keys: &[Key], environment: &[(String, String)]) {
        let known: Vec<String> = keys
            .iter()
            .flat_map(|key| [Some(key.variable()), key.secret.then(|| format!("{}_FILE", key.variable()))])
            .flatten()
            .collect();
        let ours = environment.iter().map(|(name, _)| name).filter(|name| name.starts_with(PREFIX));
        for name in ours.filter(|name| *name != FILE_VARIABLE && !known.contains(*name)) {
            let hint = nearest(name, known.iter().cloned()).map(|near| format!("; did you mean {near}?"));
            self.warnings
                .push(format!("the environment variable {name} means nothing to HemoStat{}", hint.unwrap_or_default()));
        }
    }
}

fn file(keys: &[Key], path: &Path) -> Result<Layer, Error> {
    let unreadable = |reason: String| Error::File { path: path.to_owned(), reason };
    let text = fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    let table: Table = toml::from_str(&text).map_err(|error| unreadable(error.to_string().trim().to_owned()))?;
    let mut flat = vec![];
    flatten(keys, "", table, &mut flat);
    let mut layer = Layer::default();
    for (name, value) in flat {
        layer.put_named(keys, &name, value, Origin::File(path.to_owned()))?;
    }
    Ok(layer)
}

/// The values of one source.
#[derive(Debug, Default)]
struct Layer(Values);

impl Layer {
    /// Puts the value of the key `name`, or the path that `<key>_file` names.
    fn put_named(&mut self, keys: &[Key], name: &str, value: Value, origin: Origin) -> Result<(), Error> {
        let find = |name: &str| keys.iter().find(|key| key.name == name);
        if let Some(key) = find(name) {
            return self.put(key, value, origin);
        }
        let key = name.strip_suffix("_file").and_then(find).filter(|key| key.secret).ok_or_else(|| Error::Unknown {
            key: name.to_owned(),
            origin: origin.to_string(),
            near: nearest(name, keys.iter().map(|key| key.name.to_owned())),
        })?;
        match text(&value) {
            Some("") => Ok(()),
            Some(path) => self.put_file(key, path.into(), origin),
            None => Err(Error::Value {
                key: name.to_owned(),
                value: crate::value::written(&value),
                origin,
                right: "a path".to_owned(),
            }),
        }
    }

    fn put_file(&mut self, key: &Key, path: PathBuf, named_by: Origin) -> Result<(), Error> {
        let value =
            Value::Table([("file".to_owned(), path.to_string_lossy().into_owned().into())].into_iter().collect());
        self.put(key, value, Origin::SecretFile { path, named_by: Box::new(named_by) })
    }

    fn put(&mut self, key: &Key, value: Value, origin: Origin) -> Result<(), Error> {
        let is_file = |origin: &Origin| matches!(origin, Origin::SecretFile { .. });
        let is_empty = |value: &Value| key.secret && text(value) == Some("");
        if let Some((earlier, set)) = self.0.get(key.name)
            && is_file(set) != is_file(&origin)
        {
            if is_empty(&value) {
                return Ok(());
            }
            if !is_empty(earlier) {
                let (file, value) = if is_file(set) { (set.clone(), origin) } else { (origin, set.clone()) };
                return Err(Error::Twice { key: key.name.to_owned(), value, file });
            }
        }
        self.0.insert(key.name, (value, origin));
        Ok(())
    }
}

/// Keys with dots instead of tables in tables; a table that stands where a key should be is given as it is.
fn flatten(keys: &[Key], prefix: &str, table: Table, flat: &mut Vec<(String, Value)>) {
    for (name, value) in table {
        let name = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        let is_key = keys.iter().any(|key| key.name == name);
        match value {
            Value::Table(inner) if !is_key => flatten(keys, &name, inner, flat),
            value => flat.push((name, value)),
        }
    }
}
