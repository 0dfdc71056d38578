//! What may be asked of the world from outside, each as Docker takes it: by a name, an id or the beginning of one.

use std::{mem, sync::Arc, time::Duration};

use super::{
    Answer, ContainerId, Due, Refusal, World,
    container::{Bout, Checking, Container, Counters, Life, Then},
};
use crate::{Illness, Moment, Spec, spec::fnv};

impl World {
    /// Makes a container.
    ///
    /// # Errors
    /// When its name is taken or cannot be one.
    pub fn create(&mut self, name: &str, spec: impl Into<Arc<Spec>>, now: Moment) -> Result<ContainerId, Refusal> {
        self.advance(now);
        let name = valid(name)?;
        self.is_free(name)?;
        let spec = spec.into();
        let index = u32::try_from(self.containers.len()).map_err(|_| Refusal::Invalid("too many".to_owned()))?;
        let id = ContainerId::nth(index, self.seed);
        let name: Arc<str> = name.into();
        let bouts = spec.inborn.iter().map(|illness| Bout { number: self.number(), illness: *illness, since: None });
        let bouts = bouts.collect();
        let checking = spec.check.as_ref().map(|_| Checking::default());
        let container = Container {
            id,
            name: name.clone(),
            spec,
            life: Life::Created,
            created: now,
            started: None,
            finished: None,
            exit_code: 0,
            out_of_memory: false,
            restarts: 0,
            pid: 0,
            backoff: Duration::ZERO,
            touched: false,
            checking,
            checks: 0,
            bouts,
            counters: Counters::at_zero(now),
            ending: None,
            said: Default::default(),
            epoch: 0,
            phase: phase(&id),
        };
        self.containers.push(Some(Box::new(container)));
        self.by_id.insert(id, index);
        self.by_name.insert(name, index);
        self.tell(index, "create", vec![], now);
        Ok(id)
    }

    /// Starts it.
    ///
    /// # Errors
    /// When there is none, or it is paused.
    pub fn start(&mut self, key: &str, now: Moment) -> Result<Answer, Refusal> {
        self.advance(now);
        let index = self.find(key)?;
        match self.get(index).map(|container| container.life) {
            Some(Life::Running) => Ok(Answer::Already),
            Some(Life::Paused) => {
                Err(Refusal::Invalid("cannot start a paused container, try unpause instead".to_owned()))
            }
            _ => {
                self.begin_by_hand(index, now);
                Ok(Answer::Done)
            }
        }
    }

    /// Asks it to end, kills it when it has not within `patience` (none: its own), and, with `again`, starts it again.
    fn end_by_hand(
        &mut self,
        key: &str,
        patience: Option<Duration>,
        then: Then,
        now: Moment,
    ) -> Result<Answer, Refusal> {
        self.advance(now);
        let index = self.find(key)?;
        let Some(container) = self.get(index) else { return Ok(Answer::Done) };
        let own = Duration::from_secs(container.spec.stop_timeout.unwrap_or(10).into());
        match (container.life, then) {
            (Life::Created | Life::Exited, Then::StartedAgain) => {
                self.begin_by_hand(index, now);
                self.tell(index, "restart", vec![], now);
                Ok(Answer::Done)
            }
            (Life::Created | Life::Exited, _) => Ok(Answer::Already),
            _ => Ok(self.ask_to_end(index, patience.unwrap_or(own), then, now)),
        }
    }

    /// Stops it.
    ///
    /// # Errors
    /// When there is none.
    pub fn stop(&mut self, key: &str, patience: Option<Duration>, now: Moment) -> Result<Answer, Refusal> {
        self.end_by_hand(key, patience, Then::Stopped, now)
    }

    /// Stops it where it runs, and starts it.
    ///
    /// # Errors
    /// When there is none.
    pub fn restart(&mut self, key: &str, patience: Option<Duration>, now: Moment) -> Result<Answer, Refusal> {
        self.end_by_hand(key, patience, Then::StartedAgain, now)
    }

    /// Sends it a signal, by number.
    ///
    /// # Errors
    /// When there is none, or it does not run.
    pub fn kill(&mut self, key: &str, signal: i32, now: Moment) -> Result<Answer, Refusal> {
        self.advance(now);
        let index = self.find(key)?;
        match self.get(index) {
            Some(container) if container.is_up() => Ok(self.signalled(index, signal, now)),
            _ => Err(Refusal::NotRunning(key.to_owned())),
        }
    }

    /// Freezes it.
    ///
    /// # Errors
    /// When there is none, or it does not run.
    pub fn pause(&mut self, key: &str, now: Moment) -> Result<Answer, Refusal> {
        self.advance(now);
        let index = self.find(key)?;
        match self.get(index).map(|container| (container.life, container.id)) {
            Some((Life::Running, _)) => self.freeze(index, now),
            Some((Life::Paused, _)) => return Err(Refusal::AlreadyPaused(key.to_owned())),
            Some((Life::Restarting, id)) => return Err(Refusal::Restarting(id)),
            _ => return Err(Refusal::NotRunning(key.to_owned())),
        }
        Ok(Answer::Done)
    }

