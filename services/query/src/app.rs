//! The state that the handlers share.

use std::sync::Arc;

use hemostat_core::{Policy, Projection};
use hemostat_history::{History, Position, Progress, as_of};
use hemostat_log::Log;
use hemostat_runtime::{Clock, read_model};
use hemostat_schema::EventId;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{ask::parse, problem::Problem};

/// The state that the handlers share.
#[derive(Debug, Clone)]
pub struct App {
    /// The log, for read models and dead letters.
    pub log: Arc<dyn Log>,
    /// Log and archive, for events.
    pub history: History,
    /// The policy that containers are shown with.
    pub policy: watch::Receiver<Arc<Policy>>,
    /// The time of commands.
    pub clock: Arc<dyn Clock>,
    /// Ends streams.
    pub shutdown: CancellationToken,
}

impl App {
    /// The id of an event or a dead letter.
    pub fn id(&self, key: &str, unknown: fn(&str) -> Problem) -> Result<EventId, Problem> {
        let id: Option<EventId> = parse("id", Some(key))?;
        id.filter(|id| id.partition.0 < self.log.partitions()).ok_or_else(|| unknown(key))
    }

    /// All rows, at present or as of a position in history.
    pub async fn rows<P: Projection>(&self, then: Option<Position>) -> Result<Vec<(String, P::Row)>, Problem> {
        Ok(match then {
            None => read_model::all::<P>(&*self.log).await?,
            Some(then) => as_of::rows::<P>(&self.history, then, &Progress::default()).await?.into_iter().collect(),
        })
    }
}
