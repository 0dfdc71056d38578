//! The live processes of a partition, as they describe themselves with their heartbeats.

use std::collections::BTreeMap;

use hemostat_log::{Error, Log};
use hemostat_schema::{HostName, Partition};
use serde::{Deserialize, Serialize};

/// A live process, as it described itself with its last heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveProcess {
    /// The name under which it holds leases.
    pub owner: String,
    /// What it says about itself.
    pub says: Announcement,
}

/// What a process says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Announcement {
    /// The hash of the policy that it decides by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The consumer groups that it is a member of, and the hosts whose work it can do there; `None` for all.
    #[serde(default)]
    pub groups: BTreeMap<String, Option<Vec<HostName>>>,
}

/// The live processes of a partition, and the requested handoffs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Live {
    pub processes: Vec<LiveProcess>,
    pub handoffs: Vec<String>,
}

/// The live processes that work on a partition, sorted by owner.
///
/// # Errors
/// When the log cannot be read.
pub async fn live_processes(log: &dyn Log, partition: Partition) -> Result<Vec<LiveProcess>, Error> {
    Ok(Live::from(log.sessions(partition).await?).processes)
}

impl From<hemostat_log::Sessions> for Live {
    fn from(sessions: hemostat_log::Sessions) -> Self {
        let process = |session: hemostat_log::Session| {
            // A process that stops says nothing any more.
            let says = serde_json::from_str(&session.says).ok()?;
            Some(LiveProcess { owner: session.owner, says })
        };
        Self { processes: sessions.live.into_iter().filter_map(process).collect(), handoffs: sessions.handoffs }
    }
}
