//! The event schema of HemoStat: every event that can be on the log.
//!
//! Five families of events ([`Observation`], [`Diagnosis`], [`Action`], [`Alert`], [`Sample`]), the ids and units that they
//! are made of, and the codec between events and stream entries. Nothing here is async, reads a clock or decides anything:
//! decisions are in `hemostat-core`, storage is in `hemostat-log`.

pub mod action;
pub mod alert;
pub mod codec;
pub mod container;
mod decided;
mod decided_on;
pub mod diagnosis;
mod event;
pub mod examination;
mod id;
mod kinds;
mod measurement;
pub mod observation;
mod operator;
mod policy_hash;
mod recorded;
mod remedy;
pub mod sample;
mod symptom;
mod text;
mod trace;
mod unit;
mod words;

pub use action::Action;
pub use alert::Alert;
pub use decided::Basis;
pub use decided_on::DecidedOn;
pub use diagnosis::Diagnosis;
pub use event::{Event, Family, KindInfo, advances_version};
pub use id::{ContainerId, ContainerName, EventId, HostName, IncidentId, InvalidId, Partition, Subject, fnv1a};
pub use jiff::Timestamp;
pub use measurement::Measurement;
pub use observation::Observation;
pub use operator::{Identity, Operator};
pub use policy_hash::PolicyHash;
pub use recorded::{Body, Cause, NewEvent, Recorded};
pub use sample::Sample;
pub use text::{InvalidSpan, InvalidSwitch, RIGHT_SWITCH, parse_switch};
pub use trace::TraceParent;
pub use unit::{ByteCount, Confidence, OutOfRange, Percent, Span};
