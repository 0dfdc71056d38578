//! Ids of events, containers, hosts and incidents. Each is parsed at the boundary and valid afterwards.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
#[cfg(feature = "json-schema")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A text that is not a valid id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct InvalidId {
    /// The text, shortened.
    pub text: String,
    /// What was expected, with an article: `an event id such as 0.1732391234567-3`.
    pub expected: &'static str,
}

impl InvalidId {
    pub(crate) fn new(text: &str, expected: &'static str) -> Self {
        Self { text: text.chars().take(120).collect(), expected }
    }
}

macro_rules! as_text {
    ($name:ident, $pattern:literal) => {
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
            }
        }
        #[cfg(feature = "json-schema")]
        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
}

pub(crate) use as_text;

/// A partition of the log, with a total order of its events. A Docker host belongs to exactly one, by hash of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
#[serde(transparent)]
pub struct Partition(pub u16);

impl Partition {
    /// The partition of `host` among `count`: [`fnv1a`] of the name, modulo `count`. Must never change: the log depends on it.
    pub fn of(host: &HostName, count: u16) -> Self {
        Self(u16::try_from(fnv1a(host.as_str().as_bytes()) % u64::from(count.max(1))).unwrap_or(0))
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// 64-bit FNV-1a (Fowler, Noll, Vo; draft-eastlake-fnv): the same in every build and on every machine.
pub fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The id of an event: its partition and its position in the total order of that partition, across all families.
///
/// The commit assigns it from the partition's own clock, so it is unique, and a cause is always smaller than its effect.
/// Written `partition.milliseconds-sequence`, such as `0.1732391234567-3`; the part after the dot is the stream entry id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId {
    /// The partition.
    pub partition: Partition,
    /// Milliseconds since the Unix epoch by the partition's clock.
    pub ms: u64,
    /// Counts the events of one millisecond.
    pub seq: u64,
}

impl EventId {
    /// Before every event of `partition`.
    pub const fn start(partition: Partition) -> Self {
        Self { partition, ms: 0, seq: 0 }
    }

    /// After every event of `partition`.
    pub const fn end(partition: Partition) -> Self {
        Self { partition, ms: u64::MAX, seq: u64::MAX }
    }

    /// The first id that could be assigned at `at`; for ranges by time.
    pub fn at(partition: Partition, at: Timestamp) -> Self {
        Self { partition, ms: u64::try_from(at.as_millisecond()).unwrap_or(0), seq: 0 }
    }

    /// When the event was appended to the log, by the partition's clock.
    pub fn appended_at(self) -> Timestamp {
        let ms = i64::try_from(self.ms).unwrap_or(i64::MAX);
        Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX)
    }

    /// The id of the Redis stream entry: `milliseconds-sequence`.
    pub fn entry(&self) -> String {
        format!("{}-{}", self.ms, self.seq)
    }

    /// From a Redis stream entry id.
    ///
    /// # Errors
    /// If `entry` is not two decimal numbers joined by a dash.
    pub fn from_entry(partition: Partition, entry: &str) -> Result<Self, InvalidId> {
        let parse = || {
            let (ms, seq) = entry.split_once('-')?;
            Some(Self { partition, ms: ms.parse().ok()?, seq: seq.parse().ok()? })
        };
        parse().ok_or_else(|| InvalidId::new(entry, "a stream entry id such as 1732391234567-3"))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}-{}", self.partition, self.ms, self.seq)
    }
}

impl FromStr for EventId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId::new(text, "an event id such as 0.1732391234567-3");
        let (partition, entry) = text.split_once('.').ok_or_else(invalid)?;
        let partition = Partition(partition.parse().map_err(|_| invalid())?);
        Self::from_entry(partition, entry).map_err(|_| invalid())
    }
}

as_text!(EventId, r"^\d+\.\d+-\d+$");

/// The name of a Docker host in HemoStat: 1 to 128 visible characters, no slash.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostName(String);

/// A container's name on its host, without Docker's leading slash: 1 to 255 visible characters, no slash.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContainerName(String);

/// Docker's full id of one container: 64 hexadecimal digits (12 or more are taken).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContainerId(String);

macro_rules! name {
    ($name:ident, $expected:literal, $pattern:literal, |$text:ident| $valid:expr) => {
        impl $name {
            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str($text: &str) -> Result<Self, InvalidId> {
                if $valid { Ok(Self($text.to_owned())) } else { Err(InvalidId::new($text, $expected)) }
            }
        }
        as_text!($name, $pattern);
    };
}

fn visible(text: &str, max: usize) -> bool {
    !text.is_empty() && text.len() <= max && text.chars().all(|c| !c.is_control() && !c.is_whitespace() && c != '/')
}

