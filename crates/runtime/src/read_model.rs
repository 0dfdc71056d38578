//! Read models: materialised rows that projections fold from the log, read across all partitions.
//!
//! A view is one stored copy of a read model in one partition: its rows and its offset. Readers see a complete view or get
//! [`Error::Building`]. A reader looks the served view up by name, and once more when the projector replaced it meanwhile.

mod generations;
mod row;

use hemostat_core::{Projection, fold::projection_group};
use hemostat_log::{Error as LogError, Log};
use hemostat_schema::{EventId, HostName, Partition};

pub(crate) use self::generations::{FOLDED_COUNT, Generations, of_group};
pub use self::{
    generations::{OFFSET, is_internal, offset},
    row::{decode, decode_row, encode},
};

/// The view in which monitors store a checkpoint of each container. A monitor writes it, and that of its host, in the
/// commits of its observations; no projection does.
pub const CONTAINER_CHECKPOINTS: &str = "observe.1";

/// The view in which monitors store a checkpoint of each host.
pub const HOST_CHECKPOINTS: &str = "monitor.2";

/// How often a reader looks the served view up when the projector replaces it meanwhile.
const LOOKUPS: u32 = 5;

/// Why rows cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no complete view yet.
    #[error(transparent)]
    Building(#[from] Building),
    /// The log failed.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// The projector is building the view from the beginning of the log, and there is no earlier generation to read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the view {view} of partition {partition} is being built from the beginning of the log: {}", self.how_far())]
pub struct Building {
    /// The view's name with its version.
    pub view: String,
    /// The partition.
    pub partition: Partition,
    /// The offset; `None` before the projector has begun.
    pub at: Option<EventId>,
    /// The end of the log.
    pub clock: EventId,
}

impl Building {
    fn how_far(&self) -> String {
        let time = |id: EventId| format!("{:.0}", id.appended_at());
        match self.at {
            Some(at) => format!("it is at {}, the log at {}", time(at), time(self.clock)),
            None => "the projector has not begun; is one running?".to_owned(),
        }
    }
}

/// The view of `P` that is served to this version of HemoStat.
///
/// # Errors
/// [`Error::Building`] when there is none yet.
pub async fn served<P: Projection>(log: &dyn Log, partition: Partition) -> Result<String, Error> {
    let generations = Generations::read(log, partition, &projection_group::<P>()).await?;
    if let Some(view) = generations.served()
        && offset(log, partition, view).await?.is_some()
    {
        return Ok(view.to_owned());
    }
    Err(building(log, partition, &generations).await?.into())
}

/// One row of `P` about `host`, whose name determines the partition.
///
/// # Errors
/// When the log cannot be read, there is no complete view, or the row cannot be decoded.
pub async fn get_of<P: Projection>(log: &dyn Log, host: &HostName, key: &str) -> Result<Option<P::Row>, Error> {
    one::<P>(log, Partition::of(host, log.partitions()), key).await
}

/// Rows of `P` about `host`, in the order of `keys`.
///
/// # Errors
/// When the log cannot be read, there is no complete view, or a row cannot be decoded.
pub async fn some_of<P: Projection>(
    log: &dyn Log,
    host: &HostName,
    keys: &[String],
) -> Result<Vec<Option<P::Row>>, Error> {
    some::<P>(log, Partition::of(host, log.partitions()), keys).await
}

/// One row of `P`, from whichever partition has it.
///
/// # Errors
/// When the log cannot be read, there is no complete view, or the row cannot be decoded.
pub async fn get<P: Projection>(log: &dyn Log, key: &str) -> Result<Option<P::Row>, Error> {
    for partition in (0..log.partitions()).map(Partition) {
        if let Some(row) = one::<P>(log, partition, key).await? {
            return Ok(Some(row));
        }
    }
    Ok(None)
}

/// All rows of `P`, by partition.
///
/// # Errors
/// When the log cannot be read, there is no complete view, or a row cannot be decoded.
pub async fn all<P: Projection>(log: &dyn Log) -> Result<Vec<(String, P::Row)>, Error> {
    let mut rows = vec![];
    for partition in (0..log.partitions()).map(Partition) {
        rows.extend(all_of::<P>(log, partition).await?);
    }
    Ok(rows)
}

async fn all_of<P: Projection>(log: &dyn Log, partition: Partition) -> Result<Vec<(String, P::Row)>, Error> {
    let group = projection_group::<P>();
    let mut generations = Generations::read(log, partition, &group).await?;
    for _ in 0..LOOKUPS {
        let Some(view) = generations.served() else { break };
        let read = log.all_rows(partition, view).await?;
        let is_complete = read.iter().any(|(key, _)| key == OFFSET);
        // A view that was replaced meanwhile may have been read in part only.
        let after = Generations::read(log, partition, &group).await?;
        if after.served() == Some(view) {
            if !is_complete {
                break;
            }
            let rows = read.into_iter().filter(|(key, _)| !is_internal(key));
            let decoded = rows.map(|(key, bytes)| decode_row(view, &key, &bytes).map(|row| (key, row)));
            return Ok(decoded.collect::<Result<_, _>>()?);
        }
        generations = after;
    }
    Err(building(log, partition, &generations).await?.into())
}

async fn one<P: Projection>(log: &dyn Log, partition: Partition, key: &str) -> Result<Option<P::Row>, Error> {
    Ok(some::<P>(log, partition, &[key.to_owned()]).await?.into_iter().next().flatten())
}

async fn some<P: Projection>(
    log: &dyn Log,
    partition: Partition,
    keys: &[String],
) -> Result<Vec<Option<P::Row>>, Error> {
    let group = projection_group::<P>();
    let with_offset: Vec<String> = [OFFSET.to_owned()].into_iter().chain(keys.iter().cloned()).collect();
    let mut generations = Generations::read(log, partition, &group).await?;
    for _ in 0..LOOKUPS {
        let Some(view) = generations.served() else { break };
        let mut read = log.rows(partition, view, &with_offset).await?.into_iter();
        if read.next().flatten().is_some() {
            let rows = keys.iter().zip(read).map(|(key, bytes)| {
                bytes.filter(|_| !is_internal(key)).map(|bytes| decode_row(view, key, &bytes)).transpose()
            });
            return Ok(rows.collect::<Result<_, _>>()?);
        }
        let after = Generations::read(log, partition, &group).await?;
        if after == generations {
            break;
        }
        generations = after;
    }
    Err(building(log, partition, &generations).await?.into())
}

async fn building(log: &dyn Log, partition: Partition, generations: &Generations) -> Result<Building, LogError> {
    let view = generations.requested().map_or_else(|| generations.next(), str::to_owned);
    let at = offset(log, partition, &view).await?;
    Ok(Building { view, partition, at, clock: log.clock(partition).await? })
}
