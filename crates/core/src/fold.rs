//! The fold of a decider and the fold of a projection. Their workers, `verify`, `backtest` and `as_of` call these same
//! functions, each with its own storage.
//!
//! A fold is all or nothing: an event whose `evolve` panics changes neither state nor rows.

use std::{
    any::Any,
    collections::{BTreeMap, HashMap},
    panic::{AssertUnwindSafe, catch_unwind},
};

use hemostat_schema::{EventId, Family, Recorded, TraceParent};
use serde::{Deserialize, Serialize};

use crate::{decider::Decider, projection::Projection};

/// What a decider knows of one subject: its materialised row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubjectState<S> {
    /// The subject's version in each family: the newest folded event that advances it.
    #[serde(rename = "heads")]
    pub versions: BTreeMap<Family, EventId>,
    /// The trace of the newest event of an incident: the parent of what a timer leads to.
    pub trace: Option<TraceParent>,
    /// The decider's own state.
    pub state: S,
}

impl<S: Default> Default for SubjectState<S> {
    fn default() -> Self {
        Self { versions: BTreeMap::new(), trace: None, state: S::default() }
    }
}

/// What an event changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Changed {
    /// The state of its subject.
    pub subject: bool,
    /// The state of its host.
    pub shared: bool,
}

/// The view of `D`'s subjects, by subject.
pub fn decider_view<D: Decider>() -> String {
    format!("{}.{}", D::GROUP, D::VERSION)
}

/// The view of `D`'s hosts, by host.
pub fn shared_view<D: Decider>() -> String {
    format!("{}-shared.{}", D::GROUP, D::VERSION)
}

/// The consumer group that maintains `P`; also the name of its first view.
pub fn projection_group<P: Projection>() -> String {
    format!("{}.{}", P::NAME, P::VERSION)
}

/// Folds `event` into the states of its subject and of its host.
///
/// # Errors
/// What the panic of `evolve` said; neither state is changed then.
pub fn decider<D: Decider>(
    subject: &mut SubjectState<D::State>,
    shared: &mut D::Shared,
    event: &Recorded,
) -> Result<Changed, String> {
    let mut changed = Changed::default();
    if event.event().is_some() {
        let (mut new, mut new_shared) = (subject.state.clone(), shared.clone());
        caught("the fold", || D::evolve(&mut new, &mut new_shared, event))?;
        changed = Changed { subject: subject.state != new, shared: *shared != new_shared };
        (subject.state, *shared) = (new, new_shared);
    }
    if event.advances_version() {
        subject.versions.insert(event.family(), event.id);
        if event.incident.is_some() && event.trace.is_some() {
            subject.trace = event.trace;
        }
        changed.subject = true;
    }
    Ok(changed)
}

/// Rows of a projection in memory, by key. `None`: there is no such row.
pub type Rows<P> = HashMap<String, Option<<P as Projection>::Row>>;

/// What a run of events did to the rows.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Folded {
    /// The keys of the rows that differ from what they were before.
    pub changed: Vec<String>,
    /// The events whose fold panicked, and what the panic said.
    pub panicked: HashMap<EventId, String>,
}

/// The keys of the rows that `event` touches; none where only a later version of HemoStat knows its kind.
///
/// # Errors
/// What the panic of the projection said.
pub fn keys<P: Projection>(event: &Recorded) -> Result<Vec<String>, String> {
    match event.event() {
        Some(_) => caught("the projection", || P::keys(event)),
        None => Ok(vec![]),
    }
}

/// Folds a run of events, each with its [`keys`], into `rows`; a key that is not among the rows counts as one without a row.
/// When an event's fold panics, the whole run is folded again without that event.
pub fn projection<P: Projection>(rows: &mut Rows<P>, events: &[(&Recorded, Vec<String>)]) -> Folded {
    let mut panicked: HashMap<EventId, String> = HashMap::new();
    loop {
        let mut before: Rows<P> = HashMap::new();
        let new_panic =
            events.iter().filter(|(event, _)| !panicked.contains_key(&event.id)).find_map(|(event, keys)| {
                keys.iter().find_map(|key| {
                    let row = rows.get_mut(key).and_then(Option::take);
                    if !before.contains_key(key) {
                        before.insert(key.clone(), row.clone());
                    }
                    match caught("the projection", || P::evolve(row, key, event)) {
                        Ok(row) => rows.insert(key.clone(), row).and(None),
                        Err(why) => Some((event.id, why)),
                    }
                })
            });
        let Some((id, why)) = new_panic else {
            let changed = before.into_iter().filter(|(key, row)| rows.get(key) != Some(row));
            return Folded { changed: changed.map(|(key, _)| key).collect(), panicked };
        };
        panicked.insert(id, why);
        rows.extend(before);
    }
}

/// Folds a run of events into `rows` and passes over those that cannot be folded.
pub fn fold_all<'a, P: Projection>(rows: &mut Rows<P>, events: impl IntoIterator<Item = &'a Recorded>) {
    let events: Vec<_> = events.into_iter().filter_map(|event| Some((event, keys::<P>(event).ok()?))).collect();
    projection::<P>(rows, &events);
}

/// The rows that there are, in the order of their keys.
pub fn existing<R>(rows: HashMap<String, Option<R>>) -> BTreeMap<String, R> {
    rows.into_iter().filter_map(|(key, row)| Some((key, row?))).collect()
}

/// Calls `call`; a panic becomes an error that says what panicked and how.
///
/// # Errors
/// When `call` panics.
pub fn caught<T>(what: &str, call: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| panicked(what, &*panic))
}

/// The error text of a caught panic.
pub fn panicked(what: &str, panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
    format!("{what} panicked: {text}")
}
