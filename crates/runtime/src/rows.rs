//! Reading the rows of views, whichever partition they are in.

use hemostat_core::Projection;
use hemostat_log::{Error, Log};
use hemostat_schema::{HostName, Partition};
use serde::{Serialize, de::DeserializeOwned};

/// The name under which the rows of `P` are kept; also its consumer group.
pub fn view<P: Projection>() -> String {
    format!("{}.{}", P::NAME, P::VERSION)
}

/// One row of the view `P`, of a host whose partition is known by its name.
///
/// # Errors
/// When the log cannot be read, or the row is not one of `P`.
pub async fn get_of<P: Projection>(log: &dyn Log, host: &HostName, key: &str) -> Result<Option<P::Row>, Error> {
    one::<P>(log, Partition::of(host, log.partitions()), key).await
}

/// One row of the view `P`, wherever it is.
///
/// # Errors
/// When the log cannot be read, or the row is not one of `P`.
pub async fn get<P: Projection>(log: &dyn Log, key: &str) -> Result<Option<P::Row>, Error> {
    for partition in (0..log.partitions()).map(Partition) {
        if let Some(row) = one::<P>(log, partition, key).await? {
            return Ok(Some(row));
        }
    }
    Ok(None)
}

/// All rows of the view `P`, by partition.
///
/// # Errors
/// When the log cannot be read, or a row is not one of `P`.
pub async fn all<P: Projection>(log: &dyn Log) -> Result<Vec<(String, P::Row)>, Error> {
    let mut rows = vec![];
    for partition in (0..log.partitions()).map(Partition) {
        for (key, bytes) in log.all_rows(partition, &view::<P>()).await? {
            let row = decode_row(&view::<P>(), &key, &bytes)?;
            rows.push((key, row));
        }
    }
    Ok(rows)
}

async fn one<P: Projection>(log: &dyn Log, partition: Partition, key: &str) -> Result<Option<P::Row>, Error> {
    let rows = log.rows(partition, &view::<P>(), &[key.to_owned()]).await?;
    rows.into_iter().next().flatten().map(|bytes| decode_row(&view::<P>(), key, &bytes)).transpose()
}

/// A row as it is kept: MessagePack with named fields.
///
/// # Errors
/// When a value cannot be written as MessagePack.
pub fn encode(row: &impl Serialize) -> Result<Vec<u8>, Error> {
    rmp_serde::to_vec_named(row).map_err(|error| Error::Invalid { doing: "write a row", reason: error.to_string() })
}

/// A row from the bytes that are kept.
///
/// # Errors
/// When they are not those of such a row.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    rmp_serde::from_slice(bytes).map_err(|error| Error::Corrupt { doing: "read a row", reason: error.to_string() })
}

/// What to do about a row that cannot be read.
const REMEDY: &str = "to have it made anew, delete the whole view, with its -shared one, never a row alone";

/// The row `key` of `view` from the bytes that are kept.
///
/// # Errors
/// When they are not those of such a row: says which one, and what to do.
pub fn decode_row<T: DeserializeOwned>(view: &str, key: &str, bytes: &[u8]) -> Result<T, Error> {
    rmp_serde::from_slice(bytes).map_err(|error| Error::Corrupt {
        doing: "read a row",
        reason: format!("{key} of the view {view}: {error}; {REMEDY}"),
    })
}