name!(HostName, "a host name: 1 to 128 visible characters without a slash", r"^[^/\s]{1,128}$", |text| visible(
    text, 128
));
name!(ContainerName, "a container name: 1 to 255 visible characters without a slash", r"^[^/\s]{1,255}$", |text| {
    visible(text, 255)
});
name!(ContainerId, "a container id: 12 to 64 hexadecimal digits", r"^[0-9a-f]{12,64}$", |text| {
    (12..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
});

impl HostName {
    /// In place of a host, for events about HemoStat itself. The settings refuse it as the name of a host.
    pub const SYSTEM: &str = "@hemostat";

    /// Whether it stands for HemoStat itself.
    pub fn is_system(&self) -> bool {
        self.0 == Self::SYSTEM
    }
}

impl ContainerId {
    /// A constant number of the container, evenly distributed over containers.
    pub fn spread(&self) -> u64 {
        fnv1a(self.0.as_bytes())
    }

    /// The first twelve digits, as `docker ps` shows them.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

/// Whom an event is about: a container of a host, the host itself, or HemoStat. Written `host/container`, `host` or
/// `@hemostat`.
///
/// A container is known by its name, not its Docker id: a recreated `api-1` continues the history of `api-1`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subject {
    /// The Docker host; [`HostName::SYSTEM`] for HemoStat itself.
    pub host: HostName,
    /// The container, or none for the host as a whole.
    pub container: Option<ContainerName>,
}

impl Subject {
    /// A container on a host.
    pub fn container(host: HostName, container: ContainerName) -> Self {
        Self { host, container: Some(container) }
    }

    /// The host itself.
    pub fn host(host: HostName) -> Self {
        Self { host, container: None }
    }

    /// HemoStat itself. Each partition has a history of its own about it.
    pub fn system() -> Self {
        Self::host(HostName(HostName::SYSTEM.to_owned()))
    }

    /// Whether it is HemoStat itself.
    pub fn is_system(&self) -> bool {
        self.container.is_none() && self.host.is_system()
    }

    /// The container's name, or the host's for the host itself: what a person would call it.
    pub fn short(&self) -> &str {
        self.container.as_ref().map_or(self.host.as_str(), ContainerName::as_str)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.container {
            Some(container) => write!(f, "{}/{container}", self.host),
            None => self.host.fmt(f),
        }
    }
}

impl FromStr for Subject {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = |_| InvalidId::new(text, "a container's key such as my-host/api-1");
        match text.split_once('/') {
            Some((host, container)) => {
                Ok(Self::container(host.parse().map_err(invalid)?, container.parse().map_err(invalid)?))
            }
            None => Ok(Self::host(text.parse().map_err(invalid)?)),
        }
    }
}

as_text!(Subject, r"^[^/\s]+(/[^/\s]+)?$");

/// One incident of one container, from its first symptom until its last has cleared.
///
/// Derived from the subject and the time of the first symptom, so that deciding the same thing twice names the same
/// incident (idempotent): 48 bits of milliseconds and 32 bits of the subject's hash, in Crockford's base 32. Sorts by time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IncidentId(String);

impl IncidentId {
    /// The incident of `subject` that began at `at`.
    pub fn begun(subject: &Subject, at: Timestamp) -> Self {
        const CROCKFORD: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
        let ms = u128::from(u64::try_from(at.as_millisecond()).unwrap_or(0) & 0xffff_ffff_ffff);
        let hash = u128::from(fnv1a(subject.to_string().as_bytes()) & 0xffff_ffff);
        let bits = (ms << 32) | hash;
        let digit = |n: u32| char::from(CROCKFORD[usize::try_from((bits >> (n * 5)) & 31).unwrap_or(0)]);
        Self(std::iter::once("inc-".to_owned()).chain((0..16).rev().map(|n| digit(n).to_string())).collect())
    }
}

name!(IncidentId, "an incident id such as inc-01jd9k3q2v8m4t7z", "^inc-[0-9a-z]{16}$", |text| {
    let digits = text.strip_prefix("inc-").unwrap_or_default();
    digits.len() == 16 && digits.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase())
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_parsed_as_they_are_written() {
        for text in ["0.0-0", "3.1732391234567-42"] {
            assert_eq!(text.parse::<EventId>().unwrap().to_string(), text);
        }
        for text in ["my-host/api-1", "my-host", "@hemostat"] {
            let subject: Subject = text.parse().unwrap();
            assert_eq!(subject.to_string(), text);
            assert_eq!(subject.is_system(), subject == Subject::system(), "{text}");
        }
        assert_eq!(Subject::system().to_string(), "@hemostat");
        let incident =
            IncidentId::begun(&"h/c".parse().unwrap(), Timestamp::from_millisecond(1_732_391_234_567).unwrap());
        assert_eq!(incident.to_string().parse::<IncidentId>().unwrap(), incident);
    }

    #[test]
    fn an_event_id_says_when_the_event_was_appended() {
        let appended = |ms| EventId { ms, ..EventId::start(Partition(0)) }.appended_at();
        assert_eq!(appended(5), Timestamp::from_millisecond(5).unwrap());
        assert_eq!(appended(u64::MAX), Timestamp::MAX);
    }

    #[test]
    fn a_malformed_id_is_refused() {
        for text in ["", "1-2", "0.1", "0.a-b", "x.1-2", "0.1-2-3", "0.-1-2"] {
            assert!(text.parse::<EventId>().is_err(), "{text}");
        }
        for text in ["", "/", "h/", "/c", "h/c/d", "h h/c", "h/\n"] {
            assert!(text.parse::<Subject>().is_err(), "{text}");
        }
        for text in ["", "abc", "g123456789012", "ABCDEF123456"] {
            assert!(text.parse::<ContainerId>().is_err(), "{text}");
        }
        assert!("inc-../../etc".parse::<IncidentId>().is_err());
    }

    #[test]
    fn an_incident_id_depends_on_subject_and_time() {
        let at = |ms| Timestamp::from_millisecond(ms).unwrap();
        let (a, b) = ("h/a".parse().unwrap(), "h/b".parse().unwrap());
        assert_eq!(IncidentId::begun(&a, at(5)), IncidentId::begun(&a, at(5)));
        assert_ne!(IncidentId::begun(&a, at(5)), IncidentId::begun(&b, at(5)));
        assert!(IncidentId::begun(&a, at(5)) < IncidentId::begun(&a, at(1_732_391_234_567)));
    }

    #[test]
    fn a_hosts_partition_never_changes() {
        let host: HostName = "docker-1".parse().unwrap();
        assert_eq!(Partition::of(&host, 1), Partition(0));
        assert_eq!(Partition::of(&host, 64), Partition(3));
    }
}
