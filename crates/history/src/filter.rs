//! Which events are asked for: when, about whom, of which kind, of which incident.
//!
//! A filter looks at an entry as cheaply as it can: the time and the families narrow what is read at all, kind and subject
//! stand beside the envelope, and only what passes these is decoded.

use std::{collections::BTreeSet, str::FromStr};

use hemostat_core::policy::Names;
use hemostat_log::{Entry, Range, RawEntry};
use hemostat_schema::{Event, Family, HostName, IncidentId, Partition, Subject};

use crate::window::Window;

/// Which events are asked for; an event must meet all of it.
#[derive(Debug, Clone)]
pub struct Filter {
    /// When they were put on the log.
    pub window: Window,
    /// What kind they are of.
    pub kind: Option<Kinds>,
    /// On which Docker host.
    pub host: Option<HostName>,
    /// About which containers.
    pub container: Option<Whom>,
    /// Of which incident.
    pub incident: Option<IncidentId>,
}

impl Filter {
    /// Every event.
    pub const ALL: Self = Self { window: Window::ALL, kind: None, host: None, container: None, incident: None };

    /// The partitions in which they can be, of so many.
    pub fn partitions(&self, count: u16) -> Vec<Partition> {
        let host = self.host.as_ref().or_else(|| self.container.as_ref().and_then(Whom::host));
        match host {
            Some(host) => vec![Partition::of(host, count)],
            None => (0..count).map(Partition).collect(),
        }
    }

    /// The families of which they can be.
    pub fn families(&self) -> Vec<Family> {
        self.kind.as_ref().map_or(Family::ALL.to_vec(), |kinds| kinds.families.clone())
    }

    /// The part of the partition in which they are.
    pub fn range(&self, partition: Partition) -> Range {
        self.window.range(partition)
    }

    /// The entry, decoded, if it is asked for. One that cannot be read is given where its kind and subject are asked for:
    /// what it says is not known, but that it is there is.
    pub fn pick(&self, entry: &RawEntry) -> Option<Entry> {
        if !self.may_match(entry) {
            return None;
        }
        let entry = entry.decode();
        match (&self.incident, &entry.event) {
            (None, _) => Some(entry),
            (Some(wanted), Ok(event)) => (event.incident.as_ref() == Some(wanted)).then_some(entry),
            (Some(_), Err(_)) => None,
        }
    }

    /// Whether the entry may be asked for, without looking into its envelope.
    fn may_match(&self, entry: &RawEntry) -> bool {
        self.window.contains(entry.id)
            && self.kind.as_ref().is_none_or(|kinds| entry.kind().is_some_and(|kind| kinds.contain(kind)))
            && self.names(entry)
            && self.incident.as_ref().is_none_or(|incident| mentions(entry, incident.as_str()))
    }

    fn names(&self, entry: &RawEntry) -> bool {
        if self.host.is_none() && self.container.is_none() {
            return true;
        }
        let Some(subject) = entry.subject() else { return false };
        let (host, container) = match subject.split_once('/') {
            Some((host, container)) => (host, Some(container)),
            None => (subject, None),
        };
        self.host.as_ref().is_none_or(|wanted| wanted.as_str() == host)
            && self.container.as_ref().is_none_or(|whom| container.is_some_and(|name| whom.is(host, name)))
    }
}

/// Whether the text stands in the entry's envelope, where ids stand as they are written.
pub(crate) fn mentions(entry: &RawEntry, text: &str) -> bool {
    entry.field("e").is_some_and(|envelope| envelope.windows(text.len()).any(|part| part == text.as_bytes()))
}

/// Containers by name: `api-1` (on any host), `docker-1/api-1`, or globs in either part (`api-*`, `*/api-?`).
#[derive(Debug, Clone)]
pub struct Whom {
    text: String,
    exact: Option<HostName>,
    host: Option<Names>,
    name: Names,
}

/// A text that names no containers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a container's name, host/name, or a glob of one (api-*): {why}")]
pub struct NoName {
    text: String,
    why: String,
}

impl FromStr for Whom {
    type Err = NoName;

    fn from_str(text: &str) -> Result<Self, NoName> {
        let invalid =
            |why: &dyn std::fmt::Display| NoName { text: text.chars().take(120).collect(), why: why.to_string() };
        let (host, name) = match text.split_once('/') {
            Some((host, name)) => (Some(host), name),
            None => (None, text),
        };
        if name.is_empty() || name.contains('/') || host.is_some_and(str::is_empty) {
            return Err(invalid(&"there is nothing, or too much, around the slash"));
        }
        let glob = |part: &str| Names::new([part]).map_err(|error| invalid(error.kind()));
        Ok(Self {
            text: text.to_owned(),
            exact: host.filter(|host| is_plain(host)).and_then(|host| host.parse().ok()),
            host: host.map(glob).transpose()?,
            name: glob(name)?,
        })
    }
}

