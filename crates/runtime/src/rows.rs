//! Reading the rows of views, whichever partition they are in.
//!
//! A reader sees a view that is whole, or is told that there is none yet: the view is looked up by its name, and one that
//! lost its position or was replaced while it was read is looked up again.

use hemostat_core::Projection;
use hemostat_log::{Error as LogError, Log};
use hemostat_schema::{EventId, HostName, Partition, Timestamp};
use serde::{Serialize, de::DeserializeOwned};

use crate::views::{self, POSITION, Views, is_inner};

/// How often a view is looked up again that was replaced while it was read.
const LOOKS: u32 = 5;

/// Why rows cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no view yet that is whole.
    #[error(transparent)]
    Filling(#[from] Filling),
    /// The log failed.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// A view is being filled from the beginning of the log, and there is no earlier one to read meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the view {view} of partition {partition} is being filled from the beginning of the log: {}", self.how_far())]
pub struct Filling {
    /// The view's name with its version.
    pub view: String,
    /// The partition.
    pub partition: Partition,
    /// Up to where it is filled; none when that has not begun.
    pub at: Option<EventId>,
    /// Up to where the log goes.
    pub clock: EventId,
}

impl Filling {
    fn how_far(&self) -> String {
        let time = |id: EventId| {
            let at = Timestamp::from_millisecond(i64::try_from(id.ms).unwrap_or(i64::MAX)).unwrap_or(Timestamp::MAX);
            format!("{at:.0}")
        };
        match self.at {
            Some(at) => format!("it has come to {}, the log is at {}", time(at), time(self.clock)),
            None => "that has not begun; is a projector running?".to_owned(),
        }
    }
}

/// The view in which the rows of `P` are, for programs of this version.
///
/// # Errors
/// [`Error::Filling`] when there is none yet.
pub async fn served<P: Projection>(log: &dyn Log, partition: Partition) -> Result<String, Error> {
    let views = Views::read(log, partition, &views::group::<P>()).await?;
    if let Some(view) = views.served()
        && views::position(log, partition, view).await?.is_some()
    {
        return Ok(view.to_owned());
    }
    Err(filling(log, partition, &views).await?.into())
}

/// One row of the view `P`, of a host whose partition is known by its name.
///
/// # Errors
/// When the log cannot be read, the view is not filled yet, or the row is not one of `P`.
pub async fn get_of<P: Projection>(log: &dyn Log, host: &HostName, key: &str) -> Result<Option<P::Row>, Error> {
    one::<P>(log, Partition::of(host, log.partitions()), key).await
}

/// One row of the view `P`, wherever it is.
///
/// # Errors
/// When the log cannot be read, the view is not filled yet, or the row is not one of `P`.
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
/// When the log cannot be read, the view is not filled yet, or a row is not one of `P`.
pub async fn all<P: Projection>(log: &dyn Log) -> Result<Vec<(String, P::Row)>, Error> {
    let mut rows = vec![];
    for partition in (0..log.partitions()).map(Partition) {
        rows.extend(all_of::<P>(log, partition).await?);
    }
    Ok(rows)
}

async fn all_of<P: Projection>(log: &dyn Log, partition: Partition) -> Result<Vec<(String, P::Row)>, Error> {
    let group = views::group::<P>();
    let mut views = Views::read(log, partition, &group).await?;
    for _ in 0..LOOKS {
        let Some(view) = views.served() else { break };
        let read = log.all_rows(partition, view).await?;
        let whole = read.iter().any(|(key, _)| key == POSITION);
        // One that was replaced while it was read may have been read in part only.
        let after = Views::read(log, partition, &group).await?;
        if after.served() == Some(view) {
            if !whole {
                break;
            }
            let rows = read.into_iter().filter(|(key, _)| !is_inner(key));
            let decoded = rows.map(|(key, bytes)| decode_row(view, &key, &bytes).map(|row| (key, row)));
            return Ok(decoded.collect::<Result<_, _>>()?);
        }
        views = after;
    }
    Err(filling(log, partition, &views).await?.into())
}

async fn one<P: Projection>(log: &dyn Log, partition: Partition, key: &str) -> Result<Option<P::Row>, Error> {
    let group = views::group::<P>();
    let keys = [POSITION.to_owned(), key.to_owned()];
    let mut views = Views::read(log, partition, &group).await?;
    for _ in 0..LOOKS {
        let Some(view) = views.served() else { break };
        let mut read = log.rows(partition, view, &keys).await?.into_iter();
        if read.next().flatten().is_some() {
            let row = read.next().flatten().filter(|_| !is_inner(key));
            return Ok(row.map(|bytes| decode_row(view, key, &bytes)).transpose()?);
        }
        let after = Views::read(log, partition, &group).await?;
        if after == views {
            break;
        }
        views = after;
    }
    Err(filling(log, partition, &views).await?.into())
}

async fn filling(log: &dyn Log, partition: Partition, views: &Views) -> Result<Filling, LogError> {
    let view = views.wanted().map_or_else(|| views.next(), str::to_owned);
    let at = views::position(log, partition, &view).await?;
    Ok(Filling { view, partition, at, clock: log.clock(partition).await? })
}

/// A row as it is kept: MessagePack with named fields.
///
/// # Errors
/// When a value cannot be written as MessagePack.
pub fn encode(row: &impl Serialize) -> Result<Vec<u8>, LogError> {
    rmp_serde::to_vec_named(row).map_err(|error| LogError::Invalid { doing: "write a row", reason: error.to_string() })
}

/// A row from the bytes that are kept.
///
/// # Errors
/// When they are not those of such a row.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, LogError> {
    rmp_serde::from_slice(bytes).map_err(|error| LogError::Corrupt { doing: "read a row", reason: error.to_string() })
}

/// What to do about a row that cannot be read.
const REMEDY: &str = "to have it made anew, run `hemostat rebuild` for this view or decider";

/// The row `key` of `view` from the bytes that are kept.
///
/// # Errors
/// When they are not those of such a row: says which one, and what to do.
pub fn decode_row<T: DeserializeOwned>(view: &str, key: &str, bytes: &[u8]) -> Result<T, LogError> {
    rmp_serde::from_slice(bytes).map_err(|error| LogError::Corrupt {
        doing: "read a row",
        reason: format!("{key} of the view {view}: {error}; {REMEDY}"),
    })
}
