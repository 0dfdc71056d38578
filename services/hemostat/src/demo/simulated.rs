//! The demo on the fake Docker engine: each patient and its illness, translated.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use hemostat_fake_docker::{BaselineUsage, ContainerSpec, EngineState, Failure, FailureKind, FakeDocker};
use hemostat_patient::Illness;

use super::cases::{Case, Fate, MEMORY_LIMIT_MB, RELAPSES_AFTER};

/// A running fake engine; it ends when it is dropped.
#[derive(Debug)]
pub struct Engine(Arc<FakeDocker>);

/// A container in it.
#[derive(Debug)]
pub struct Patient {
    /// The name of the container.
    pub name: String,
    engine: Arc<FakeDocker>,
}

impl Engine {
    /// Starts one whose socket is in `directory`.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub async fn start(directory: &Path) -> anyhow::Result<Self> {
        let state = EngineState::new(fastrand::u64(..));
        let engine = FakeDocker::at(directory.join("docker.sock"), state).await;
        let engine = engine.with_context(|| format!("could not make a socket in {}", directory.display()))?;
        Ok(Self(Arc::new(engine)))
    }

    /// Its address.
    pub fn address(&self) -> String {
        self.0.address()
    }

    /// Creates and starts the container of `case`.
    ///
    /// # Errors
    /// When the engine refuses.
    pub fn start_patient(&self, name: String, case: &Case) -> anyhow::Result<Patient> {
        self.0.change(|state, now| {
            state.create(&name, spec(case), now)?;
            state.start(&name, now)
        })?;
        Ok(Patient { name, engine: self.0.clone() })
    }
}

impl Patient {
    /// Makes it ill.
    ///
    /// # Errors
    /// When it does not run.
    pub fn fall_ill(&self, illness: Illness) -> anyhow::Result<()> {
        let failure = Failure::of(failure(illness)?);
        Ok(self.engine.change(|state, now| state.inject(&self.name, failure, now))?)
    }

    /// Stops it, as an operator would.
    ///
    /// # Errors
    /// When the engine refuses.
    pub fn stop(&self) -> anyhow::Result<()> {
        self.engine.change(|state, now| state.stop(&self.name, None, now))?;
        Ok(())
    }
}

fn spec(case: &Case) -> ContainerSpec {
    let small = BaselineUsage { memory: 2 << 20, cache: 1 << 20, ..BaselineUsage::default() };
    let plain = ContainerSpec { baseline: small, ..ContainerSpec::default() }.checked_every(Duration::from_millis(500));
    match case.fate {
        Fate::FallsIll(Illness::Memory(_)) => ContainerSpec { memory: Some(MEMORY_LIMIT_MB << 20), ..plain },
        Fate::Stubborn => plain.failing(Failure::of(FailureKind::Unhealthy).after(RELAPSES_AFTER).persistent()),
        Fate::FallsIll(_) | Fate::Stopped => plain,
    }
}

/// The fake engine's failure for an illness of the demo.
fn failure(illness: Illness) -> anyhow::Result<FailureKind> {
    match illness {
        Illness::Unhealthy(_) => Ok(FailureKind::Unhealthy),
        Illness::Crash(crash) => Ok(FailureKind::Exits { code: u8::try_from(crash.code)? }),
        Illness::Memory(memory) => Ok(FailureKind::HoldsMemory { bytes: memory.size_mb << 20 }),
        Illness::Cpu(_)
        | Illness::Oom
        | Illness::OomChild
        | Illness::Leak(_)
        | Illness::Crowd(_)
        | Illness::Flapping(_)
        | Illness::Disk(_) => bail!("the demo does not simulate {illness:?}"),
    }
}