impl Whom {
    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The one container that is meant, where it is named in full.
    pub fn subject(&self) -> Option<Subject> {
        self.text.parse().ok().filter(|subject: &Subject| subject.container.is_some() && is_plain(&self.text))
    }

    /// The one host that is meant, where it is named.
    pub fn host(&self) -> Option<&HostName> {
        self.exact.as_ref()
    }

    /// Whether this container is meant.
    pub fn is(&self, host: &str, name: &str) -> bool {
        self.name.contains(name) && self.host.as_ref().is_none_or(|hosts| hosts.contains(host))
    }
}

/// Whether a text means only itself as a glob.
fn is_plain(text: &str) -> bool {
    !text.contains(['*', '?', '[', ']', '{', '}', '\\', '!'])
}

/// Kinds of events: a family (`action`), a kind (`action.authorised`) or a glob of kinds (`action.*`, `*.failed`).
#[derive(Debug, Clone)]
pub struct Kinds {
    families: Vec<Family>,
    names: Option<Names>,
}

/// A text that names no kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no kind of event; there are {known}; a family (action) or a glob (action.*) may be given, too")]
pub struct NoKind {
    text: String,
    known: String,
}

impl FromStr for Kinds {
    type Err = NoKind;

    fn from_str(text: &str) -> Result<Self, NoKind> {
        if let Ok(family) = text.parse() {
            return Ok(Self { families: vec![family], names: None });
        }
        // Kinds of a later version are not known here; a whole family is still meant with all of them.
        let whole = text.strip_suffix(".*").and_then(|family| family.parse().ok());
        if let Some(family) = whole {
            return Ok(Self { families: vec![family], names: None });
        }
        let names = Names::new([text]).ok();
        let is_meant = |kind: &str| names.as_ref().is_some_and(|names| names.contains(kind));
        let families: BTreeSet<Family> =
            Event::kinds().filter(|info| is_meant(&info.kind())).map(|info| info.family).collect();
        if families.is_empty() {
            let family: Option<Family> = text.split('.').next().and_then(|family| family.parse().ok());
            let near = Event::kinds().filter(|info| family.is_none_or(|family| info.family == family));
            let known: Vec<String> = near.map(|info| info.kind()).collect();
            return Err(NoKind { text: text.chars().take(120).collect(), known: known.join(", ") });
        }
        Ok(Self { families: families.into_iter().collect(), names })
    }
}

impl Kinds {
    /// Whether an entry of this kind and version (`action.authorised.1`) is meant.
    fn contain(&self, kind_and_version: &str) -> bool {
        let kind = kind_and_version.rsplit_once('.').map_or(kind_and_version, |(kind, _)| kind);
        self.names.as_ref().is_none_or(|names| names.contains(kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_names_nobody_is_refused() {
        for text in ["", "/", "h/", "/c", "a/b/c", "api-[", "{a"] {
            assert!(text.parse::<Whom>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_what_is_named_in_full_is_one_container_or_one_host() {
        for (text, subject, host) in [
            ("docker-1/api", Some("docker-1/api"), Some("docker-1")),
            ("docker-1/api-*", None, Some("docker-1")),
            ("docker-?/api", None, None),
            ("api", None, None),
        ] {
            let whom: Whom = text.parse().unwrap();
            assert_eq!(whom.subject().map(|subject| subject.to_string()).as_deref(), subject, "{text}");
            assert_eq!(whom.host().map(HostName::as_str), host, "{text}");
        }
    }

    #[test]
    fn a_kind_that_is_none_is_refused_with_those_that_there_are() {
        for (text, says) in [
            ("action.autorised", "action.authorised, "),
            ("actions", "observation.seen, "),
            (
                "diagnosis.",
                "there are diagnosis.reached, diagnosis.opinion_sought, diagnosis.opined, diagnosis.failed;",
            ),
            ("[", "observation.seen, "),
        ] {
            let error = text.parse::<Kinds>().unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn a_whole_family_takes_in_kinds_that_only_a_later_program_knows() {
        for (text, takes) in [("action", true), ("action.*", true), ("action.d*", false)] {
            assert_eq!(text.parse::<Kinds>().unwrap().contain("action.invented.1"), takes, "{text}");
        }
    }
}
