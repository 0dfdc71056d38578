//! The commands on containers. As in Docker, a container is given by name, id or id prefix.

use std::{mem, sync::Arc, time::Duration};

use super::{
    EngineState,
    container::{AfterStop, Container, Counters, HealthState, InjectedFailure, Status},
    id::ContainerId,
    outcome::{Outcome, Refusal},
    timer::Transition,
};
use crate::{
    failure::Failure,
    spec::{ContainerSpec, fnv},
    time::UnixNanos,
};

impl EngineState {
    /// Creates a container.
    ///
    /// # Errors
    /// If the name is taken or invalid.
    pub fn create(
        &mut self,
        name: &str,
        spec: impl Into<Arc<ContainerSpec>>,
        now: UnixNanos,
    ) -> Result<ContainerId, Refusal> {
        self.advance(now);
        let name = valid(name)?;
        self.is_free(name)?;
        let spec = spec.into();
        let index = u32::try_from(self.containers.len()).map_err(|_| Refusal::Invalid("too many".to_owned()))?;
        let id = ContainerId::nth(index, self.seed);
        let name: Arc<str> = name.into();
        let failures = spec.failures.iter().map(|failure| InjectedFailure {
            number: self.number(),
            failure: *failure,
            since: None,
        });
        let failures = failures.collect();
        let health_state = spec.check.as_ref().map(|_| HealthState::default());
        let container = Container {
            id,
            name: name.clone(),
            spec,
            status: Status::Created,
            created: now,
            started: None,
            finished: None,
            exit_code: 0,
            out_of_memory: false,
            restarts: 0,
            pid: 0,
            backoff: Duration::ZERO,
            stopped_by_user: false,
            health_state,
            check_round: 0,
            failures,
            counters: Counters::at_zero(now),
            stop_request: None,
            output: Default::default(),
            epoch: 0,
            phase: phase(&id),
        };
        self.containers.push(Some(Box::new(container)));
        self.by_id.insert(id, index);
        self.by_name.insert(name, index);
        self.emit(index, "create", vec![], now);
        Ok(id)
    }

    /// Starts it.
    ///
    /// # Errors
    /// If it does not exist or is paused.
    pub fn start(&mut self, key: &str, now: UnixNanos) -> Result<Outcome, Refusal> {
        self.advance(now);
        let index = self.find(key)?;
        match self.get(index).map(|container| container.status) {
            Some(Status::Running) => Ok(Outcome::NoChange),
            Some(Status::Paused) => {
                Err(Refusal::Invalid("cannot start a paused container, try unpause instead".to_owned()))
            }
            _ => {
                self.start_by_user(index, now);
                Ok(Outcome::Done)
            }
        }
    }

    /// Stops it, with SIGKILL after `grace` (`None`: its own stop timeout), and does what `then` says.
    fn stop_by_user(
        &mut self,
        key: &str,
        grace: Option<Duration>,
        then: AfterStop,
        now: UnixNanos,
    ) -> Result<Outcome, Refusal> {
        self.advance(now);
        let index = self.find(key)?;
        let Some(container) = self.get(index) else { return Ok(Outcome::Done) };
        let default = Duration::from_secs(container.spec.stop_timeout.unwrap_or(10).into());
        match (container.status, then) {
            (Status::Created | Status::Exited, AfterStop::StartedAgain) => {
                self.start_by_user(index, now);
                self.emit(index, "restart", vec![], now);
                Ok(Outcome::Done)
            }
            (Status::Created | Status::Exited, _) => Ok(Outcome::NoChange),
            _ => Ok(self.request_stop(index, grace.unwrap_or(default), then, now)),
        }
    }

    /// Stops it, with SIGKILL after `grace` (`None`: its own stop timeout).
    ///
    /// # Errors
    /// If it does not exist.
    pub fn stop(&mut self, key: &str, grace: Option<Duration>, now: UnixNanos) -> Result<Outcome, Refusal> {
        self.stop_by_user(key, grace, AfterStop::Stopped, now)
    }

    /// Stops it if it runs, and starts it.
    ///
    /// # Errors
    /// If it does not exist.
    pub fn restart(&mut self, key: &str, grace: Option<Duration>, now: UnixNanos) -> Result<Outcome, Refusal> {
        self.stop_by_user(key, grace, AfterStop::StartedAgain, now)
    }

    /// Sends it a signal, by number.
    ///
    /// # Errors
    /// If it does not exist or does not run.
    pub fn kill(&mut self, key: &str, signal: i32, now: UnixNanos) -> Result<Outcome, Refusal> {
        self.advance(now);
        let index = self.find(key)?;
        match self.get(index) {
            Some(container) if container.is_up() => Ok(self.send_signal(index, signal, now)),
            _ => Err(Refusal::NotRunning(key.to_owned())),
        }
    }

    /// Pauses it.
    ///
    /// # Errors
    /// If it does not exist or does not run.
    pub fn pause(&mut self, key: &str, now: UnixNanos) -> Result<Outcome, Refusal> {
        self.advance(now);
        let index = self.find(key)?;
        match self.get(index).map(|container| (container.status, container.id)) {
            Some((Status::Running, _)) => self.apply_pause(index, now),
            Some((Status::Paused, _)) => return Err(Refusal::AlreadyPaused(key.to_owned())),
            Some((Status::Restarting, id)) => return Err(Refusal::Restarting(id)),
            _ => return Err(Refusal::NotRunning(key.to_owned())),
        }
        Ok(Outcome::Done)
    }

