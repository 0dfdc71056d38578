//! Every default of the policy, as one table. The settings take their defaults from here; what a field means stands at
//! the field.

use std::collections::BTreeSet;

use hemostat_schema::{
    Confidence, Percent, Span,
    action::{Mode, RemedyKind},
};

use super::{
    AlertPolicy, AlertScope, Backoff, NamePatterns, Opinion, Policy, container::ContainerPolicy,
    sensitivity::Sensitivity,
};

impl Default for Policy {
    fn default() -> Self {
        Self {
            container_defaults: ContainerPolicy::default(),
            sensitivity: Sensitivity::default(),
            exclude: NamePatterns::default(), // none
            only: NamePatterns::default(),    // no restriction
            dry_run: false,
            min_confidence: Confidence::clamped(0.7),
            stale_after: minutes(10),
            storm_threshold: 10, // containers
            backoff: Backoff::default(),
            attempt_window: hours(1),
            breaker_hold: hours(1),
            stabilisation: seconds(60),
            clear_after: seconds(10),
            loop_restarts: 5, // restarts
            loop_within: minutes(10),
            sample_every: seconds(30),
            examine_within: seconds(5),
            opinion: Opinion::Rules,
            alerts: AlertPolicy::default(),
        }
    }
}

impl Default for ContainerPolicy {
    fn default() -> Self {
        Self {
            enabled: true,
            mode: Mode::Auto,
            remedies: BTreeSet::from([RemedyKind::Restart, RemedyKind::Start]),
            cooldown: hours(1),
            max_attempts: 3,    // attempts
            stop_timeout: None, // the container's own
            cpu: percent(85.0),
            memory: percent(80.0),
            sustained: seconds(60),
            unhealthy: Span::ZERO,
            grace: seconds(30),
            maintenance: false,
            faults: vec![],
        }
    }
}

impl Default for Sensitivity {
    fn default() -> Self {
        Self {
            throttled: percent(25.0), // of the scheduler's periods
            pressure: percent(40.0),  // of the time
            pids: percent(90.0),      // of the limit
            leak_over: minutes(15),
            leak_within: hours(1),
            flaps: 6, // flips of the health check
            flaps_within: minutes(10),
            disk: percent(90.0), // of the disk
            adaptive: true,
        }
    }
}

impl Default for AlertPolicy {
    fn default() -> Self {
        Self { enabled: true, scope: AlertScope::Incidents }
    }
}

/// As the kubelet's.
impl Default for Backoff {
    fn default() -> Self {
        Self { first: seconds(10), factor: 2, cap: minutes(5) }
    }
}

fn percent(percent: f64) -> Percent {
    Percent::clamped(percent)
}

const fn seconds(seconds: u64) -> Span {
    Span::from_secs(seconds)
}

const fn minutes(minutes: u64) -> Span {
    seconds(60 * minutes)
}

const fn hours(hours: u64) -> Span {
    minutes(60 * hours)
}
