//! The columns of the Parquet files.
//!
//! `fields` holds the entry byte for byte as Redis stored it; HemoStat reads back only `id`, `family` and `fields`. The
//! other columns are for DuckDB, pandas and Polars: null if this version of HemoStat cannot decode the entry, and upcast
//! to the current schema if the event is older.

use std::{
    io::Write,
    sync::{Arc, LazyLock},
};

use hemostat_log::RawEntry;
use hemostat_schema::Recorded;
use parquet::{
    basic::Compression,
    data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type},
    errors::ParquetError,
    file::{
        properties::{WriterProperties, WriterPropertiesPtr},
        writer::{SerializedColumnWriter, SerializedRowGroupWriter},
    },
    schema::{
        parser::parse_message_type,
        types::{ColumnPath, TypePtr},
    },
};

const SCHEMA: &str = "
message hemostat {
  required binary id (STRING);
  required int32 partition;
  optional int64 at (TIMESTAMP(MILLIS, true));
  required binary family (STRING);
  optional binary kind (STRING);
  optional int32 version;
  optional binary subject (STRING);
  optional binary host (STRING);
  optional binary container (STRING);
  optional binary incident (STRING);
  optional binary cause (STRING);
  optional binary data (STRING);
  required binary fields;
}";

/// Indices of the columns that HemoStat reads back.
pub(crate) const ID: usize = 0;
pub(crate) const FAMILY: usize = 3;
pub(crate) const FIELDS: usize = 12;

pub(crate) static TYPE: LazyLock<TypePtr> =
    LazyLock::new(|| Arc::new(parse_message_type(SCHEMA).expect("the schema is a valid constant")));

pub(crate) static PROPERTIES: LazyLock<WriterPropertiesPtr> = LazyLock::new(|| {
    let builder = WriterProperties::builder()
        .set_created_by("hemostat".to_owned())
        .set_compression(Compression::ZSTD(Default::default()));
    // Their values are unique, so a dictionary would only cost space.
    let unique = ["id", "data", "fields"];
    let builder = unique
        .into_iter()
        .fold(builder, |builder, name| builder.set_column_dictionary_enabled(ColumnPath::from(name), false));
    Arc::new(builder.build())
});

/// The values of one column.
enum Column {
    Text(Vec<Option<ByteArray>>),
    Int(Vec<Option<i32>>),
    Long(Vec<Option<i64>>),
}

/// Writes `entries` as one row group.
pub(crate) fn write<W: Write + Send>(
    entries: &[RawEntry],
    group: &mut SerializedRowGroupWriter<'_, W>,
) -> Result<(), ParquetError> {
    let events: Vec<Option<Recorded>> = entries.iter().map(|entry| entry.decode().event.ok()).collect();
    let event = || events.iter().map(Option::as_ref);
    let required = |value: &dyn Fn(&RawEntry) -> Vec<u8>| {
        Column::Text(entries.iter().map(|entry| Some(ByteArray::from(value(entry)))).collect())
    };
    let optional = |value: &dyn Fn(&Recorded) -> Option<String>| {
        Column::Text(event().map(|event| Some(ByteArray::from(value(event?)?.into_bytes()))).collect())
    };
    let columns = [
        required(&|entry| entry.id.to_string().into_bytes()),
        Column::Int(entries.iter().map(|entry| Some(entry.id.partition.0.into())).collect()),
        Column::Long(event().map(|event| Some(event?.at.as_millisecond())).collect()),
        required(&|entry| entry.family.name().into()),
        optional(&|event| Some(event.kind())),
        Column::Int(event().map(|event| Some(event?.version().into())).collect()),
        optional(&|event| Some(event.subject.to_string())),
        optional(&|event| Some(event.subject.host.to_string())),
        optional(&|event| event.subject.container.as_ref().map(ToString::to_string)),
        optional(&|event| event.incident.as_ref().map(ToString::to_string)),
        optional(&|event| event.cause.map(|cause| cause.to_string())),
        optional(&|event| Some(event.data().to_string())),
        required(&|entry| entry.canonical()),
    ];
    for column in columns {
        let missing = || ParquetError::General("the schema has fewer columns".to_owned());
        let mut writer = group.next_column()?.ok_or_else(missing)?;
        match column {
            Column::Text(values) => put::<ByteArrayType>(&mut writer, values)?,
            Column::Int(values) => put::<Int32Type>(&mut writer, values)?,
            Column::Long(values) => put::<Int64Type>(&mut writer, values)?,
        }
        writer.close()?;
    }
    Ok(())
}

/// Writes a column: its values and, for optional columns, which rows have one (required columns ignore that).
fn put<T: DataType>(writer: &mut SerializedColumnWriter<'_>, values: Vec<Option<T::T>>) -> Result<(), ParquetError> {
    let present: Vec<i16> = values.iter().map(|value| value.is_some().into()).collect();
    let values: Vec<T::T> = values.into_iter().flatten().collect();
    writer.typed::<T>().write_batch(&values, Some(&present), None)?;
    Ok(())
}
