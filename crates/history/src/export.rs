//! History for other programs: a JSON object a line, CSV, or Parquet.
//!
//! JSON has the same members as the events of the REST interface, CSV the same as columns (with `data` as JSON), Parquet
//! the columns of the archive's segments. An entry that cannot be read is there, too, with what is known of it.

use std::io::{self, Write};

use hemostat_core::view::story;
use hemostat_log::Entry;
use hemostat_schema::Recorded;
use serde::Serialize;
use serde_json::Value;

use crate::Found;

/// In which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Ndjson,
    /// Comma-separated values with a line of names (RFC 4180).
    Csv,
    /// Parquet with zstd.
    Parquet,
}

/// Why history could not be exported.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The output does not take it.
    #[error("could not write the export")]
    Write(#[from] io::Error),
    /// It cannot be written as Parquet.
    #[error(transparent)]
    Parquet(#[from] hemostat_archive::Error),
}

/// An event as other programs get it.
#[derive(Debug, Serialize)]
pub struct Line {
    id: String,
    at: Option<String>,
    family: &'static str,
    kind: Option<String>,
    version: Option<u16>,
    subject: Option<String>,
    host: Option<String>,
    container: Option<String>,
    incident: Option<String>,
    cause: Option<String>,
    trace: Option<String>,
    line: String,
    data: Value,
}

impl From<&Entry> for Line {
    fn from(entry: &Entry) -> Self {
        let event = entry.event.as_ref().ok();
        let text = |value: &dyn Fn(&Recorded) -> Option<String>| event.and_then(value);
        Self {
            id: entry.id.to_string(),
            at: text(&|event| Some(event.at.to_string())),
            family: entry.family.name(),
            kind: text(&|event| Some(event.kind())),
            version: event.map(Recorded::version),
            subject: text(&|event| Some(event.subject.to_string())),
            host: text(&|event| Some(event.subject.host.to_string())),
            container: text(&|event| event.subject.container.as_ref().map(ToString::to_string)),
            incident: text(&|event| event.incident.as_ref().map(ToString::to_string)),
            cause: text(&|event| event.cause.map(|cause| cause.to_string())),
            trace: text(&|event| event.trace.map(|trace| trace.to_string())),
            line: match &entry.event {
                Ok(event) => story::line(event),
                Err(why) => format!("this entry cannot be read: {why}"),
            },
            data: event.map_or(Value::Null, Recorded::data),
        }
    }
}

/// The names of the columns of CSV, in the order of [`Line`].
const COLUMNS: &str = "id,at,family,kind,version,subject,host,container,incident,cause,trace,line,data";

impl Line {
    fn csv(&self) -> String {
        let Self { id, at, family, kind, version, subject, host, container, incident, cause, trace, line, data } = self;
        let data = if data.is_null() { String::new() } else { data.to_string() };
        let version = version.map(|version| version.to_string()).unwrap_or_default();
        let optional = |value: &Option<String>| quoted(value.as_deref().unwrap_or_default());
        [
            quoted(id),
            optional(at),
            quoted(family),
            optional(kind),
            version,
            optional(subject),
            optional(host),
            optional(container),
            optional(incident),
            optional(cause),
            optional(trace),
            quoted(line),
            quoted(&data),
        ]
        .join(",")
    }
}

/// A value of CSV, in quotes where it needs them.
fn quoted(value: &str) -> String {
    if value.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", value.replace('"', "\"\""))
    } else {
        value.to_owned()
    }
}

/// Writes events in a [`Format`].
#[derive(Debug)]
pub struct Writer<W: Write + Send> {
    to: To<W>,
}

#[derive(Debug)]
enum To<W: Write + Send> {
    Ndjson(W),
    Csv(W),
    Parquet(Box<hemostat_archive::Writer<W>>),
}

impl<W: Write + Send> Writer<W> {
    /// Writes to `to`.
    ///
    /// # Errors
    /// When `to` does not take it.
    pub fn new(format: Format, mut to: W) -> Result<Self, Error> {
        let to = match format {
            Format::Ndjson => To::Ndjson(to),
            Format::Csv => {
                write!(to, "{COLUMNS}\r\n")?;
                To::Csv(to)
            }
            Format::Parquet => To::Parquet(Box::new(hemostat_archive::Writer::new(to)?)),
        };
        Ok(Self { to })
    }

