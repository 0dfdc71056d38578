//! A monitor that ends with the test, and the wire between it and the engine.

#![allow(dead_code, clippy::unwrap_used, reason = "test support, of which each file uses its part")]

use std::{path::PathBuf, sync::Arc, time::Duration};

use hemostat_core::Policy;
use hemostat_monitor::{
    engine::Engine,
    examine,
    shift::{self, Settings},
    sweep,
};
use hemostat_redact::Redactor;
use hemostat_runtime::Context;
use hemostat_settings::SampleSource;
use tokio::{
    net::{UnixListener, UnixStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use crate::bed::host;

/// A monitor that ends with the test.
#[derive(Debug)]
pub struct Watcher(JoinHandle<anyhow::Result<()>>);

impl Watcher {
    /// Watches this engine.
    pub fn start(ctx: &Context, engine: Arc<dyn Engine>, policy: Policy) -> Self {
        Self::measuring(ctx, engine, policy, Duration::ZERO)
    }

    /// Watches it, and its disk so often.
    pub fn measuring(ctx: &Context, engine: Arc<dyn Engine>, policy: Policy, disk_every: Duration) -> Self {
        Self::with(ctx, engine, policy, |settings| settings.disk_every = disk_every)
    }

    /// Watches it, and examines who stays ill again after this time.
    pub fn examining_again(ctx: &Context, engine: Arc<dyn Engine>, policy: Policy, again: Duration) -> Self {
        Self::with(ctx, engine, policy, |settings| {
            settings.examinations = Some(examine::Settings { again, ..examine::Settings::default() });
        })
    }

    /// Watches it, and asks it for all counters.
    pub fn asking(ctx: &Context, engine: Arc<dyn Engine>, policy: Policy) -> Self {
        Self::with(ctx, engine, policy, |settings| settings.sampling.source = SampleSource::Api)
    }

    fn with(ctx: &Context, engine: Arc<dyn Engine>, policy: Policy, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings {
            host: host(),
            interval: Duration::from_millis(500),
            sampling: sweep::Settings::default(),
            disk_every: Duration::ZERO,
            policy: Arc::new(policy),
            redactor: Redactor::default(),
            examinations: Some(examine::Settings::default()),
        };
        change(&mut settings);
        Self(tokio::spawn(shift::run(ctx.clone(), engine, settings)))
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A wire to the engine that can be cut, and is whole again at once.
#[derive(Debug)]
pub struct Wire {
    path: PathBuf,
    cuts: watch::Sender<u32>,
    calls: JoinHandle<()>,
}

impl Wire {
    /// To the engine at this socket.
    pub fn to(engine: &str, name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("{name}.sock"));
        let _ = std::fs::remove_file(&path);
        let (listener, cuts) = (UnixListener::bind(&path).unwrap(), watch::Sender::new(0));
        let (engine, told) = (PathBuf::from(engine.trim_start_matches("unix://")), cuts.clone());
        let calls = tokio::spawn(async move {
            let mut calls = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                while calls.try_join_next().is_some() {}
                let (engine, mut cut) = (engine.clone(), told.subscribe());
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

    /// Where it can be reached.
    pub fn address(&self) -> String {
        format!("unix://{}", self.path.display())
    }

    /// Cuts everything that goes through it.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.calls.abort();
        let _ = std::fs::remove_file(&self.path);
    }
}
