//! The commit: how a worker changes the log, atomic and fenced.

use hemostat_schema::{
    Cause, EventId, Family, NewEvent, Partition, Subject, Timestamp,
    codec::{self, Encoded},
};

use crate::{Error, Lease};

/// Everything that follows from the entries that were handled. [`Log::commit`](crate::Log::commit) applies all of it or
/// nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Commit {
    /// The lease; an old epoch (fencing token) is refused as [`CommitError::Fenced`].
    pub lease: Lease,
    /// Idempotency for producers without an inbox: counts up from 1 since the lease was acquired. A sequence that was
    /// committed before is not applied again.
    pub seq: Option<u64>,
    /// The versions that the decisions rest on; [`CommitError::Conflict`] if one has advanced.
    pub guards: Vec<Guard>,
    /// Deliveries to acknowledge; [`CommitError::AlreadyHandled`] if one is no longer pending.
    pub acks: Vec<(Family, EventId)>,
    /// Fired timers to remove; [`CommitError::AlreadyHandled`] if one was changed or removed meanwhile.
    pub fired: Vec<TimerKey>,
    /// Events to append, in this order.
    pub events: Vec<NewEvent>,
    /// Rows of read models to write or delete.
    pub rows: Vec<RowChange>,
    /// Timers of the lease's group to set or cancel; applied after `fired`, in this order.
    pub timers: Vec<TimerUpdate>,
    /// Deliveries that the group gives up on. They must also be in `acks`, or their timers in `fired`, unless the group reads
    /// by offset.
    pub dead_letters: Vec<NewDeadLetter>,
    /// The new offset of a group that reads by offset instead of receiving deliveries.
    pub cursor: Option<Cursor>,
    /// Views to serve or retire; applied after `rows`, in this order.
    pub views: Vec<ViewChange>,
}

impl Commit {
    /// An empty commit of the holder of `lease`.
    pub fn new(lease: Lease) -> Self {
        Self {
            lease,
            seq: None,
            guards: vec![],
            acks: vec![],
            fired: vec![],
            events: vec![],
            rows: vec![],
            timers: vec![],
            dead_letters: vec![],
            cursor: None,
            views: vec![],
        }
    }

    /// Its events, encoded.
    ///
    /// # Errors
    /// [`Error::Invalid`] if something in the commit could not be decoded again or would break the order of causes.
    pub(crate) fn encode(&self) -> Result<Vec<Encoded>, Error> {
        let invalid = |reason: String| Error::Invalid { doing: DOING, reason };
        let names = self.timers.iter().map(TimerUpdate::name);
        if let Some(name) = names.chain([self.lease.group.as_str()]).find(|name| name.contains('|')) {
            return Err(invalid(format!("the name {name:?} of a timer or group contains a |")));
        }
        encode(&self.events)
    }
}

/// Encodes the events of a commit.
///
/// # Errors
/// [`Error::Invalid`] if one could not be decoded again or would break the order of causes.
pub(crate) fn encode(events: &[NewEvent]) -> Result<Vec<Encoded>, Error> {
    let invalid = |reason: String| Error::Invalid { doing: DOING, reason };
    let encode = |(index, event): (usize, &NewEvent)| {
        match event.cause {
            Some(Cause::Sibling(cause)) if cause >= index => {
                return Err(invalid(format!("event {index} is caused by event {cause}, which comes no earlier")));
            }
            _ => {}
        }
        codec::encode(event).map_err(|error| invalid(error.to_string()))
    };
    events.iter().enumerate().map(encode).collect()
}

/// What a commit does, for error messages.
pub(crate) const DOING: &str = "commit to the log";

/// Optimistic concurrency: the commit fails with [`CommitError::Conflict`] if the version of `subject` in the stream of
/// `family` has advanced past `expected_version`
/// ([`KindInfo::advances_version`](hemostat_schema::KindInfo::advances_version)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// The subject that was decided about.
    pub subject: Subject,
    /// The stream.
    pub family: Family,
    /// The last event that advanced the version, as the decision knew it; none when it knew of no event.
    pub expected_version: Option<EventId>,
}

/// A timer, as it was when it fired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimerKey {
    /// The subject.
    pub subject: Subject,
    /// Its name.
    pub name: String,
    /// When it was due, to the millisecond.
    pub due: Timestamp,
}

/// A change of one row of a read model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowChange {
    /// The view with its version, such as `containers.1`.
    pub view: String,
    /// The row's key.
    pub key: String,
    /// The new row; none deletes it.
    pub row: Option<Vec<u8>>,
}

/// A change of a timer of the lease's group; a subject has at most one timer of each name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimerUpdate {
    /// Sets a timer; replaces the one of the same name.
    Set {
        /// The subject.
        subject: Subject,
        /// Its name; without `|`.
        name: String,
        /// When it fires, to the millisecond.
        due: Timestamp,
    },
    /// Cancels a timer.
    Cancel {
        /// The subject.
        subject: Subject,
        /// Its name.
        name: String,
    },
}

impl TimerUpdate {
    fn name(&self) -> &str {
        match self {
            Self::Set { name, .. } | Self::Cancel { name, .. } => name,
        }
    }
}

/// A delivery that the group gives up on, to be stored as a [`DeadLetter`](crate::DeadLetter).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDeadLetter {
    /// The stream of the entry.
    pub family: Family,
    /// The entry.
    pub id: EventId,
    /// Why.
    pub error: String,
}

/// The offset of a group that reads by offset: it has handled these families up to and including `at`. Later entries are
/// not trimmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The last handled event.
    pub at: EventId,
    /// The families that it reads.
    pub families: Vec<Family>,
}

impl Cursor {
    /// As it is stored: `1764000000000-3|observation,action`.
    pub(crate) fn text(&self) -> String {
        let families: Vec<&str> = self.families.iter().map(|family| family.name()).collect();
        format!("{}|{}", self.at.entry(), families.join(","))
    }

    pub(crate) fn parse(partition: Partition, text: &str) -> Option<Self> {
        let (at, families) = text.split_once('|')?;
        let families = families.split(',').filter(|family| !family.is_empty());
        Some(Self {
            at: EventId::from_entry(partition, at).ok()?,
            families: families.map(str::parse).collect::<Result<_, _>>().ok()?,
        })
    }
}

/// A change of a view as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ViewChange {
    /// Readers of `name` get the rows of `view` from now on.
    Serve {
        /// Such as `containers`.
        name: String,
        /// Such as `containers.2`.
        view: String,
    },
    /// All its rows are deleted.
    Retire {
        /// Such as `containers.1`.
        view: String,
    },
}

/// Why a commit was not applied; for [`CommitError::Log`], why its outcome is unknown.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The lease is lost: its epoch (fencing token) is old, or it was released or revoked.
    #[error("the lease is no longer held: another process has acquired it")]
    Fenced,
    /// The version of this subject has advanced since the decision: read on and decide again.
    #[error("events about {0} were added since the decision was made")]
    Conflict(Subject),
    /// An entry or a timer of the commit was already handled: read the pending entries again.
    #[error("a delivery or a timer of the commit was already handled")]
    AlreadyHandled,
    /// The log failed. After a transient error the commit may or may not have been applied; a retry is idempotent, because
    /// its acknowledgements, timers or sequence are accepted only once.
    #[error("could not commit")]
    Log(#[from] Error),
}
