//! The labels of a stage's containers.

/// The run to which a container belongs.
pub const RUN_LABEL: &str = "hemostat.stage";

/// The process that removes the container.
pub(super) const OWNER_LABEL: &str = "hemostat.stage.owner";
