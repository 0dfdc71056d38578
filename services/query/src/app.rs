//! The state that the handlers share.

use std::sync::Arc;

use hemostat_core::Policy;
use hemostat_history::History;
use hemostat_log::Log;

/// The state that the handlers share.
#[derive(Debug, Clone)]
pub struct App {
    /// The log, for read models and dead letters.
    pub log: Arc<dyn Log>,
    /// Log and archive, for events.
    pub history: History,
    /// The policy that containers are shown with.
    pub policy: Arc<Policy>,
}
