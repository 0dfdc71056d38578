//! What goes over HTTP: query's own types, so that a change of the log's vocabulary is not silently one of the API.

pub mod calibration;
pub mod container;
pub mod event;
pub mod incident;
pub mod parked;
pub mod treatment;
pub mod words;

pub use calibration::Calibration;
pub use container::{Container, ContainerDetail, Containers};
pub use event::{Event, Events};
pub use incident::{Incident, IncidentDetail, Incidents};
pub use parked::{Parked, ParkedList, Redriven};
