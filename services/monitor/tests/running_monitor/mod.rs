//! A monitor that ends with the test, and a proxy between it and the engine.

#![allow(dead_code, clippy::unwrap_used, reason = "test support, of which each file uses its part")]

use std::{path::PathBuf, sync::Arc, time::Duration};

use hemostat_core::policy::Policy;
use hemostat_monitor::{engine::Engine, examine, host_monitor, settings::Settings, sweep};
use hemostat_redact::Redactor;
use hemostat_runtime::Context;
use hemostat_settings::SampleSource;
use tokio::{
    net::{UnixListener, UnixStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use hemostat_tests::in_process::host;

/// A monitor that ends with the test.
#[derive(Debug)]
pub struct RunningMonitor(JoinHandle<anyhow::Result<()>>);

impl RunningMonitor {
    /// Monitors this engine.
    pub fn start(ctx: &Context, engine: Arc<dyn Engine>, policy: Policy) -> Self {
        Self::measuring(ctx, engine, policy, Duration::ZERO)
    }

    /// The same, and measures disks this often.
    pub fn measuring(ctx: &Context, engine: Arc<dyn Engine>, policy: Policy, disk_every: Duration) -> Self {
        Self::with(ctx, engine, policy, |settings| settings.disk_every = disk_every)
    }

    /// The same, and examines containers again after this time while their symptoms persist.
    pub fn examining_again(ctx: &Context, engine: Arc<dyn Engine>, policy: Policy, again: Duration) -> Self {
        Self::with(ctx, engine, policy, |settings| {
            settings.examinations = Some(examine::Settings { again, ..examine::Settings::default() });
        })
    }

    /// The same, with the stats API as the only source of counters.
    pub fn sampling_by_api(ctx: &Context, engine: Arc<dyn Engine>, policy: Policy) -> Self {
        Self::with(ctx, engine, policy, |settings| settings.sampling.source = SampleSource::Api)
    }

    fn with(ctx: &Context, engine: Arc<dyn Engine>, policy: Policy, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings {
            host: host(),
            interval: Duration::from_millis(500),
            sampling: sweep::Settings::default(),
            disk_every: Duration::ZERO,
            policy: hemostat_runtime::unchanging(policy),
            redactor: Redactor::default(),
            examinations: Some(examine::Settings::default()),
        };
        change(&mut settings);
        Self(tokio::spawn(host_monitor::run(ctx.clone(), engine, settings)))
    }
}

impl Drop for RunningMonitor {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A proxy to the engine. It can cut all connections, and accepts new ones at once.
#[derive(Debug)]
pub struct Proxy {
    path: PathBuf,
    cuts: watch::Sender<u32>,
    calls: JoinHandle<()>,
}

impl Proxy {
    /// A proxy to the engine at this socket.
    pub fn to(engine: &str, name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("{name}.sock"));
        let _ = std::fs::remove_file(&path);
        let (listener, cuts) = (UnixListener::bind(&path).unwrap(), watch::Sender::new(0));
        let (engine, cut_signal) = (PathBuf::from(engine.trim_start_matches("unix://")), cuts.clone());
        let calls = tokio::spawn(async move {
            let mut calls = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                while calls.try_join_next().is_some() {}
                let (engine, mut cut) = (engine.clone(), cut_signal.subscribe());
                calls.spawn(async move {
                    let Ok(mut far) = UnixStream::connect(engine).await else { return };
                    tokio::select! {
                        _ = cut.changed() => {}
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                    }
                });
            }
        });
        Self { path, cuts, calls }
    }

    /// Its address.
    pub fn address(&self) -> String {
        format!("unix://{}", self.path.display())
    }

    /// Cuts all its connections.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.calls.abort();
        let _ = std::fs::remove_file(&self.path);
    }
}
