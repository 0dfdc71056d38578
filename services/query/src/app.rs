//! The state that the handlers share.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use hemostat_core::{Policy, Projection};
use hemostat_history::{History, Policies, Position, Progress, as_of};
use hemostat_log::Log;
use hemostat_runtime::{Clock, read_model};
use hemostat_schema::{EventId, Partition, Subject};
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

    /// The policy of each of these containers: the present one, or what its history had recorded at a position. Where that
    /// recorded none, as in the history of an earlier version, it is the present one, too.
    pub async fn policies(
        &self,
        subjects: impl IntoIterator<Item = &Subject>,
        then: Option<Position>,
    ) -> Result<PoliciesOf, Problem> {
        let (count, mut then_of) = (self.log.partitions(), BTreeMap::new());
        if let Some(then) = then {
            for partition in
                subjects.into_iter().map(|subject| Partition::of(&subject.host, count)).collect::<BTreeSet<_>>()
            {
                let recorded = Policies::read(&self.history, partition).await?;
                let policy = recorded.at(then).and_then(|changed| Policy::recorded(changed).ok());
                then_of.extend(policy.map(|policy| (partition, policy)));
            }
        }
        Ok(PoliciesOf { count, present: Arc::clone(&self.policy.borrow()), then_of })
    }

    /// All rows, at present or as of a position in history.
    pub async fn rows<P: Projection>(&self, then: Option<Position>) -> Result<Vec<(String, P::Row)>, Problem> {
        Ok(match then {
            None => read_model::all::<P>(&*self.log).await?,
            Some(then) => as_of::rows::<P>(&self.history, then, &Progress::default()).await?.into_iter().collect(),
        })
    }
}

/// The policies of containers, at present or at a position in history.
#[derive(Debug)]
pub struct PoliciesOf {
    count: u16,
    present: Arc<Policy>,
    then_of: BTreeMap<Partition, Policy>,
}

impl PoliciesOf {
    /// The policy of this container.
    pub fn policy(&self, subject: &Subject) -> &Policy {
        self.then_of.get(&Partition::of(&subject.host, self.count)).unwrap_or(&self.present)
    }
}
