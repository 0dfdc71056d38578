//! The last runs of a container's health check.

use hemostat_docker::models::ContainerInspectResponse;
use hemostat_schema::examination::Check;

/// Maximum health check runs reported; Docker keeps no more.
const MAX_CHECKS: usize = 5;

/// The last runs, oldest first, not redacted yet.
pub(super) fn read(inspect: &ContainerInspectResponse) -> Vec<Check> {
    let log = inspect.state.as_ref().and_then(|state| state.health.as_ref()?.log.as_ref());
    let checks: Vec<Check> = log
        .into_iter()
        .flatten()
        .filter_map(|check| {
            Some(Check {
                at: check.start.as_deref()?.parse().ok()?,
                code: check.exit_code.unwrap_or(-1),
                output: check.output.clone().unwrap_or_default(),
            })
        })
        .collect();
    let first = checks.len().saturating_sub(MAX_CHECKS);
    checks.into_iter().skip(first).collect()
}
