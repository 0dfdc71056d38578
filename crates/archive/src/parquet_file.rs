//! Encodes events as a Parquet file and decodes them.

use std::io::Write;

use bytes::Bytes;
use hemostat_log::RawEntry;
use hemostat_schema::{EventId, Family};
use parquet::{
    column::reader::ColumnReader,
    data_type::ByteArray,
    errors::ParquetError,
    file::{
        reader::{FileReader as _, RowGroupReader},
        serialized_reader::SerializedFileReader,
        writer::SerializedFileWriter,
    },
};

use crate::{Error, columns};

/// Events per row group, which bounds what a reader or writer holds in memory.
const ROW_GROUP_EVENTS: usize = 2_500;

/// Writes events as Parquet with zstd, in the format of segments. Families and partitions may be mixed.
#[derive(Debug)]
pub struct ParquetWriter<W: Write + Send> {
    file: SerializedFileWriter<W>,
    buffered: Vec<RawEntry>,
}

impl<W: Write + Send> ParquetWriter<W> {
    /// Writes the header to `to`.
    ///
    /// # Errors
    /// When writing to `to` fails.
    pub fn new(to: W) -> Result<Self, Error> {
        let file =
            SerializedFileWriter::new(to, columns::TYPE.clone(), columns::PROPERTIES.clone()).map_err(unwritable)?;
        Ok(Self { file, buffered: vec![] })
    }

    /// Appends events.
    ///
    /// # Errors
    /// When writing fails.
    pub fn write(&mut self, entries: &[RawEntry]) -> Result<(), Error> {
        let mut rest = entries;
        while !rest.is_empty() {
            let (fitting, after) = rest.split_at(rest.len().min(ROW_GROUP_EVENTS - self.buffered.len()));
            self.buffered.extend_from_slice(fitting);
            rest = after;
            if self.buffered.len() == ROW_GROUP_EVENTS {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Writes the footer and returns the underlying writer.
    ///
    /// # Errors
    /// When writing fails.
    pub fn finish(mut self) -> Result<W, Error> {
        self.flush()?;
        self.file.into_inner().map_err(unwritable)
    }

    fn flush(&mut self) -> Result<(), Error> {
        let entries = std::mem::take(&mut self.buffered);
        if entries.is_empty() {
            return Ok(());
        }
        let mut group = self.file.next_row_group().map_err(unwritable)?;
        columns::write(&entries, &mut group).map_err(unwritable)?;
        group.close().map_err(unwritable)?;
        Ok(())
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unwritable(error: ParquetError) -> Error {
    Error::Unwritable(error.to_string())
}

/// Reads what a [`ParquetWriter`] wrote, one row group per iteration.
pub struct ParquetReader {
    file: SerializedFileReader<Bytes>,
    group: usize,
}

impl ParquetReader {
    /// Opens a complete file.
    ///
    /// # Errors
    /// When it is not a Parquet file with the columns of a segment.
    pub fn new(file: Bytes) -> Result<Self, String> {
        let file = SerializedFileReader::new(file).map_err(|error| error.to_string())?;
        let names: Vec<&str> =
            file.metadata().file_metadata().schema_descr().columns().iter().map(|c| c.name()).collect();
        if [columns::ID, columns::FAMILY, columns::FIELDS].map(|column| names.get(column).copied())
            != [Some("id"), Some("family"), Some("fields")]
        {
            return Err("its columns are not those of HemoStat's segments".to_owned());
        }
        Ok(Self { file, group: 0 })
    }

    /// All events of a file.
    ///
    /// # Errors
    /// When it is not a file of events.
    pub fn read_all(file: Bytes) -> Result<Vec<RawEntry>, String> {
        let mut all = vec![];
        for entries in Self::new(file)? {
            all.extend(entries?);
        }
        Ok(all)
    }

    fn read(&self, group: usize) -> Result<Vec<RawEntry>, String> {
        let group = self.file.get_row_group(group).map_err(|error| error.to_string())?;
        let count = usize::try_from(group.metadata().num_rows()).map_err(|_| "its number of rows is negative")?;
        let [ids, families, fields] = [columns::ID, columns::FAMILY, columns::FIELDS]
            .map(|column| values(&*group, column, count).map_err(|error| error.to_string()));
        let rows = ids?.into_iter().zip(families?).zip(fields?);
        rows.map(|((id, family), fields)| {
            let id: EventId = parse(&id)?;
            let family: Family = parse(&family)?;
            RawEntry::from_canonical(id, family, Bytes::copy_from_slice(fields.data()))
        })
        .collect()
    }
}

impl Iterator for ParquetReader {
    type Item = Result<Vec<RawEntry>, String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.group == self.file.num_row_groups() {
            return None;
        }
        let entries = self.read(self.group);
        self.group += 1;
        Some(entries)
    }
}

impl std::fmt::Debug for ParquetReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("group", &self.group).finish_non_exhaustive()
    }
}

fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(value: &ByteArray) -> Result<T, String> {
    value.as_utf8().map_err(|error| error.to_string())?.parse().map_err(|error: T::Err| error.to_string())
}

/// The values of a required column.
fn values(group: &dyn RowGroupReader, column: usize, count: usize) -> Result<Vec<ByteArray>, ParquetError> {
    let ColumnReader::ByteArrayColumnReader(mut reader) = group.get_column_reader(column)? else {
        return Err(ParquetError::General("a column does not hold bytes".to_owned()));
    };
    let mut values = Vec::with_capacity(count);
    reader.read_records(count, None, None, &mut values)?;
    if values.len() == count {
        Ok(values)
    } else {
        Err(ParquetError::General(format!("a column has {} of {count} values", values.len())))
    }
}
