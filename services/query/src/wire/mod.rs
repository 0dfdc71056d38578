//! The types of the API's responses. They are separate from those of the log, so that a change there does not silently
//! change the API. Events are the exception: all programs get them in one form, [`hemostat_history::EventJson`].

pub mod calibration;
pub mod container;
pub mod dead_letter;
pub mod enums;
pub mod events;
pub mod incident;
pub mod metrics;
pub mod treatment;

pub use calibration::Calibration;
pub use container::{Container, ContainerDetail, Containers};
pub use dead_letter::{DeadLetter, DeadLetters};
pub use events::Events;
pub use hemostat_history::EventJson as Event;
pub use incident::{Incident, IncidentDetail, Incidents};
pub use metrics::{ContainerMetrics, IncidentSample, IncidentSamples, MetricsBucket};
