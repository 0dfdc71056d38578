//! The event filter: by time, kind, host, container and incident. API, CLI and `tail` use this one.
//!
//! A filter decides as early as it can. The time window and the families limit what is read; kind and subject are fields
//! of the raw entry; an incident's id can be searched for in the envelope. Only an entry that passes all of these is
//! decoded.

use std::{collections::BTreeSet, fmt::Display, str::FromStr};

use hemostat_core::{policy::NamePatterns, views::story};
use hemostat_log::{Entry, RawEntry};
use hemostat_schema::{
    ContainerName, Event, Family, HostName, IncidentId, KindInfo, Partition, Subject, advances_version,
};

use crate::window::Window;

/// Selects events; an event must match every condition.
#[derive(Debug, Clone)]
pub struct Filter {
    /// When the event was appended to the log.
    pub window: Window,
    /// Its kind.
    pub kind: Option<KindPattern>,
    /// Its Docker host.
    pub host: Option<HostName>,
    /// Its container.
    pub container: Option<ContainerPattern>,
    /// Its incident.
    pub incident: Option<IncidentId>,
    /// Leaves out measurements (samples, storage, disks) and kinds of later versions.
    pub notable_only: bool,
}

impl Filter {
    /// Every event.
    pub const ALL: Self =
        Self { window: Window::ALL, kind: None, host: None, container: None, incident: None, notable_only: false };

    /// The partitions that can hold matching events, if the log has `count`.
    pub fn partitions(&self, count: u16) -> Vec<Partition> {
        let host = self.host.as_ref().or_else(|| self.container.as_ref().and_then(ContainerPattern::host));
        match host {
            Some(host) => vec![Partition::of(host, count)],
            None => (0..count).map(Partition).collect(),
        }
    }

    /// The families that can hold matching events.
    pub fn families(&self) -> Vec<Family> {
        self.kind.as_ref().map_or(Family::ALL.to_vec(), |kind| kind.families.clone())
    }

    /// The decoded entry, if it matches. An entry that cannot be decoded matches by its kind and subject; by an incident
    /// it never matches.
    pub fn pick(&self, entry: &RawEntry) -> Option<Entry> {
        if !self.may_match(entry) {
            return None;
        }
        let entry = entry.decode();
        let matches = match &entry.event {
            Ok(event) => {
                self.incident.as_ref().is_none_or(|incident| event.incident.as_ref() == Some(incident))
                    && (!self.notable_only || story::is_notable(event))
            }
            Err(_) => self.incident.is_none(),
        };
        matches.then_some(entry)
    }

    /// Whether the entry can match, without decoding it.
    fn may_match(&self, entry: &RawEntry) -> bool {
        self.window.contains(entry.id)
            && self.matches_kind(entry)
            && self.matches_subject(entry)
            && self.incident.as_ref().is_none_or(|incident| mentions(entry, incident.as_str()))
    }

    fn matches_kind(&self, entry: &RawEntry) -> bool {
        if self.kind.is_none() && !self.notable_only {
            return true;
        }
        let Some(kind_and_version) = entry.kind() else { return false };
        let kind = kind_and_version.rsplit_once('.').map_or(kind_and_version, |(kind, _)| kind);
        // Measurements are the events that advance no version.
        self.kind.as_ref().is_none_or(|pattern| pattern.matches(kind)) && (!self.notable_only || advances_version(kind))
    }

    fn matches_subject(&self, entry: &RawEntry) -> bool {
        if self.host.is_none() && self.container.is_none() {
            return true;
        }
        let Some(subject) = entry.subject() else { return false };
        let (host, container) = match subject.split_once('/') {
            Some((host, container)) => (host, Some(container)),
            None => (subject, None),
        };
        self.is_about(host, container)
    }

    /// Whether it selects this container, or this host itself.
    pub(crate) fn is_about(&self, host: &str, container: Option<&str>) -> bool {
        let matches = |pattern: &ContainerPattern| container.is_some_and(|name| pattern.matches(host, name));
        self.host.as_ref().is_none_or(|wanted| wanted.as_str() == host) && self.container.as_ref().is_none_or(matches)
    }
}

/// Whether `text` occurs in the entry's envelope. Ids are stored there as text.
pub(crate) fn mentions(entry: &RawEntry, text: &str) -> bool {
    entry.field("e").is_some_and(|envelope| envelope.windows(text.len()).any(|part| part == text.as_bytes()))
}

/// Containers by name: `api-1` (on any host), `docker-1/api-1`, or globs in either part (`api-*`, `*/api-?`).
#[derive(Debug, Clone)]
pub struct ContainerPattern {
    text: String,
    host: Option<NamePattern>,
    name: NamePattern,
    /// The one host that is meant, if its name is no glob.
    exact_host: Option<HostName>,
}

#[derive(Debug, Clone)]
enum NamePattern {
    Exact(String),
    Glob(NamePatterns),
}

impl NamePattern {
    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == name,
            Self::Glob(names) => names.contains(name),
        }
    }
}

/// A text that is no [`ContainerPattern`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a container's name, host/name, or a glob of one (api-*): {why}")]
pub struct InvalidContainerPattern {
    text: String,
    why: String,
}

impl FromStr for ContainerPattern {
    type Err = InvalidContainerPattern;

