//! The monitor: observes each host's containers through its Docker engine, and appends events to the log.
//!
//! ```text
//!  Docker engine ─┬─► event_stream ──┐
//!                 ├─► inspect_queue ─┤           ┌── core::observe
//!                 ├─► sweep ─────────┼─ inputs ─► host_state ─ changes ─► host_monitor ─► log
//!  kernel files ──┴─► disk ──────────┘                                 (events, checkpoint)
//! ```
//!
//! - [`host_monitor`] is the loop of one host, under the lease of its producer; [`engine_tasks`] calls the engine for it in
//!   background tasks, which answer with [`input`]s.
//! - [`host_state`] decides what was observed. It does no I/O. [`exit_cause`] infers who ended a run.
//! - [`checkpoint`] stores the state, so that another process can continue.
//! - [`sweep`] samples resource counters, from the kernel's files ([`cgroup`]) or from Docker's stats API; [`disk`] measures
//!   disk usage.
//! - [`examine`] collects evidence about a container with symptoms, before a restart destroys it.
//! - [`event`], [`facts`] and [`samples`] parse Docker's answers.

pub mod cgroup;
pub mod checkpoint;
pub mod disk;
pub mod engine;
pub mod engine_tasks;
pub mod event;
pub mod event_stream;
pub mod examine;
pub mod exit_cause;
pub mod facts;
pub mod host_monitor;
pub mod host_state;
pub mod input;
pub mod inspect_queue;
pub mod samples;
pub mod settings;
pub mod sweep;

use std::sync::Arc;

use hemostat_core::policy::Policy;
use hemostat_docker::{Docker, Host, Link};
use hemostat_redact::Redactor;
use hemostat_runtime::{Context, Task};
use hemostat_settings::Monitor;
use tokio::sync::watch;
use tracing::info;

use crate::{cgroup::Roots, settings::Settings};

/// One monitor for each host. An engine that cannot be reached is reported on the log and retried.
pub fn tasks(ctx: &Context, monitor: &Monitor, hosts: Vec<Host>, policy: &watch::Receiver<Arc<Policy>>) -> Vec<Task> {
    let redactor = Redactor::new(monitor.redact.clone());
    let roots = Roots { cgroup: monitor.cgroup_root.clone(), proc: monitor.proc_root.clone() };
    let mut tasks = vec![];
    for host in hosts {
        info!(host = %host.name, "the engine of {} is {}, from {}", host.name, host.endpoint, host.why);
        let docker = Docker::over(Link::new(host.endpoint, host.timeout));
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
        tasks.push(Task::new(name, host_monitor::run(ctx.clone(), Arc::new(docker), settings)));
    }
    tasks
}
