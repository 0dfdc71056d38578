//! The host of the demo: where its patients run. Either a Docker engine, or the fake one (feature `simulated`).

use hemostat_patient::{
    Illness,
    stage::{self, Stage},
};

use super::cases::Case;
#[cfg(feature = "simulated")]
use super::simulated;

/// Where the demo's patients run; no other container is touched.
#[derive(Debug)]
pub struct Host {
    prefix: String,
    engine: Engine,
}

#[derive(Debug)]
enum Engine {
    Docker(Stage),
    #[cfg(feature = "simulated")]
    Simulated(simulated::Engine),
}

/// One patient of the demo.
#[derive(Debug)]
pub enum Patient {
    /// A container in Docker.
    Docker(stage::Patient),
    /// A container in the fake engine.
    #[cfg(feature = "simulated")]
    Simulated(simulated::Patient),
}

impl Host {
    /// The Docker engine of this machine; the names of all patients begin with `prefix`.
    ///
    /// # Errors
    /// When no engine answers.
    pub async fn docker(prefix: &str) -> anyhow::Result<Self> {
        Ok(Self { prefix: prefix.to_owned(), engine: Engine::Docker(Stage::new(prefix, prefix).await?) })
    }

    /// A fake engine, whose socket is in `directory`.
    ///
    /// # Errors
    /// When the socket cannot be made.
    #[cfg(feature = "simulated")]
    pub async fn simulated(prefix: &str, directory: &std::path::Path) -> anyhow::Result<Self> {
        let engine = simulated::Engine::start(directory).await?;
        Ok(Self { prefix: prefix.to_owned(), engine: Engine::Simulated(engine) })
    }

    /// The address of the engine, where it is not the default one.
    pub fn address(&self) -> Option<String> {
        match &self.engine {
            Engine::Docker(_) => None,
            #[cfg(feature = "simulated")]
            Engine::Simulated(engine) => Some(engine.address()),
        }
    }

    /// The name of the case's container.
    pub fn name_of(&self, case: &Case) -> String {
        format!("{}-{}", self.prefix, case.name)
    }

    /// Starts the case's patient.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn start(&self, case: &Case) -> anyhow::Result<Patient> {
        match &self.engine {
            Engine::Docker(stage) => Ok(Patient::Docker(stage.spawn(case.spec()).await?)),
            #[cfg(feature = "simulated")]
            Engine::Simulated(engine) => Ok(Patient::Simulated(engine.start_patient(self.name_of(case), case)?)),
        }
    }

    /// Removes all patients and their image.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn clear(&self) -> anyhow::Result<()> {
        match &self.engine {
            Engine::Docker(stage) => {
                stage.clear().await?;
                stage.remove_image().await
            }
            // The fake engine ends when it is dropped.
            #[cfg(feature = "simulated")]
            Engine::Simulated(_) => Ok(()),
        }
    }
}

impl Patient {
    /// The name of its container.
    pub fn name(&self) -> &str {
        match self {
            Self::Docker(patient) => &patient.name,
            #[cfg(feature = "simulated")]
            Self::Simulated(patient) => &patient.name,
        }
    }

    /// Makes it ill.
    ///
    /// # Errors
    /// When it does not run, or refuses.
    pub async fn fall_ill(&self, illness: Illness) -> anyhow::Result<()> {
        match self {
            Self::Docker(patient) => patient.fall_ill(illness).await,
            #[cfg(feature = "simulated")]
            Self::Simulated(patient) => patient.fall_ill(illness),
        }
    }

    /// Stops it, as an operator would.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn stop(&self) -> anyhow::Result<()> {
        match self {
            Self::Docker(patient) => patient.stop().await,
            #[cfg(feature = "simulated")]
            Self::Simulated(patient) => patient.stop(),
        }
    }
}