    /// Thaws it.
    ///
    /// # Errors
    /// When there is none, or it is not frozen.
    pub fn unpause(&mut self, key: &str, now: Moment) -> Result<Answer, Refusal> {
        self.advance(now);
        let index = self.find(key)?;
        match self.get(index).map(|container| container.life) {
            Some(Life::Paused) => self.thaw(index, now),
            _ => return Err(Refusal::NotPaused(key.to_owned())),
        }
        Ok(Answer::Done)
    }

    /// Gives it another name.
    ///
    /// # Errors
    /// When there is none, or the new name is taken or cannot be one.
    pub fn rename(&mut self, key: &str, name: &str, now: Moment) -> Result<Answer, Refusal> {
        self.advance(now);
        let index = self.find(key)?;
        let name: Arc<str> = valid(name)?.into();
        self.is_free(&name)?;
        let Some(container) = self.get_mut(index) else { return Ok(Answer::Done) };
        let before = mem::replace(&mut container.name, name.clone());
        self.by_name.remove(&before);
        self.by_name.insert(name, index);
        self.tell(index, "rename", vec![("oldName", format!("/{before}"))], now);
        Ok(Answer::Done)
    }

    /// Sets it up differently: limits and restart policy can be changed while it runs.
    ///
    /// # Errors
    /// When there is none.
    pub fn update(&mut self, key: &str, change: impl FnOnce(&mut Spec), now: Moment) -> Result<Answer, Refusal> {
        self.advance(now);
        let index = self.find(key)?;
        if let Some(container) = self.get_mut(index) {
            change(Arc::make_mut(&mut container.spec));
            container.settle(now);
        }
        self.tell(index, "update", vec![], now);
        self.watch_memory(index, now);
        Ok(Answer::Done)
    }

    /// Takes it away, with `force` also while it runs.
    ///
    /// # Errors
    /// When there is none, or it runs and there is no force.
    pub fn remove(&mut self, key: &str, force: bool, now: Moment) -> Result<Answer, Refusal> {
        self.advance(now);
        let index = self.find(key)?;
        match self.get(index).map(|container| (container.life, container.id)) {
            Some((Life::Created | Life::Exited, _)) => {
                self.take_away(index, now);
                Ok(Answer::Done)
            }
            Some((_, id)) if !force => Err(Refusal::StillRunning(id)),
            Some(_) => {
                let answer = self.ask_to_end(index, Duration::ZERO, Then::Removed, now);
                Ok(answer)
            }
            None => Ok(Answer::Done),
        }
    }

    /// Makes it ill.
    ///
    /// # Errors
    /// When there is none, or it does not run and the illness is not a chronic one.
    pub fn fall_ill(&mut self, key: &str, illness: Illness, now: Moment) -> Result<(), Refusal> {
        self.advance(now);
        let index = self.find(key)?;
        let number = self.number();
        let Some(container) = self.get_mut(index) else { return Ok(()) };
        let is_up = container.is_up();
        if !is_up && !illness.chronic {
            return Err(Refusal::NotRunning(key.to_owned()));
        }
        container.bouts.push(Bout { number, illness, since: None });
        if is_up {
            self.schedule(index, now + illness.after, Due::SetsIn { bout: number });
            self.advance(now);
        }
        Ok(())
    }

    /// Ends all its illnesses.
    ///
    /// # Errors
    /// When there is none.
    pub fn cure(&mut self, key: &str, now: Moment) -> Result<(), Refusal> {
        self.advance(now);
        let index = self.find(key)?;
        let bouts: Vec<_> =
            self.get(index).map(|one| one.bouts.iter().map(|bout| bout.number).collect()).unwrap_or_default();
        for bout in bouts {
            self.passes(index, bout, now);
        }
        if let Some(container) = self.get_mut(index) {
            container.bouts.clear();
        }
        Ok(())
    }

    /// It writes a line to its standard error.
    ///
    /// # Errors
    /// When there is none.
    pub fn say(&mut self, key: &str, text: String, now: Moment) -> Result<(), Refusal> {
        let index = self.find(key)?;
        if let Some(container) = self.get_mut(index) {
            container.say(text, true, now);
        }
        Ok(())
    }
}

/// A container's own place in every wave, 0 to 1.
fn phase(id: &ContainerId) -> f64 {
    f64::from(u16::try_from(fnv(id.as_str().as_bytes()) & 0xffff).unwrap_or(0)) / 65536.0
}

/// A name as Docker allows it: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`.
fn valid(name: &str) -> Result<&str, Refusal> {
    let bare = name.strip_prefix('/').unwrap_or(name);
    let begins = bare.starts_with(|first: char| first.is_ascii_alphanumeric());
    let fits = |c: char| c.is_ascii_alphanumeric() || ['_', '.', '-'].contains(&c);
    if begins && bare.len() > 1 && bare.chars().all(fits) {
        return Ok(bare);
    }
    Err(Refusal::Invalid(format!("Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")))
}
