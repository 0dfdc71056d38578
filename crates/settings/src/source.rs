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
    channels::is_address_variable,
    credentials::{self, Credentials},
    error::{Error, Origin},
    other_tools, python,
    section::{Key, PREFIX},
    suggestion::nearest,
    value::{BYTE_ORDER_MARK, text},
    variables::{Variables, unquoted},
};

/// Read by the command line itself: which file to read.
pub const FILE_VARIABLE: &str = "HEMOSTAT_CONFIG";

/// Where the configuration file is looked for when none is named.
const FILES: [&str; 2] = ["hemostat.toml", "/etc/hemostat/hemostat.toml"];

/// The sources, before they are read.
#[derive(Debug, Clone, Default)]
pub struct Input {
    /// The configuration file, if any.
    pub file: Option<PathBuf>,
    /// The environment.
    pub environment: Vec<(String, String)>,
    /// The names of variables whose value is not UTF-8.
    pub unreadable: Vec<String>,
    /// From the command line: key, value.
    pub overrides: Vec<(String, String)>,
}

impl Input {
    /// This process's environment, with a file and overrides from the command line. Without a file, the first of
    /// `hemostat.toml` and `/etc/hemostat/hemostat.toml` that exists. An empty path (`HEMOSTAT_CONFIG=`) names no file.
    pub fn of_process(file: Option<PathBuf>, overrides: Vec<(String, String)>) -> Self {
        let file = named(file).or_else(|| FILES.iter().map(PathBuf::from).find(|path| path.is_file()));
        let mut input = Self { file, overrides, ..Self::default() };
        for (name, value) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            match value.into_string() {
                Ok(value) => input.environment.push((name, value)),
                Err(_) => input.unreadable.push(name),
            }
        }
        input
    }
}

/// The path, unless it is empty, without the quotes that an env file keeps around it.
fn named(file: Option<PathBuf>) -> Option<PathBuf> {
    let file = file.map(|path| path.to_str().map(|text| PathBuf::from(unquoted(text))).unwrap_or(path));
    file.filter(|path| !path.as_os_str().is_empty())
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
        layers.push(sources.environment(keys, input)?);
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

    fn environment(&mut self, keys: &[Key], input: &Input) -> Result<Layer, Error> {
        let variables = Variables::new(&input.environment);
        let credentials = variables.get(credentials::VARIABLE).map(Path::new);
        let credentials = credentials.map(|directory| Credentials::read(keys, directory)).unwrap_or_default();
        let origin = |name: &str| Origin::Environment(name.to_owned());
        let mut layer = Layer::default();
        for key in keys {
            // The last name that is put wins: the key's own.
            for variable in key.variables().rev() {
                let file = format!("{variable}_FILE");
                let names = [Some(&variable), Some(&file).filter(|_| key.secret)];
                if let Some(name) = names.into_iter().flatten().find(|name| input.unreadable.contains(name)) {
                    return Err(Error::NotText { key: key.name.to_owned(), variable: name.clone() });
                }
                if let Some(value) = variables.get(&variable) {
                    layer.put(key, Value::String(value.to_owned()), origin(&variable))?;
                }
                if let Some(path) = variables.get(&file).filter(|_| key.secret) {
                    layer.put_file(key, path.into(), origin(&file))?;
                }
            }
            if let Some(path) = credentials.file(key) {
                let named_by = origin(credentials::VARIABLE);
                if let Some((_, first @ Origin::SecretFile { .. })) = layer.0.get(key.name) {
                    let second = Origin::SecretFile { path: path.to_owned(), named_by: Box::new(named_by) };
                    return Err(Error::Twice { key: key.name.to_owned(), first: first.clone(), second });
                }
                layer.put_file(key, path.to_owned(), named_by)?;
            }
        }
        let python::Translation { values, warnings } = python::translate(&variables);
        self.warnings.extend(credentials.warnings.into_iter().chain(warnings).chain(other_tools::warnings(&variables)));
        for (key, value, variable) in values {
            layer.0.entry(key).or_insert_with(|| (Value::String(value), origin(variable)));
        }
        self.warn_of_unknown(keys, variables.names().chain(input.unreadable.iter().map(String::as_str)));
        Ok(layer)
    }

    fn warn_of_unknown<'a>(&mut self, keys: &[Key], names: impl Iterator<Item = &'a str>) {
        let file = |key: &Key| key.secret.then(|| format!("{}_FILE", key.variable()));
        let known: Vec<String> = keys.iter().flat_map(|key| key.variables().chain(file(key))).collect();
        for name in names {
            if let Some(meant) = name.strip_prefix(BYTE_ORDER_MARK) {
                self.warnings.push(format!(
                    "the name of the environment variable {meant} begins with a byte order mark, so it has no effect; save \
                     the file that sets it as UTF-8 without BOM"
                ));
                continue;
            }
            if !name.starts_with(PREFIX)
                || name == FILE_VARIABLE
                || is_address_variable(name)
                || known.iter().any(|known| known == name)
            {
                continue;
            }
            let hint = nearest(name, known.iter().cloned()).map(|near| format!("; did you mean {near}?"));
            self.warnings
                .push(format!("the environment variable {name} means nothing to HemoStat{}", hint.unwrap_or_default()));
        }
    }
}

fn file(keys: &[Key], path: &Path) -> Result<Layer, Error> {
    let unreadable = |reason: String| Error::File { path: path.to_owned(), reason };
    let text = fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text);
    let table: Table = toml::from_str(text).map_err(|error| unreadable(error.to_string().trim().to_owned()))?;
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
        let find = |name: &str| keys.iter().find(|key| key.is_named(name));
        if let Some(key) = find(name) {
            // The present name wins over an earlier one.
            return if name != key.name && self.0.contains_key(key.name) {
                Ok(())
            } else {
                self.put(key, value, origin)
            };
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
                return Err(Error::Twice { key: key.name.to_owned(), first: set.clone(), second: origin });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_path_names_no_file_and_quotes_are_no_part_of_one() {
        for (path, file) in [("", None), ("\"\"", None), ("a.toml", Some("a.toml")), ("\"/etc/a b\"", Some("/etc/a b"))]
        {
            assert_eq!(named(Some(path.into())), file.map(PathBuf::from), "{path}");
        }
        assert_eq!(named(None), None);
    }
}
