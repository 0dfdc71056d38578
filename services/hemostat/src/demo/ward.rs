//! Where the patients of the demo are: in Docker, or in an engine that is only simulated.

use std::{path::Path, sync::Arc};

use anyhow::Context;
use hemostat_fake_docker::{self as simulated, Kind, Simulated, World};
use hemostat_patient::{
    Illness,
    stage::{self, Stage},
};

use super::cases::Case;

/// A place for patients, and for no other container.
#[derive(Debug)]
pub struct Ward {
    prefix: String,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Docker(Stage),
    Simulated(Arc<Simulated>),
}

/// One patient of the demo.
#[derive(Debug)]
pub enum Patient {
    /// A container.
    Real(stage::Patient),
    /// A container that is only simulated.
    Simulated {
        /// What it is called.
        name: String,
        /// Where it is.
        engine: Arc<Simulated>,
    },
}

impl Ward {
    /// A ward in the Docker engine of this machine.
    ///
    /// # Errors
    /// When no engine answers.
    pub async fn in_docker(run: &str) -> anyhow::Result<Self> {
        Ok(Self { prefix: run.to_owned(), place: Place::Docker(Stage::new(run, run).await?) })
    }

    /// A ward in a simulated engine, whose socket lies in this directory.
    ///
    /// # Errors
    /// When no socket can be made there.
    pub async fn simulated(run: &str, directory: &Path) -> anyhow::Result<Self> {
        let world = World::new(fastrand::u64(..));
        let engine = Simulated::at(directory.join("docker.sock"), world).await;
        let engine = engine.with_context(|| format!("could not make a socket in {}", directory.display()))?;
        Ok(Self { prefix: run.to_owned(), place: Place::Simulated(Arc::new(engine)) })
    }

    /// Where its engine is, where that is not the usual place.
    pub fn address(&self) -> Option<String> {
        match &self.place {
            Place::Docker(_) => None,
            Place::Simulated(engine) => Some(engine.address()),
        }
    }

    /// What the container of this case is called.
    pub fn name_of(&self, case: &Case) -> String {
        format!("{}-{}", self.prefix, case.name)
    }

    /// Starts the patient of this case.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn admit(&self, case: &Case) -> anyhow::Result<Patient> {
        match &self.place {
            Place::Docker(stage) => Ok(Patient::Real(stage.spawn(case.spec()).await?)),
            Place::Simulated(engine) => {
                let name = self.name_of(case);
                engine.change(|world, now| {
                    world.create(&name, case.simulated_spec(), now)?;
                    world.start(&name, now)
                })?;
                Ok(Patient::Simulated { name, engine: engine.clone() })
            }
        }
    }

    /// Takes everything away.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn clear(&self) -> anyhow::Result<()> {
        match &self.place {
            Place::Docker(stage) => {
                stage.clear().await?;
                stage.remove_image().await
            }
            // It is gone when it is dropped.
            Place::Simulated(_) => Ok(()),
        }
    }
}

impl Patient {
    /// What its container is called.
    pub fn name(&self) -> &str {
        match self {
            Self::Real(patient) => &patient.name,
            Self::Simulated { name, .. } => name,
        }
    }

    /// Makes it ill, in the way that is for where it is.
    ///
    /// # Errors
    /// When it does not run, or refuses.
    pub async fn fall_ill(&self, illness: Illness, simulated: Kind) -> anyhow::Result<()> {
        match self {
            Self::Real(patient) => patient.fall_ill(illness).await,
            Self::Simulated { name, engine } => {
                Ok(engine.change(|world, now| world.fall_ill(name, simulated::Illness::of(simulated), now))?)
            }
        }
    }

    /// Stops it, as an operator would.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn stop(&self) -> anyhow::Result<()> {
        match self {
            Self::Real(patient) => patient.stop().await,
            Self::Simulated { name, engine } => {
                engine.change(|world, now| world.stop(name, None, now))?;
                Ok(())
            }
        }
    }
}
