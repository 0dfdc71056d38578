//! The one way to change the log: everything that follows from what was read, all or nothing.

use hemostat_schema::{
    Cause, EventId, Family, NewEvent, Partition, Subject, Timestamp,
    codec::{self, Encoded},
};

use crate::{Error, Lease};

/// Everything that follows from what was read. [`Log::commit`](crate::Log::commit) does all of it or nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Commit {
    /// For whom it is done; an old epoch is refused as [`CommitError::Stale`].
    pub lease: Lease,
    /// The producer's own sequence, for producers without an inbox: counts up from 1 since the lease was acquired. A
    /// number that was committed before is not done again.
    pub seq: Option<u64>,
    /// On what the decisions rest; what moved since is refused as [`CommitError::Conflict`].
    pub guards: Vec<Guard>,
    /// Deliveries that are now dealt with; one that is not pending any more is refused as [`CommitError::Lost`].
    pub acks: Vec<(Family, EventId)>,
    /// Timers that rang and are now dealt with; one that was changed or dealt with is [`CommitError::Lost`], too.
    pub fired: Vec<TimerKey>,
    /// What is put on the log, in this order.
    pub events: Vec<NewEvent>,
    /// Rows of views.
    pub rows: Vec<RowChange>,
    /// Timers of the lease's group; done after `fired`, in this order.
    pub timers: Vec<TimerUpdate>,
    /// Deliveries that the group gives up on. They are to be in `acks`, too, unless the group reads by position.
    pub dead_letters: Vec<NewDeadLetter>,
    /// How far a group has come that reads by position instead of being handed deliveries.
    pub cursor: Option<Cursor>,
    /// Which views are read; done after `rows`, in this order.
    pub views: Vec<ViewChange>,
}

impl Commit {
    /// Nothing yet, for whoever holds `lease`.
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

    /// Its events as they are stored.
    ///
    /// # Errors
    /// [`Error::Invalid`] when something in the commit could not be read again or would break the order of causes.
    pub(crate) fn encode(&self) -> Result<Vec<Encoded>, Error> {
        let invalid = |reason: String| Error::Invalid { doing: DOING, reason };
        let names = self.timers.iter().map(TimerUpdate::name);
        if let Some(name) = names.chain([self.lease.group.as_str()]).find(|name| name.contains('|')) {
            return Err(invalid(format!("the name {name:?} of a timer or group contains a |")));
        }
        let encode = |(index, event): (usize, &NewEvent)| {
            match event.cause {
                Some(Cause::Sibling(cause)) if cause >= index => {
                    return Err(invalid(format!("event {index} is caused by event {cause}, which comes no earlier")));
                }
                _ => {}
            }
            codec::encode(event).map_err(|error| invalid(error.to_string()))
        };
        self.events.iter().enumerate().map(encode).collect()
    }
}

/// What a commit does, for messages.
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

/// A timer, as it was when it rang.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimerKey {
    /// Whom it is about.
    pub subject: Subject,
    /// What for.
    pub name: String,
    /// When it was due, to the millisecond.
    pub due: Timestamp,
}

/// One row of a view, after the commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowChange {
    /// The view with its version, such as `containers.1`.
    pub view: String,
    /// The row's key.
    pub key: String,
    /// The row; none deletes it.
    pub row: Option<Vec<u8>>,
}

/// What becomes of a timer of the lease's group; one of a name for each subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimerUpdate {
    /// Rings at `due`; replaces the one of the same name.
    Set {
        /// Whom it is about.
        subject: Subject,
        /// What for; without `|`.
        name: String,
        /// When, to the millisecond.
        due: Timestamp,
    },
    /// Does not ring.
    Cancel {
        /// Whom it was about.
        subject: Subject,
        /// What for.
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

/// A delivery that the group gives up on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDeadLetter {
    /// The stream that the entry stands on.
    pub family: Family,
    /// The entry.
    pub id: EventId,
    /// Why.
    pub error: String,
}

/// Up to and with where a group that reads by position has dealt with these families. Nothing later is trimmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The last event that it has dealt with.
    pub at: EventId,
    /// What it reads.
    pub families: Vec<Family>,
}

impl Cursor {
    /// As it is kept: `1764000000000-3|observation,action`.
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

/// What becomes of a view as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ViewChange {
    /// Whoever asks for `name` is given the rows of `view` from now on.
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

/// Why nothing of a commit was done; for [`CommitError::Log`], why it is not known whether it was done.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The lease is somebody else's now.
    #[error("the lease is no longer held: somebody else has taken it over")]
    Stale,
    /// Something was added about this subject since the decision: read it, decide again.
    #[error("something was added about {0} since the decision was made")]
    Conflict(Subject),
    /// A delivery or a timer was already dealt with: read the backlog again.
    #[error("a delivery or a timer of the commit was already dealt with")]
    Lost,
    /// The log itself failed. When the error is transient the commit may or may not have been done; doing it again is
    /// harmless, because its acknowledgements, timers or sequence let it happen only once.
    #[error("could not commit")]
    Log(#[from] Error),
}
