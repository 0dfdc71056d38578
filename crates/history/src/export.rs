//! Exports history for other programs: as newline-delimited JSON, CSV or Parquet.
//!
//! NDJSON has the fields of [`EventJson`], CSV the same as columns (with `data` as JSON), Parquet the columns of the
//! archive's segments. An entry that cannot be decoded is exported with what is known of it.

use std::io::{self, Write};

use serde_json::Value;

use crate::{event_json::EventJson, select::Found};

/// Export format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Newline-delimited JSON: one object per line.
    Ndjson,
    /// Comma-separated values with a header (RFC 4180).
    Csv,
    /// Parquet with zstd compression.
    Parquet,
}

/// Why history could not be exported.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The output cannot be written.
    #[error("could not write the export")]
    Write(#[from] io::Error),
    /// The Parquet file cannot be written.
    #[error(transparent)]
    Parquet(#[from] hemostat_archive::Error),
}

/// The names of the CSV columns, in the order of [`EventJson`].
const COLUMNS: &str = "id,at,family,kind,version,subject,host,container,incident,cause,trace,line,data";

fn csv_record(event: &EventJson) -> io::Result<String> {
    let json = serde_json::to_value(event)?;
    let values = COLUMNS.split(',').map(|column| match &json[column] {
        Value::Null => String::new(),
        Value::String(text) => csv_value(text),
        other => csv_value(&other.to_string()),
    });
    Ok(values.collect::<Vec<_>>().join(","))
}

/// A CSV value, quoted if it needs to be. The crate `csv` would save these few lines only: it cannot serialise the nested
/// `data` either.
fn csv_value(value: &str) -> String {
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
    Parquet(Box<hemostat_archive::ParquetWriter<W>>),
}

impl<W: Write + Send> Writer<W> {
    /// Starts an export to `to`.
    ///
    /// # Errors
    /// When the header cannot be written.
    pub fn new(format: Format, mut to: W) -> Result<Self, Error> {
        let to = match format {
            Format::Ndjson => To::Ndjson(to),
            Format::Csv => {
                write!(to, "{COLUMNS}\r\n")?;
                To::Csv(to)
            }
            Format::Parquet => To::Parquet(Box::new(hemostat_archive::ParquetWriter::new(to)?)),
        };
        Ok(Self { to })
    }

    /// Writes one event.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, found: &Found) -> Result<(), Error> {
        match &mut self.to {
            To::Ndjson(to) => {
                serde_json::to_writer(&mut *to, &EventJson::from(&found.entry)).map_err(io::Error::from)?;
                to.write_all(b"\n")?;
            }
            To::Csv(to) => write!(to, "{}\r\n", csv_record(&EventJson::from(&found.entry))?)?,
            To::Parquet(to) => to.write(std::slice::from_ref(&found.raw))?,
        }
        Ok(())
    }

    /// Ends the export and returns the flushed output.
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
    use serde_json::Value;

    use super::*;

    /// An event whose text has commas, quotes and line ends, and an entry that cannot be decoded.
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
    fn each_line_of_ndjson_is_one_event() {
        let text = String::from_utf8(exported(Format::Ndjson)).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["kind"], "observation.engine_lost");
        assert_eq!(lines[0]["data"]["error"], "it said \"no\",\r\nthen nothing");
        assert_eq!((&lines[1]["id"], &lines[1]["kind"]), (&Value::from("0.2-0"), &Value::Null));
        assert!(lines[1]["line"].as_str().unwrap().starts_with("this entry cannot be read"), "{text}");
        // The CSV columns are the JSON fields.
        let names: std::collections::BTreeSet<&str> =
            lines[0].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, COLUMNS.split(',').collect());
    }

    #[test]
    fn a_csv_value_may_hold_commas_quotes_and_line_ends() {
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
        assert!(rest.ends_with(",\r\n"), "an entry that cannot be decoded has no data: {rest}");
    }

    #[test]
    fn parquet_preserves_the_stored_entries() {
        let again = hemostat_archive::ParquetReader::read_all(exported(Format::Parquet).into()).unwrap();
        assert_eq!(again, found().into_iter().map(|found| found.raw).collect::<Vec<_>>());
    }
}
