//! The monitor: it watches Docker engines, each by itself, and puts what it sees on the log.
//!
//! ```text
//!  engine ──► follow (event stream) ──┐
//!     ├────► inspect ─────────────────┤
//!     └────► stats ──┐                ├──► watch ──► shift ──► log
//!                    ├──► sweep ──────┤      └─ core::observe
//!  kernel ─► cgroup ─┘                │
//!     └────► disk ────────────────────┘
//! ```
//!
//! When somebody falls ill, [`examine`] finds out what a restart would destroy.
//!
//! [`engine`] asks Docker; [`event`], [`facts`] and [`samples`] put its answers into our own words; [`sweep`] reads
//! counters, by the engine or by [`cgroup`], and [`disk`] measures; [`ending`] tells who ended a run; [`watch`] adds
//! everything up; [`shift`] keeps it going, and [`kept`] lets another process go on from it.

pub mod asks;
pub mod cgroup;
pub mod disk;
pub mod ending;
pub mod engine;
pub mod event;
pub mod examine;
pub mod facts;
pub mod follow;
pub mod kept;
pub mod samples;
pub mod shift;
pub mod sweep;
pub mod watch;

use std::sync::Arc;

use hemostat_docker::{Link, discover::Machine};
use hemostat_redact::Redactor;
use hemostat_runtime::{Context, Task};
use hemostat_settings::Config;
use tracing::info;

use crate::{cgroup::Roots, engine::Docker, shift::Settings};

/// A monitor for each host.
///
/// # Errors
/// When the configuration of a host's engine cannot work. An engine that cannot be reached is told on the log and tried
/// again.
pub fn tasks(ctx: &Context, config: &Config) -> anyhow::Result<Vec<Task>> {
    let monitor = &config.monitor;
    let policy = Arc::new(config.policy());
    let redactor = Redactor::new(monitor.redact.clone());
    let roots = Roots { cgroup: monitor.cgroup_root.clone(), proc: monitor.proc_root.clone() };
    let mut tasks = vec![];
    for host in hemostat_docker::hosts(config, &Machine)? {
        info!(host = %host.name, "the engine of {} is {}, from {}", host.name, host.endpoint, host.why);
        let docker = Docker::over(Link::new(host.endpoint, host.limit));
        let settings = Settings {
            host: host.name,
            interval: monitor.interval,
            sampling: sweep::Settings { source: monitor.source, roots: roots.clone() },
            disk_every: monitor.disk_every,
            policy: policy.clone(),
            examinations: monitor.examine.then(|| examine::Settings {
                lines: monitor.log_lines,
                bytes: monitor.log_bytes,
                redactor: redactor.clone(),
                again: monitor.examine_again,
            }),
            redactor: redactor.clone(),
        };
        let name = format!("monitor/{}", settings.host);
        tasks.push(Task::new(name, shift::run(ctx.clone(), Arc::new(docker), settings)));
    }
    Ok(tasks)
}
