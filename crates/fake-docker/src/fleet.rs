//! Many idle containers at once, for tests of scale.

use std::{sync::Arc, time::Duration};

use crate::{
    engine::{EngineState, outcome::Refusal},
    spec::{ContainerSpec, RestartPolicy},
    time::UnixNanos,
};

/// The default interval of health checks: Docker's default.
const CHECKED_EVERY: Duration = Duration::from_secs(30);

/// How many containers form one Compose project.
const PROJECT: usize = 12;

/// Idle containers of a few kinds, named `<prefix>-00000` and so on.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// The prefix of their names.
    pub prefix: String,
    /// How many containers.
    pub size: usize,
    /// The interval of health checks; `None`: two thirds of them every 30 s, the others never.
    pub checked_every: Option<Duration>,
}

impl Fleet {
    /// A fleet of this size.
    pub fn of(prefix: impl Into<String>, size: usize) -> Self {
        Self { prefix: prefix.into(), size, checked_every: None }
    }

    /// The name of the `n`th.
    pub fn name(&self, n: usize) -> String {
        format!("{}-{n:05}", self.prefix)
    }

    /// Creates and starts them, with start times spread over the last check interval, so that the checks do not all come
    /// at once.
    ///
    /// # Errors
    /// If a name is taken.
    pub fn start(&self, engine: &mut EngineState, now: UnixNanos) -> Result<(), Refusal> {
        let over = self.checked_every.unwrap_or(CHECKED_EVERY);
        let first = UnixNanos::from_nanos(now.nanos().saturating_sub(i64::try_from(over.as_nanos()).unwrap_or(0)));
        let step = over / u32::try_from(self.size.max(1)).unwrap_or(u32::MAX);
        let mut kinds = vec![];
        for n in 0..self.size {
            if n % PROJECT == 0 {
                kinds = [("web", 128, true), ("worker", 256, true), ("cache", 64, false)]
                    .map(|(service, mebibytes, checked)| self.kind(n / PROJECT, service, mebibytes, checked))
                    .to_vec();
            }
            let at = first + step * u32::try_from(n).unwrap_or(u32::MAX);
            let id = engine.create(&self.name(n), kinds[n % kinds.len()].clone(), at)?;
            engine.start(id.as_str(), at)?;
        }
        engine.advance(now);
        Ok(())
    }

    fn kind(&self, project: usize, service: &str, mebibytes: u64, checked: bool) -> Arc<ContainerSpec> {
        let plain = ContainerSpec {
            image: format!("simulated/{service}:1"),
            memory: Some(mebibytes << 20),
            cpus: Some(0.5),
            restart: RestartPolicy::UnlessStopped,
            ..ContainerSpec::default()
        };
        let plain = plain
            .label("com.docker.compose.project", format!("{}-{project}", self.prefix))
            .label("com.docker.compose.service", service)
            .label("org.opencontainers.image.title", service);
        Arc::new(match (self.checked_every, checked) {
            (Some(interval), _) => plain.checked_every(interval),
            (None, true) => plain.checked_every(CHECKED_EVERY),
            (None, false) => plain,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::container::Status;

    #[test]
    fn a_fleet_runs_and_stays_healthy() {
        let (mut engine, fleet) = (EngineState::new(1), Fleet::of("fleet", 300));
        let now = UnixNanos::from_nanos(1_795_462_698_000_000_000);
        fleet.start(&mut engine, now).unwrap();
        engine.advance(now + Duration::from_secs(120));
        assert_eq!(engine.containers().filter(|container| container.status == Status::Running).count(), 300);
        let told = engine.take_updates().events;
        assert!(!told.iter().any(|event| ["die", "health_status: unhealthy"].contains(&&*event.action)));
        assert_eq!(told.iter().filter(|event| event.action == "health_status: healthy").count(), 200);
    }
}
