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

/// The keys of the rows that `event` touches; none if only a later version of HemoStat knows its kind.
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

/// Whether a row of `P` counts as deleted once the view is at `offset`.
pub fn is_expired<P: Projection>(key: &str, row: &P::Row, offset: EventId) -> bool {
    P::IS_EXPIRED.is_some_and(|is_expired| is_expired(key, row, offset.appended_at()))
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

#[cfg(test)]
mod tests {
    use hemostat_schema::{
        Event, NewEvent, Timestamp,
        action::{Action, Paused},
    };

    use super::*;
    use crate::{Decision, Trigger, testing};

    /// An event about `subject`; `poison` makes the folds panic.
    fn event(id: u64, subject: &str, reason: &str) -> Recorded {
        let paused = Paused { by: "test".into(), reason: reason.into() };
        NewEvent::new(subject.parse().unwrap(), Timestamp::UNIX_EPOCH, paused).recorded(testing::id(id), &[])
    }

    fn reason(event: &Recorded) -> &str {
        let Some(Event::Action(Action::Paused(paused))) = event.event() else { panic!("another event") };
        assert_ne!(paused.reason, "poison", "poisoned");
        &paused.reason
    }

    /// The number of events, per subject and per host, that are not `quiet`.
    struct Count;

    impl Decider for Count {
        const GROUP: &'static str = "count";
        const VERSION: u16 = 3;
        const READS: &'static [Family] = &[Family::Action];
        type State = u32;
        type Shared = u32;
        type Policy = ();

        fn evolve(state: &mut u32, shared: &mut u32, event: &Recorded) {
            *shared += 1;
            *state += u32::from(reason(event) != "quiet");
        }

        fn decide(_: &u32, _: &u32, _: &Trigger<'_>, (): &(), _: Timestamp) -> Decision {
            Decision::nothing()
        }
    }

    impl Projection for Count {
        const NAME: &'static str = "count";
        const VERSION: u16 = 3;
        const READS: &'static [Family] = &[Family::Action];
        type Row = u32;

        fn keys(event: &Recorded) -> Vec<String> {
            vec!["all".into(), event.subject.to_string()]
        }

        fn evolve(row: Option<u32>, key: &str, event: &Recorded) -> Option<u32> {
            if key == "all" {
                return Some(row.unwrap_or(0) + 1);
            }
            match reason(event) {
                "delete" => None,
                _ => Some(row.unwrap_or(0) + 1),
            }
        }
    }

    #[test]
    fn an_event_changes_the_states_and_advances_the_version() {
        let (mut subject, mut shared) = (SubjectState::default(), 0);
        let mut fold = |id, reason| decider::<Count>(&mut subject, &mut shared, &event(id, "h/a", reason));
        assert_eq!(fold(1, "x"), Ok(Changed { subject: true, shared: true }));
        assert_eq!(fold(2, "quiet"), Ok(Changed { subject: true, shared: true }), "its version advanced");
        assert_eq!((subject.state, shared), (1, 2));
        assert_eq!(subject.versions, [(Family::Action, testing::id(2))].into());
    }

    #[test]
    fn an_event_whose_fold_panics_changes_neither_state() {
        let (mut subject, mut shared) = (SubjectState::default(), 0);
        let error = decider::<Count>(&mut subject, &mut shared, &event(1, "h/a", "poison")).unwrap_err();
        assert!(error.starts_with("the fold panicked: ") && error.contains("poisoned"), "{error}");
        assert_eq!((subject, shared), (SubjectState::default(), 0));
    }

    #[test]
    fn an_event_whose_fold_panics_changes_no_row_and_the_others_of_its_run_are_folded() {
        let events = [event(1, "h/a", "x"), event(2, "h/a", "poison"), event(3, "h/b", "x"), event(4, "h/b", "delete")];
        let keyed: Vec<_> = events.iter().map(|event| (event, keys::<Count>(event).unwrap())).collect();
        let mut rows = Rows::<Count>::from([("h/b".to_owned(), Some(7)), ("h/c".to_owned(), Some(1))]);
        let mut folded = projection::<Count>(&mut rows, &keyed);
        folded.changed.sort();
        assert_eq!(folded.changed, ["all", "h/a", "h/b"]);
        assert_eq!(folded.panicked.into_keys().collect::<Vec<_>>(), [testing::id(2)]);
        let expected = [("all", 3), ("h/a", 1), ("h/c", 1)].map(|(key, row)| (key.to_owned(), row));
        assert_eq!(existing(rows), expected.into());
    }

    #[test]
    fn views_and_rows_keep_their_stored_names() {
        assert_eq!(decider_view::<Count>(), "count.3");
        assert_eq!(shared_view::<Count>(), "count-shared.3");
        assert_eq!(projection_group::<Count>(), "count.3");
        let row = serde_json::to_value(SubjectState::<u32>::default()).unwrap();
        assert_eq!(row, serde_json::json!({ "heads": {}, "trace": null, "state": 0 }));
    }
}
