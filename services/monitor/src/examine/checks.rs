//! What did the health check say lately?

use bollard::models::ContainerInspectResponse;
use hemostat_schema::examination::Check;

/// So many runs of it, as Docker keeps no more.
const CHECKS: usize = 5;

/// The last runs of the health check, oldest first, as they were printed: secrets and all.
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
    let first = checks.len().saturating_sub(CHECKS);
    checks.into_iter().skip(first).collect()
}