    /// Adds an event.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, found: &Found) -> Result<(), Error> {
        match &mut self.to {
            To::Ndjson(to) => {
                serde_json::to_writer(&mut *to, &Line::from(&found.entry)).map_err(io::Error::from)?;
                to.write_all(b"\n")?;
            }
            To::Csv(to) => write!(to, "{}\r\n", Line::from(&found.entry).csv())?,
            To::Parquet(to) => to.write(std::slice::from_ref(&found.raw))?,
        }
        Ok(())
    }

    /// Ends the export; gives what it was written to, flushed.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(self) -> Result<W, Error> {
        let mut to = match self.to {
            To::Ndjson(to) | To::Csv(to) => to,
            To::Parquet(to) => to.finish()?,
        };
        to.flush()?;
        Ok(to)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hemostat_core::testing;
    use hemostat_log::RawEntry;
    use hemostat_schema::{Family, codec, observation::EngineLost};

    use super::*;

    /// An event with commas, quotes and lines in it, and one that cannot be read.
    fn found() -> Vec<Found> {
        let error = "it said \"no\",\r\nthen nothing".to_owned();
        let event = hemostat_schema::NewEvent::new(testing::host(), testing::at(0), EngineLost { error });
        let encoded = codec::encode(&event).unwrap();
        let field =
            |name: &'static str, value: &[u8]| (Bytes::from_static(name.as_bytes()), Bytes::copy_from_slice(value));
        let raw = |id, envelope: &[u8]| RawEntry {
            id,
            family: Family::Observation,
            fields: vec![
                field("k", encoded.kind.as_bytes()),
                field("s", encoded.subject.as_bytes()),
                field("e", envelope),
            ],
        };
        let raws = [raw(testing::id(1), &encoded.envelope), raw(testing::id(2), b"\xff")];
        raws.into_iter().map(|raw| Found { entry: raw.decode(), raw }).collect()
    }

    fn exported(format: Format) -> Vec<u8> {
        let mut writer = Writer::new(format, vec![]).unwrap();
        for found in found() {
            writer.write(&found).unwrap();
        }
        writer.finish().unwrap()
    }

    #[test]
    fn each_line_of_ndjson_is_an_event() {
        let text = String::from_utf8(exported(Format::Ndjson)).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["kind"], "observation.engine_lost");
        assert_eq!(lines[0]["data"]["error"], "it said \"no\",\r\nthen nothing");
        assert_eq!((&lines[1]["id"], &lines[1]["kind"]), (&Value::from("0.2-0"), &Value::Null));
        assert!(lines[1]["line"].as_str().unwrap().starts_with("this entry cannot be read"), "{text}");
        // The names stand in one place for CSV; they are those of JSON.
        let names: std::collections::BTreeSet<&str> =
            lines[0].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, COLUMNS.split(',').collect());
    }

    #[test]
    fn a_value_of_csv_may_hold_commas_quotes_and_lines() {
        let text = String::from_utf8(exported(Format::Csv)).unwrap();
        let (names, rest) = text.split_once("\r\n").unwrap();
        assert_eq!(names, COLUMNS);
        assert!(
            rest.starts_with("0.1-0,2026-01-01T00:00:00Z,observation,observation.engine_lost,1,host,host,,,,,\""),
            "{rest}"
        );
        assert!(
            rest.contains(
                r#"it said ""no"",
"#
                .replace('\n', "\r\n")
                .as_str()
            ),
            "{rest}"
        );
        assert!(rest.ends_with(",\r\n"), "what cannot be read has no data: {rest}");
    }

    #[test]
    fn parquet_gives_back_what_stood_in_the_store() {
        let again = hemostat_archive::Reader::read_all(exported(Format::Parquet).into()).unwrap();
        assert_eq!(again, found().into_iter().map(|found| found.raw).collect::<Vec<_>>());
    }
}