    /// Unpauses it.
    ///
    /// # Errors
    /// If it does not exist or is not paused.
    pub fn unpause(&mut self, key: &str, now: UnixNanos) -> Result<Outcome, Refusal> {
        self.advance(now);
        let index = self.find(key)?;
        match self.get(index).map(|container| container.status) {
            Some(Status::Paused) => self.apply_unpause(index, now),
            _ => return Err(Refusal::NotPaused(key.to_owned())),
        }
        Ok(Outcome::Done)
    }

    /// Renames it.
    ///
    /// # Errors
    /// If it does not exist, or the new name is taken or invalid.
    pub fn rename(&mut self, key: &str, name: &str, now: UnixNanos) -> Result<Outcome, Refusal> {
        self.advance(now);
        let index = self.find(key)?;
        let name: Arc<str> = valid(name)?.into();
        self.is_free(&name)?;
        let Some(container) = self.get_mut(index) else { return Ok(Outcome::Done) };
        let before = mem::replace(&mut container.name, name.clone());
        self.by_name.remove(&before);
        self.by_name.insert(name, index);
        self.emit(index, "rename", vec![("oldName", format!("/{before}"))], now);
        Ok(Outcome::Done)
    }

    /// Changes its limits or its restart policy, also while it runs.
    ///
    /// # Errors
    /// If it does not exist.
    pub fn update(
        &mut self,
        key: &str,
        change: impl FnOnce(&mut ContainerSpec),
        now: UnixNanos,
    ) -> Result<Outcome, Refusal> {
        self.advance(now);
        let index = self.find(key)?;
        if let Some(container) = self.get_mut(index) {
            change(Arc::make_mut(&mut container.spec));
            container.update_slopes(now);
        }
        self.emit(index, "update", vec![], now);
        self.schedule_memory_full(index, now);
        Ok(Outcome::Done)
    }

    /// Removes it, with `force` also while it runs.
    ///
    /// # Errors
    /// If it does not exist, or it runs and `force` is not set.
    pub fn remove(&mut self, key: &str, force: bool, now: UnixNanos) -> Result<Outcome, Refusal> {
        self.advance(now);
        let index = self.find(key)?;
        match self.get(index).map(|container| (container.status, container.id)) {
            Some((Status::Created | Status::Exited, _)) => {
                self.delete(index, now);
                Ok(Outcome::Done)
            }
            Some((_, id)) if !force => Err(Refusal::StillRunning(id)),
            Some(_) => {
                let answer = self.request_stop(index, Duration::ZERO, AfterStop::Removed, now);
                Ok(answer)
            }
            None => Ok(Outcome::Done),
        }
    }

    /// Injects a failure.
    ///
    /// # Errors
    /// If it does not exist, or it does not run and the failure is not persistent.
    pub fn inject(&mut self, key: &str, failure: Failure, now: UnixNanos) -> Result<(), Refusal> {
        self.advance(now);
        let index = self.find(key)?;
        let number = self.number();
        let Some(container) = self.get_mut(index) else { return Ok(()) };
        let is_up = container.is_up();
        if !is_up && !failure.persistent {
            return Err(Refusal::NotRunning(key.to_owned()));
        }
        container.failures.push(InjectedFailure { number, failure, since: None });
        if is_up {
            self.schedule(index, now + failure.after, Transition::FailureBegins { number });
            self.advance(now);
        }
        Ok(())
    }

    /// Ends all its failures.
    ///
    /// # Errors
    /// If it does not exist.
    pub fn clear_failures(&mut self, key: &str, now: UnixNanos) -> Result<(), Refusal> {
        self.advance(now);
        let index = self.find(key)?;
        let failures: Vec<_> =
            self.get(index).map(|one| one.failures.iter().map(|failure| failure.number).collect()).unwrap_or_default();
        for failure in failures {
            self.failure_ends(index, failure, now);
        }
        if let Some(container) = self.get_mut(index) {
            container.failures.clear();
        }
        Ok(())
    }

    /// Writes a line to its standard error.
    ///
    /// # Errors
    /// If it does not exist.
    pub fn log(&mut self, key: &str, text: String, now: UnixNanos) -> Result<(), Refusal> {
        let index = self.find(key)?;
        if let Some(container) = self.get_mut(index) {
            container.log(text, true, now);
        }
        Ok(())
    }
}

/// The phase of a container's usage ripple, 0 to 1.
fn phase(id: &ContainerId) -> f64 {
    f64::from(u16::try_from(fnv(id.as_str().as_bytes()) & 0xffff).unwrap_or(0)) / 65536.0
}

/// Validates a name as Docker does: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`.
fn valid(name: &str) -> Result<&str, Refusal> {
    let bare = name.strip_prefix('/').unwrap_or(name);
    let begins = bare.starts_with(|first: char| first.is_ascii_alphanumeric());
    let fits = |c: char| c.is_ascii_alphanumeric() || ['_', '.', '-'].contains(&c);
    if begins && bare.len() > 1 && bare.chars().all(fits) {
        return Ok(bare);
    }
    Err(Refusal::Invalid(format!("Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")))
}
