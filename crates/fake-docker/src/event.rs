//! Docker events: their wire format, the event log, and filters.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use serde_json::json;

use crate::{
    engine::id::ContainerId,
    spec::{ContainerSpec, fnv},
    time::UnixNanos,
};

/// How many events dockerd keeps, of all kinds and containers.
const KEPT: usize = 256;

/// A Docker event about a container.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its time.
    pub at: UnixNanos,
    /// Its action: `die`, `health_status: unhealthy`, `exec_create: /check` …
    pub action: Cow<'static, str>,
    /// The id of the container.
    pub id: ContainerId,
    /// The name of the container at that time.
    pub name: Arc<str>,
    /// Attributes other than image, name and labels: `exitCode`, `signal`, `oldName`, `execID`.
    pub more: Vec<(&'static str, String)>,
    pub(crate) spec: Arc<ContainerSpec>,
}

impl Event {
    /// The JSON line that Docker writes, with its line break.
    pub(crate) fn line(&self) -> Bytes {
        let (spec, action) = (&self.spec, &self.action);
        let mut attributes: BTreeMap<&str, &str> =
            spec.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        attributes.extend([("image", spec.image.as_str()), ("name", &*self.name)]);
        attributes.extend(self.more.iter().map(|(name, value)| (*name, value.as_str())));
        let event = json!({
            "status": action, "id": self.id, "from": spec.image, "Type": "container", "Action": action,
            "Actor": {"ID": self.id, "Attributes": attributes}, "scope": "local",
            "time": self.at.seconds(), "timeNano": self.at.nanos()
        });
        format!("{event}\n").into()
    }
}

/// The latest events, as many as dockerd keeps.
#[derive(Debug, Default)]
pub(crate) struct EventLog(VecDeque<Arc<Event>>);

impl EventLog {
    pub(crate) fn keep(&mut self, event: Arc<Event>) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(event);
    }

    /// The time of the last event.
    pub(crate) fn last(&self) -> Option<UnixNanos> {
        self.0.back().map(|event| event.at)
    }

    /// The events from `since` to `until`, inclusive; like Docker none if both are `None`.
    pub(crate) fn between(
        &self,
        since: Option<UnixNanos>,
        until: Option<UnixNanos>,
    ) -> impl Iterator<Item = &Arc<Event>> {
        let asked = since.is_some() || until.is_some();
        self.0.iter().filter(move |event| {
            asked && since.is_none_or(|since| event.at >= since) && until.is_none_or(|until| event.at <= until)
        })
    }

    /// Drops all events, as a restart of the engine does.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// A filter of events: all keys must match, each with any of its values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EventFilter(HashMap<String, Vec<String>>);

impl EventFilter {
    /// A filter from Docker's `filters`; like Docker, it ignores unknown keys.
    pub(crate) fn by(filters: HashMap<String, Vec<String>>) -> Self {
        Self(filters)
    }

    pub(crate) fn matches_event(&self, event: &Event) -> bool {
        let any = |key: &str, fits: &dyn Fn(&str) -> bool| {
            self.0.get(key).is_none_or(|values| values.is_empty() || values.iter().any(|value| fits(value)))
        };
        // If one of these is requested, Docker compares prefixes (moby#25798).
        let by_prefix = self.0.get("event").is_some_and(|values| {
            values.iter().any(|value| ["health_status", "exec_create", "exec_start"].contains(&value.as_str()))
        });
        any("type", &|value| value == "container")
            && any("scope", &|value| value == "local")
            && any("event", &|value| event.action == value || by_prefix && event.action.starts_with(value))
            && any("container", &|value| {
                !value.is_empty()
                    && (value.trim_start_matches('/') == &*event.name || event.id.as_str().starts_with(value))
            })
            && any("image", &|value| event.spec.image == value)
            && self.0.get("label").is_none_or(|labels| labels.iter().all(|label| has_label(&event.spec, label)))
            && ["daemon", "network", "volume"].iter().all(|key| !self.0.contains_key(*key))
    }
}

/// Whether the container has the label: `name` or `name=value`.
pub(crate) fn has_label(spec: &ContainerSpec, label: &str) -> bool {
    match label.split_once('=') {
        Some((name, value)) => spec.labels.get(name).is_some_and(|found| found == value),
        None => spec.labels.contains_key(label),
    }
}

/// An exec id; it cannot be inspected.
pub(crate) fn exec_id(id: &ContainerId, at: UnixNanos) -> String {
    let seed = fnv(id.as_str().as_bytes()) ^ fnv(&at.nanos().to_le_bytes());
    let mut random = fastrand::Rng::with_seed(seed);
    format!("{:032x}{:032x}", random.u128(..), random.u128(..))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(action: &'static str, more: Vec<(&'static str, String)>) -> Event {
        Event {
            at: UnixNanos::from_nanos(1_795_462_698_792_223_107),
            action: action.into(),
            id: ContainerId::nth(1, 0),
            name: "api-1".into(),
            more,
            spec: Arc::new(ContainerSpec::default().label("team", "a")),
        }
    }

    #[test]
    fn an_event_has_dockers_wire_format() {
        let event = event("die", vec![("exitCode", "3".to_owned())]);
        let told: serde_json::Value = serde_json::from_slice(&event.line()).unwrap();
        let id = event.id.as_str();
        let expected = serde_json::json!({
            "status": "die", "id": id, "from": "simulated:1", "Type": "container", "Action": "die",
            "Actor": {"ID": id, "Attributes": {"exitCode": "3", "image": "simulated:1", "name": "api-1", "team": "a"}},
            "scope": "local", "time": 1_795_462_698, "timeNano": 1_795_462_698_792_223_107_i64
        });
        assert_eq!(told, expected);
    }

    #[test]
    fn filters_match_like_dockers() {
        let filter = |filters: &[(&str, &[&str])]| {
            let all = filters.iter().map(|(key, values)| {
                ((*key).to_owned(), values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>())
            });
            EventFilter::by(all.collect())
        };
        let id = ContainerId::nth(1, 0);
        for (filters, action, matches_event) in [
            (&[][..], "die", true),
            (&[("type", &["container"][..])], "die", true),
            (&[("type", &["network"])], "die", false),
            (&[("event", &["die", "start"])], "die", true),
            (&[("event", &["start"])], "die", false),
            (&[("event", &["health_status"])], "health_status: healthy", true),
            (&[("event", &["die"])], "health_status: healthy", false),
            (&[("event", &["start"])], "exec_start: /check", false),
            (&[("container", &["api-1"])], "die", true),
            (&[("container", &["api"])], "die", false),
            (&[("container", &[&id.as_str()[..12]])], "die", true),
            (&[("label", &["team"])], "die", true),
            (&[("label", &["team=a"])], "die", true),
            (&[("label", &["team=a", "other"])], "die", false),
            (&[("colour", &["red"])], "die", true),
        ] {
            let covered = filter(filters).matches_event(&event(action, vec![]));
            assert_eq!(covered, matches_event, "{action} by {filters:?}");
        }
    }

    #[test]
    fn the_event_log_drops_the_oldest() {
        let mut log = EventLog::default();
        for n in 0..300 {
            log.keep(Arc::new(Event { at: UnixNanos::from_nanos(n), ..event("start", vec![]) }));
        }
        let at = |n| Some(UnixNanos::from_nanos(n));
        assert_eq!(log.between(at(0), None).count(), 256);
        assert_eq!(log.between(at(290), at(294)).count(), 5);
        assert_eq!(log.between(None, None).count(), 0);
        assert_eq!(log.last(), at(299));
    }
}
