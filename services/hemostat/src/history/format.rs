//! Where and how the tools print: tables for people, JSON for programs; a reader that goes away ends them quietly.

use std::io::{self, BufWriter, ErrorKind, Write};

use anstream::{AutoStream, ColorChoice};
use anstyle::Style;
use clap::ValueEnum;
use serde::Serialize;

/// In which form something is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// One JSON value.
    Json,
    /// One JSON object a line.
    Ndjson,
}

/// Standard output, buffered; colours are taken out where there is no terminal.
#[derive(Debug)]
pub struct Out<W: Write> {
    to: W,
    format: Format,
    /// So many values of JSON were printed.
    values: usize,
}

type Stdout = AutoStream<Box<dyn Write + Send>>;

impl Out<Stdout> {
    /// For printing in `format`.
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

    /// A line for people.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn line(&mut self, line: impl std::fmt::Display) -> io::Result<()> {
        writeln!(self.to, "{line}")
    }

    /// A value for programs: a line of its own, or a member of the one array.
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

    /// Shows what was printed so far.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }

    /// Prints what belongs at the end.
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

/// Rows of text, in columns as wide as they must be; the last is not filled up.
///
/// # Errors
/// When it cannot be written.
pub fn table<W: Write, const N: usize>(out: &mut Out<W>, names: [&str; N], rows: &[[String; N]]) -> io::Result<()> {
    let width = |text: &str| text.chars().count();
    let widths: [usize; N] = std::array::from_fn(|column| {
        rows.iter().map(|row| width(&row[column])).chain([width(names[column])]).max().unwrap_or_default()
    });
    let line = |cells: [&str; N]| {
        let filled: Vec<String> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        filled.join("  ").trim_end().to_owned()
    };
    let dim = Style::new().dimmed();
    out.line(format_args!("{dim}{}{dim:#}", line(names).to_uppercase()))?;
    for row in rows {
        out.line(line(std::array::from_fn(|column| row[column].as_str())))?;
    }
    Ok(())
}

/// A reader that has seen enough (`| head`) is no failure.
///
/// # Errors
/// Every other one.
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
    fn json_is_one_value_whatever_is_in_it() {
        for values in [&[][..], &[1], &[1, 2, 3]] {
            let read: Vec<u8> = serde_json::from_str(&printed(Format::Json, values)).unwrap();
            assert_eq!(read, values);
        }
        assert_eq!(printed(Format::Ndjson, &[1, 2]), "1\n2\n");
    }

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let mut bytes = vec![];
        let rows = [["a".to_owned(), "x".to_owned()], ["höher".to_owned(), String::new()]];
        table(&mut Out::to(anstream::StripStream::new(&mut bytes), Format::Table), ["it", "is"], &rows).unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), "IT     IS\na      x\nhöher\n");
    }

    #[test]
    fn a_reader_that_has_gone_is_no_failure_and_a_full_disk_is_one() {
        let failed =
            |kind: ErrorKind| quietly(Err(anyhow::Error::from(io::Error::from(kind)).context("could not write")));
        assert!(failed(ErrorKind::BrokenPipe).is_ok());
        assert!(failed(ErrorKind::StorageFull).is_err());
    }
}
