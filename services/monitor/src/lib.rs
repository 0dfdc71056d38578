//! The monitor: it watches one Docker engine and puts what it sees on the log.
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
mod wakes;
pub mod watch;

use std::sync::Arc;

use hemostat_core::redact::Redactor;
use hemostat_runtime::{Config, Context, Task};

use crate::{cgroup::Roots, engine::Docker, shift::Settings};

/// The monitor of this host.
///
/// # Errors
/// None so far; an engine that cannot be reached is told on the log and tried again.
pub fn tasks(ctx: &Context, config: &Config) -> anyhow::Result<Vec<Task>> {
    let docker = Docker::new(config.docker.host.clone(), config.docker.timeout);
    let host = config.host_name();
    let monitor = &config.monitor;
    let redactor = Redactor::new(monitor.redact.clone());
    let roots = Roots { cgroup: monitor.cgroup_root.clone(), proc: monitor.proc_root.clone() };
    let settings = Settings {
        host: host.clone(),
        interval: monitor.interval,
        sampling: sweep::Settings { source: monitor.source, roots },
        disk_every: monitor.disk_every,
        policy: Arc::new(config.policy()),
        examinations: monitor.examine.then(|| examine::Settings {
            lines: monitor.log_lines,
            bytes: monitor.log_bytes,
            redactor: redactor.clone(),
        }),
        redactor,
    };
    Ok(vec![Task::new(format!("monitor/{host}"), shift::run(ctx.clone(), Arc::new(docker), settings))])
}
