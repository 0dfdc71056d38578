//! What a decision about a remedy is based on.

use hemostat_schema::{Subject, Timestamp};

use super::state::{Shared, State};
use crate::policy::Policy;

/// One container, its host and the policy, at one instant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) state: &'a State,
    pub(super) shared: &'a Shared,
    pub(super) subject: &'a Subject,
    pub(super) policy: &'a Policy,
    pub(super) now: Timestamp,
}
