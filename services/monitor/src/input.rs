//! What the monitor's background tasks send to it.

use hemostat_docker::{EngineInfo, Error};
use hemostat_schema::{ContainerId, NewEvent};

use crate::{disk::DiskMeasurement, event::DockerEvent, facts::Inspected, host_state::InspectRequest};

/// A message to the monitor of a host.
#[derive(Debug)]
pub enum Input {
    /// The engine answers and its event stream is open. Events before that may have been missed.
    EngineFound(Box<EngineInfo>),
    /// The engine does not answer.
    EngineLost(Error),
    /// An event of the engine.
    EngineEvent(DockerEvent),
    /// The full list of containers.
    Listed {
        /// Their ids; `None` if the engine did not answer.
        ids: Option<Vec<ContainerId>>,
        /// The state's sequence number when the list was requested.
        sequence: u64,
    },
    /// The delay of this request is over.
    InspectionDue(InspectRequest),
    /// The answer to this request; `None` if the container is gone or the engine did not answer.
    Inspected(InspectRequest, Option<Box<Inspected>>),
    /// The result of an examination.
    Examined(Box<NewEvent>),
    /// A measurement of disks.
    DiskMeasured(Box<DiskMeasurement>),
}