    fn from_str(text: &str) -> Result<Self, InvalidContainerPattern> {
        let invalid = |why: &dyn Display| InvalidContainerPattern {
            text: text.chars().take(120).collect(),
            why: why.to_string(),
        };
        let (host, name) = match text.split_once('/') {
            Some((host, name)) => (Some(host), name),
            None => (None, text),
        };
        if name.is_empty() || name.contains('/') || host.is_some_and(str::is_empty) {
            return Err(invalid(&"a name is missing, or there is more than one slash"));
        }
        let pattern = |part: &str| {
            if is_plain(part) {
                return Ok(NamePattern::Exact(part.to_owned()));
            }
            NamePatterns::new([part]).map(NamePattern::Glob).map_err(|error| invalid(error.kind()))
        };
        Ok(Self {
            text: text.to_owned(),
            exact_host: host.filter(|host| is_plain(host)).and_then(|host| host.parse().ok()),
            host: host.map(pattern).transpose()?,
            name: pattern(name)?,
        })
    }
}

/// The containers with exactly this name, on any host.
impl From<&ContainerName> for ContainerPattern {
    fn from(name: &ContainerName) -> Self {
        let text = name.to_string();
        Self { name: NamePattern::Exact(text.clone()), text, host: None, exact_host: None }
    }
}

impl ContainerPattern {
    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The one container that is meant, if host and name are given and no globs.
    pub fn subject(&self) -> Option<Subject> {
        self.text.parse().ok().filter(|subject: &Subject| subject.container.is_some() && is_plain(&self.text))
    }

    /// The one host that is meant, if it is given and no glob.
    pub fn host(&self) -> Option<&HostName> {
        self.exact_host.as_ref()
    }

    /// Whether the container `name` on `host` matches.
    pub fn matches(&self, host: &str, name: &str) -> bool {
        self.name.matches(name) && self.host.as_ref().is_none_or(|pattern| pattern.matches(host))
    }
}

/// Whether a text has no special meaning as a glob.
fn is_plain(text: &str) -> bool {
    !text.contains(['*', '?', '[', ']', '{', '}', '\\', '!'])
}

/// Kinds of events: a family (`action`), a kind (`action.authorised`) or a glob of kinds (`action.*`, `*.failed`).
#[derive(Debug, Clone)]
pub struct KindPattern {
    families: Vec<Family>,
    /// None for every kind of the families.
    kinds: Option<NamePattern>,
}

/// A text that is no [`KindPattern`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a kind of event; the kinds are {known}; a family (action) or a glob (action.*) is valid, too")]
pub struct UnknownKind {
    text: String,
    known: String,
}

impl FromStr for KindPattern {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        // A whole family includes the kinds of later versions, which are unknown here.
        if let Ok(family) = text.strip_suffix(".*").unwrap_or(text).parse::<Family>() {
            return Ok(family.into());
        }
        if let Some(info) = KindInfo::find(text) {
            return Ok(info.into());
        }
        let glob = NamePatterns::new([text]).ok();
        let matches = |kind: &str| glob.as_ref().is_some_and(|glob| glob.contains(kind));
        let families: BTreeSet<Family> =
            Event::kinds().filter(|info| matches(&info.kind())).map(|info| info.family).collect();
        if families.is_empty() {
            let family: Option<Family> = text.split('.').next().and_then(|family| family.parse().ok());
            let near = Event::kinds().filter(|info| family.is_none_or(|family| info.family == family));
            let known: Vec<String> = near.map(KindInfo::kind).collect();
            return Err(UnknownKind { text: text.chars().take(120).collect(), known: known.join(", ") });
        }
        Ok(Self { families: families.into_iter().collect(), kinds: glob.map(NamePattern::Glob) })
    }
}

/// Every kind of the family.
impl From<Family> for KindPattern {
    fn from(family: Family) -> Self {
        Self { families: vec![family], kinds: None }
    }
}

/// Exactly this kind.
impl From<&KindInfo> for KindPattern {
    fn from(info: &KindInfo) -> Self {
        Self { families: vec![info.family], kinds: Some(NamePattern::Exact(info.kind())) }
    }
}

impl KindPattern {
    fn matches(&self, kind: &str) -> bool {
        self.kinds.as_ref().is_none_or(|pattern| pattern.matches(kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_container_pattern_is_refused() {
        for text in ["", "/", "h/", "/c", "a/b/c", "api-[", "{a"] {
            assert!(text.parse::<ContainerPattern>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_pattern_is_one_container_or_one_host_only_if_it_is_no_glob() {
        for (text, subject, host) in [
            ("docker-1/api", Some("docker-1/api"), Some("docker-1")),
            ("docker-1/api-*", None, Some("docker-1")),
            ("docker-?/api", None, None),
            ("api", None, None),
        ] {
            let pattern: ContainerPattern = text.parse().unwrap();
            assert_eq!(pattern.subject().map(|subject| subject.to_string()).as_deref(), subject, "{text}");
            assert_eq!(pattern.host().map(HostName::as_str), host, "{text}");
        }
    }

    #[test]
    fn an_exact_name_is_no_glob() {
        let pattern = ContainerPattern::from(&"api-*".parse().unwrap());
        assert!(pattern.matches("h", "api-*") && !pattern.matches("h", "api-1"));
    }

    #[test]
    fn an_unknown_kind_is_refused_with_the_known_ones() {
        for (text, says) in [
            ("action.autorised", "action.authorised, "),
            ("actions", "observation.seen, "),
            (
                "diagnosis.",
                "the kinds are diagnosis.reached, diagnosis.opinion_sought, diagnosis.opined, diagnosis.failed;",
            ),
            ("[", "observation.seen, "),
        ] {
            let error = text.parse::<KindPattern>().unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn a_whole_family_includes_kinds_of_later_versions() {
        for (text, matches) in [("action", true), ("action.*", true), ("action.d*", false), ("action.done", false)] {
            let pattern = text.parse::<KindPattern>();
            assert_eq!(pattern.is_ok_and(|pattern| pattern.matches("action.invented")), matches, "{text}");
        }
    }
}
