//! Output of the tools: tables for people, JSON for programs. A closed pipe (`| head`) ends a tool quietly.

use std::io::{self, BufWriter, ErrorKind, Write};

use anstream::{AutoStream, ColorChoice};
use anstyle::Style;
use clap::ValueEnum;
use comfy_table::{Table, presets::NOTHING};
use serde::Serialize;

/// Output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// One JSON value.
    Json,
    /// One JSON object per line.
    Ndjson,
}

/// Buffered standard output; colours only on a terminal.
#[derive(Debug)]
pub struct Out<W: Write> {
    to: W,
    format: Format,
    /// Number of JSON values printed.
    values: usize,
}

type Stdout = AutoStream<Box<dyn Write + Send>>;

impl Out<Stdout> {
    /// Prints in `format`.
    pub fn new(format: Format) -> Self {
        let choice = match AutoStream::choice(&io::stdout()) {
            ColorChoice::Never => ColorChoice::Never,
            ColorChoice::Auto | ColorChoice::AlwaysAnsi | ColorChoice::Always => ColorChoice::Always,
        };
        Self::to(AutoStream::new(Box::new(BufWriter::new(io::stdout())), choice), format)
    }
}

impl<W: Write> Out<W> {
    fn to(to: W, format: Format) -> Self {
        Self { to, format, values: 0 }
    }

    /// Prints a line of text.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn line(&mut self, line: impl std::fmt::Display) -> io::Result<()> {
        writeln!(self.to, "{line}")
    }

    /// Prints a JSON value: a line (NDJSON), or an element of the array (JSON).
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn value(&mut self, value: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_string(value)?;
        self.values += 1;
        match (self.format, self.values) {
            (Format::Json, 1) => write!(self.to, "[\n  {text}"),
            (Format::Json, _) => write!(self.to, ",\n  {text}"),
            (Format::Ndjson | Format::Table, _) => writeln!(self.to, "{text}"),
        }
    }

    /// Flushes the buffer.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }

    /// Completes the output.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> io::Result<()> {
        match (self.format, self.values) {
            (Format::Json, 0) => writeln!(self.to, "[]")?,
            (Format::Json, _) => writeln!(self.to, "\n]")?,
            (Format::Table | Format::Ndjson, _) => {}
        }
        self.to.flush()
    }
}

/// Prints rows as a table.
///
/// # Errors
/// When it cannot be written.
pub fn table<W: Write, const N: usize>(out: &mut Out<W>, names: [&str; N], rows: &[[String; N]]) -> io::Result<()> {
    let lines = columns(&names.map(str::to_uppercase), rows);
    let mut lines = lines.lines();
    let dim = Style::new().dimmed();
    out.line(format_args!("{dim}{}{dim:#}", lines.next().unwrap_or_default()))?;
    lines.try_for_each(|line| out.line(line))
}

/// Lays out headings and rows in columns without borders, two spaces apart.
pub fn columns<const N: usize>(headings: &[String; N], rows: &[[String; N]]) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(headings).add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

/// A closed pipe (`| head`) is not a failure.
///
/// # Errors
/// Every other error.
pub fn quietly(result: anyhow::Result<()>) -> anyhow::Result<()> {
    let gone = |error: &anyhow::Error| {
        error
            .chain()
            .any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe))
    };
    match result {
        Err(error) if gone(&error) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(format: Format, values: &[u8]) -> String {
        let mut bytes = vec![];
        let mut out = Out::to(&mut bytes, format);
        for value in values {
            out.value(value).unwrap();
        }
        out.finish().unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn json_is_one_valid_value() {
        for values in [&[][..], &[1], &[1, 2, 3]] {
            let read: Vec<u8> = serde_json::from_str(&printed(Format::Json, values)).unwrap();
            assert_eq!(read, values);
        }
        assert_eq!(printed(Format::Ndjson, &[1, 2]), "1\n2\n");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut bytes = vec![];
        let rows = [["a".to_owned(), "x".to_owned()], ["höher".to_owned(), String::new()]];
        table(&mut Out::to(anstream::StripStream::new(&mut bytes), Format::Table), ["it", "is"], &rows).unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), "IT     IS\na      x\nhöher\n");
    }

    #[test]
    fn a_closed_pipe_is_not_a_failure_and_a_full_disk_is() {
        let failed =
            |kind: ErrorKind| quietly(Err(anyhow::Error::from(io::Error::from(kind)).context("could not write")));
        assert!(failed(ErrorKind::BrokenPipe).is_ok());
        assert!(failed(ErrorKind::StorageFull).is_err());
    }
}
