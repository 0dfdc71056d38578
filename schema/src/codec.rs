//! The codec between an event and the fields of a stream entry.
//!
//! A stream entry has few fields, because each costs time in Redis: `k` the kind and version (`sample.container.1`),
//! `s` the subject, `c` the id of the cause if there is one, and `e` the envelope as MessagePack with named fields:
//! `at`, `incident`, `trace`, `data`. An older version is upcast step by step ([`UPCASTS`]); a kind or version that only a
//! later program knows is read as raw data.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Action, Alert, Body, Diagnosis, Event, EventId, Family, IncidentId, NewEvent, Observation, Recorded, Sample,
    Subject, TraceParent,
};

/// Why an entry cannot be decoded, or an event not encoded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `k` is not `family.name.version`.
    #[error("the kind {0:?} is not family.name.version")]
    Kind(String),
    /// `s` or `c` is malformed.
    #[error("a field of the entry is malformed")]
    Field(#[from] crate::InvalidId),
    /// `e` is not the MessagePack of this kind.
    #[error("could not decode the data of {kind}")]
    Data {
        /// The kind as written.
        kind: String,
        /// The error of the decoder.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The event cannot be encoded as MessagePack.
    #[error("could not encode an event")]
    Encode(#[from] rmp_serde::encode::Error),
}

/// The fields of a stream entry except the cause, which the commit may have to fill in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// `k`.
    pub kind: String,
    /// `s`.
    pub subject: String,
    /// `e`.
    pub envelope: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    incident: Option<IncidentId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trace: Option<TraceParent>,
    data: T,
}

/// An upcast: converts the data of one kind from one version to the next.
#[derive(Debug, Clone, Copy)]
pub struct Upcast {
    /// The full kind, such as `sample.container`.
    pub kind: &'static str,
    /// The version that it converts from.
    pub from: u16,
    /// The conversion.
    pub lift: fn(Value) -> Value,
}

/// Every upcast; schema/README.md explains how one is added.
pub const UPCASTS: &[Upcast] = &[
    Upcast { kind: "action.authorised", from: 1, lift: gather_limits },
    // Version 2 has one more reason.
    Upcast { kind: "action.refused", from: 1, lift: std::convert::identity },
    // Version 2 has more symptoms, more evidence and more fields of a diagnosis; the data of version 1 mean the same.
    Upcast { kind: "observation.symptom_raised", from: 1, lift: std::convert::identity },
    Upcast { kind: "observation.symptom_worsened", from: 1, lift: std::convert::identity },
    Upcast { kind: "observation.symptom_cleared", from: 1, lift: std::convert::identity },
    Upcast { kind: "diagnosis.reached", from: 1, lift: std::convert::identity },
    Upcast { kind: "diagnosis.opinion_sought", from: 1, lift: add_empty_evidence },
    Upcast { kind: "diagnosis.failed", from: 1, lift: add_unknown_trouble },
    // Version 3 names the policy and the trigger, which the data of version 2 did not record.
    Upcast { kind: "diagnosis.reached", from: 2, lift: std::convert::identity },
    Upcast { kind: "action.authorised", from: 2, lift: name_target },
    Upcast { kind: "action.refused", from: 2, lift: std::convert::identity },
    Upcast { kind: "action.proposed", from: 1, lift: name_target },
];

/// Version 1 did not record what the model was shown.
fn add_empty_evidence(mut data: Value) -> Value {
    if let Some(data) = data.as_object_mut() {
        for (key, value) in [
            ("part", serde_json::json!("decides")),
            ("evidence", serde_json::json!([])),
            ("remedies", serde_json::json!([])),
            ("fingerprint", serde_json::json!("")),
        ] {
            data.insert(key.to_owned(), value);
        }
    }
    data
}

/// Version 1 did not classify failures.
fn add_unknown_trouble(mut data: Value) -> Value {
    if let Some(data) = data.as_object_mut() {
        data.insert("trouble".to_owned(), serde_json::json!("other"));
        data.insert("usage".to_owned(), Value::Null);
    }
    data
}

/// Version 1 recorded the attempt and the maximum; version 2 records every limit, in one object.
fn gather_limits(mut data: Value) -> Value {
    if let Some(data) = data.as_object_mut() {
        let (attempt, of) = (data.remove("attempt"), data.remove("of"));
        data.insert("limits".to_owned(), serde_json::json!({ "attempt": attempt, "of": of, "leeway": null }));
    }
    data
}

/// Until then the target of a remedy was a run.
fn name_target(mut data: Value) -> Value {
    if let Some(target) = data.get_mut("target") {
        *target = serde_json::json!({ "run": target.take() });
    }
    data
}

/// The entry's fields for `event`.
///
/// # Errors
/// If a value cannot be encoded as MessagePack, which does not happen with the types of this crate.
pub fn encode(event: &NewEvent) -> Result<Encoded, Error> {
    let envelope = Envelope { at: event.at, incident: event.incident.clone(), trace: event.trace, data: &event.event };
    Ok(Encoded {
        kind: format!("{}.{}", event.event.kind(), event.event.version()),
        subject: event.subject.to_string(),
        envelope: rmp_serde::to_vec_named(&envelope)?,
    })
}

/// The event of an entry.
///
/// # Errors
/// If a field is malformed, or the data do not match their kind and version.
pub fn decode(id: EventId, kind: &str, subject: &str, cause: Option<&str>, envelope: &[u8]) -> Result<Recorded, Error> {
    decode_with(UPCASTS, id, kind, subject, cause, envelope)
}

fn decode_with(
    upcasts: &[Upcast],
    id: EventId,
    kind_and_version: &str,
    subject: &str,
    cause: Option<&str>,
    envelope: &[u8],
) -> Result<Recorded, Error> {
    let (kind, version) = split(kind_and_version)?;
    let (family, name) = family_of(kind).ok_or_else(|| Error::Kind(kind_and_version.to_owned()))?;
    let data_error =
        |source: Box<dyn std::error::Error + Send + Sync>| Error::Data { kind: kind_and_version.to_owned(), source };

    let known = Event::kinds().find(|info| info.family == family && info.name == name);
    let (at, incident, trace, body) = match known {
        Some(info) if info.version == version => {
            let mut reader = rmp_serde::Deserializer::from_read_ref(envelope);
            let Envelope { at, incident, trace, data } =
                deserialize_known(family, name, &mut reader).map_err(|e| data_error(e.into()))?;
            (at, incident, trace, Body::Known(data))
        }
        _ => {
            let Envelope { at, incident, trace, mut data } =
                rmp_serde::from_slice::<Envelope<Value>>(envelope).map_err(|e| data_error(e.into()))?;
            let body = match known {
                Some(info) if version < info.version => {
                    for from in version..info.version {
                        let step = upcasts
                            .iter()
                            .find(|step| step.kind == kind && step.from == from)
                            .ok_or_else(|| data_error(format!("no upcast from version {from}").into()))?;
                        data = (step.lift)(data);
                    }
                    Body::Known(event_of(family, name, data).map_err(|e| data_error(e.into()))?)
                }
                _ => Body::Unknown { family, kind: kind.to_owned(), version, data },
            };
            (at, incident, trace, body)
        }
    };
    let cause = cause.map(str::parse).transpose()?;
    Ok(Recorded { id, subject: subject.parse::<Subject>()?, at, incident, cause, trace, body })
}

/// Decodes data of a known kind and current version from JSON.
///
/// # Errors
/// If the data do not match the kind.
pub fn event_of(family: Family, name: &str, data: Value) -> Result<Event, serde_json::Error> {
    family_decode(family, name, data).unwrap_or_else(|| Err(serde::de::Error::custom("unknown kind")))
}

/// The kind without its version, and the version.
fn split(kind: &str) -> Result<(&str, u16), Error> {
    kind.rsplit_once('.')
        .and_then(|(kind, version)| Some((kind, version.parse().ok()?)))
        .ok_or_else(|| Error::Kind(kind.to_owned()))
}

fn family_of(kind: &str) -> Option<(Family, &str)> {
    let (family, name) = kind.split_once('.')?;
    Some((family.parse().ok()?, name))
}

fn family_decode<'de, D: serde::Deserializer<'de>>(
    family: Family,
    name: &str,
    data: D,
) -> Option<Result<Event, D::Error>> {
    match family {
        Family::Observation => Observation::decode(name, data).map(|event| event.map(Event::Observation)),
        Family::Diagnosis => Diagnosis::decode(name, data).map(|event| event.map(Event::Diagnosis)),
        Family::Action => Action::decode(name, data).map(|event| event.map(Event::Action)),
        Family::Alert => Alert::decode(name, data).map(|event| event.map(Event::Alert)),
        Family::Sample => Sample::decode(name, data).map(|event| event.map(Event::Sample)),
    }
}

/// Decodes an envelope whose type of data is known only at run time.
fn deserialize_known<'de, D: serde::Deserializer<'de>>(
    family: Family,
    name: &str,
    reader: D,
) -> Result<Envelope<Event>, D::Error> {
    struct Data<'a>(Family, &'a str);

    impl<'de> serde::de::DeserializeSeed<'de> for Data<'_> {
        type Value = Event;
        fn deserialize<D: serde::Deserializer<'de>>(self, data: D) -> Result<Event, D::Error> {
            family_decode(self.0, self.1, data).unwrap_or_else(|| Err(serde::de::Error::custom("unknown kind")))
        }
    }

    struct Visitor<'a>(Family, &'a str);

    impl<'de> serde::de::Visitor<'de> for Visitor<'_> {
        type Value = Envelope<Event>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an envelope: a map of at, incident, trace and data")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let (mut at, mut incident, mut trace, mut data) = (None, None, None, None);
            while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                match &*key {
                    "at" => at = Some(map.next_value()?),
                    "incident" => incident = map.next_value()?,
                    "trace" => trace = map.next_value()?,
                    "data" => data = Some(map.next_value_seed(Data(self.0, self.1))?),
                    _ => drop(map.next_value::<serde::de::IgnoredAny>()?),
                }
            }
            Ok(Envelope {
                at: at.ok_or_else(|| serde::de::Error::missing_field("at"))?,
                incident,
                trace,
                data: data.ok_or_else(|| serde::de::Error::missing_field("data"))?,
            })
        }
    }

    reader.deserialize_map(Visitor(family, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Partition;

    const ID: EventId = EventId { partition: Partition(0), ms: 7, seq: 1 };

    fn packed(data: &Value) -> Vec<u8> {
        rmp_serde::to_vec_named(&serde_json::json!({ "at": "2026-01-01T00:00:00Z", "data": data })).unwrap()
    }

    #[test]
    fn a_kind_of_a_later_program_stays_raw() {
        let data = serde_json::json!({ "smell": "smoke" });
        for kind in ["observation.smelled.1", "observation.sampled.9"] {
            let read = decode(ID, kind, "h/c", None, &packed(&data)).unwrap();
            assert_eq!(read.event(), None);
            assert_eq!((format!("{}.{}", read.kind(), read.version()), read.data()), (kind.to_owned(), data.clone()));
        }
    }

    #[test]
    fn a_malformed_entry_is_an_error_that_names_the_field() {
        let check = |kind: &str, subject: &str, cause: Option<&str>, envelope: &[u8], says: &str| {
            let error = decode(ID, kind, subject, cause, envelope).unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
        };
        let good = packed(&serde_json::json!({ "by": "me" }));
        check("sampled", "h/c", None, &good, "family.name.version");
        check("observation.sampled", "h/c", None, &good, "family.name.version");
        check("nonsense.sampled.1", "h/c", None, &good, "family.name.version");
        check("action.resumed.1", "h/c/d", None, &good, "malformed");
        check("action.resumed.1", "h", Some("x"), &good, "malformed");
        check("action.resumed.1", "h", None, b"\xff\x00", "could not decode the data of action.resumed.1");
        check("action.resumed.1", "h", None, &packed(&serde_json::json!({})), "could not decode");
        check("action.resumed.0", "h", None, &good, "could not decode");
    }

    #[test]
    fn an_old_version_is_upcast_step_by_step() {
        const STEPS: &[Upcast] = &[Upcast {
            kind: "action.resumed",
            from: 0,
            lift: |mut data| {
                let who = data.as_object_mut().and_then(|map| map.remove("user")).unwrap_or_default();
                data["by"] = who;
                data
            },
        }];
        let old = packed(&serde_json::json!({ "user": "me" }));
        let read = decode_with(STEPS, ID, "action.resumed.0", "h", None, &old).unwrap();
        assert_eq!(read.event(), Some(&crate::action::Resumed { by: "me".into() }.into()));
        assert_eq!(read.version(), 1);
    }

    #[test]
    fn an_unknown_field_is_ignored() {
        let data = serde_json::json!({ "by": "me", "mood": "good" });
        let read = decode(ID, "action.resumed.1", "h", Some("0.3-0"), &packed(&data)).unwrap();
        assert_eq!(read.event(), Some(&crate::action::Resumed { by: "me".into() }.into()));
        assert_eq!(read.cause.map(|id| id.to_string()).as_deref(), Some("0.3-0"));
    }
}
