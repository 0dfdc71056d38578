//! How is a remedy carried out exactly once, whatever dies and whenever?
//!
//! An intent (`action.authorised`) stands on the log before the engine is asked, and an outcome after. A process may
//! die anywhere between, and the intent then comes again, to a process that does not know how far the first one got.
//! That one asks the world before it acts:
//!
//! ```text
//!            look ──► another run than the intended one ──► it has happened: Found
//!              │
//!              ├────► the same run, and nobody has touched it ──► act
//!              │
//!              └────► the same run, but it was touched, or the engine has forgotten
//!                        └──► wait until the earlier call is through:  a new run ──► Found
//!                                                          stopped and stays so  ──► start it: its second half
//!                                                                still the same  ──► nothing was under way: act
//! ```
//!
//! Docker carries a call through to the end also when the caller is gone, so an earlier call need not be made again.
//! What Docker's record cannot tell apart is the first half of our restart and an operator's `docker stop` right after
//! the intent; an intent that has grown old by then is given up, so that HemoStat does not undo the latter.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use hemostat_runtime::{Fault, Undurable};
use hemostat_schema::{
    Span, Timestamp,
    action::{Authorised, Proof, Remedy},
    container::{State, Target},
};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use crate::engine::{Engine, Error, Found, Traces};

/// What a container may take to stop where neither policy nor container say so; Docker's own default.
const STOP_TIMEOUT: Span = Span::from_secs(10);
/// A call sent at the instant of death needs so long to show in the engine's record.
const SETTLE: Duration = Duration::from_millis(500);
/// So much longer than stopping may a call under way take.
const UNDER_WAY: Duration = Duration::from_secs(15);
/// A container that has been stopped for so long is not about to be started by the call that stopped it.
const STAYS_STOPPED: Duration = Duration::from_secs(3);
/// How often to look while waiting.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How far the engine's clock may be behind ours.
const SKEW: Span = Span::from_secs(10);
/// How long to wait before asking an engine again that did not answer; after the last of them it has failed.
const PATIENCE: [Duration; 4] =
    [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

/// The right to touch the world, which can be lost while we wait.
#[async_trait]
pub trait Leave: Sync {
    /// Whether we may touch it now. To be asked right before, each time.
    async fn check(&self) -> Result<(), Denied>;
    /// The time.
    fn now(&self) -> Timestamp;
}

/// Why the world must not be touched.
#[derive(Debug)]
pub enum Denied {
    /// The right is not certainly ours any more.
    Fault(Fault),
    /// The intent is not as safe as it must be.
    Undurable(Undurable),
}

impl From<Fault> for Denied {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// What came of a remedy.
#[derive(Debug, Clone, PartialEq)]
pub enum Deed {
    /// It was carried out.
    Done {
        /// The run that came of it, where there is one.
        target: Option<Target>,
        /// When the engine was asked; none where an earlier process had asked it, and in a dry run.
        called_at: Option<Timestamp>,
        /// How long it took.
        took: Span,
        /// How it is known.
        proof: Proof,
    },
    /// It could not be carried out, and why.
    NotDone(String),
    /// It was not carried out, as its intent was not safe.
    Withheld(Undurable),
}

/// Why an attempt came to no end of its own.
enum Trouble {
    /// It cannot be carried out.
    No(String),
    /// The engine did not answer: it may or may not have heard us.
    NoAnswer(Error),
    /// We may not go on.
    Denied(Denied),
}

impl From<Denied> for Trouble {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match error {
            Error::Gone => Self::No(format!("superseded: {error}")),
            Error::Refused { .. } => Self::No(error.to_string()),
            Error::NoAnswer { .. } => Self::NoAnswer(error),
        }
    }
}

/// One remedy on its way.
pub struct Errand<'a, E> {
    /// The engine.
    pub engine: &'a E,
    /// The container's name, for messages.
    pub name: &'a str,
    /// When the intent was put on the log.
    pub intended_at: Timestamp,
    /// The intent.
    pub intent: &'a Authorised,
    /// An intent older than this is not carried out any more.
    pub stale_after: Span,
    /// The right to carry it out.
    pub leave: &'a dyn Leave,
}

impl<E> fmt::Debug for Errand<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Errand({} {})", self.intent.remedy.name(), self.name)
    }
}

impl<E: Engine> Errand<'_, E> {
    /// Carries the remedy out, once. `in_doubt` says that an earlier process may have begun it.
    ///
    /// # Errors
    /// Only when the leave is lost: then another process carries it out.
    pub async fn run(&self, mut in_doubt: bool) -> Result<Deed, Fault> {
        let mut called_at = None;
        let mut pauses = PATIENCE.into_iter();
        loop {
            match self.attempt(in_doubt, &mut called_at).await {
                Ok(deed) => return Ok(deed),
                Err(Trouble::Denied(Denied::Fault(fault))) => return Err(fault),
                Err(Trouble::Denied(Denied::Undurable(short))) => return Ok(Deed::Withheld(short)),
                Err(Trouble::No(why)) => return Ok(Deed::NotDone(why)),
                Err(Trouble::NoAnswer(error)) => {
                    let Some(pause) = pauses.next() else { return Ok(Deed::NotDone(error.to_string())) };
                    warn!(container = self.name, "{error}; asking again in {pause:?}");
                    sleep(pause).await;
                    // It may have heard us and gone to work.
                    in_doubt = true;
                }
            }
        }
    }

    async fn attempt(&self, in_doubt: bool, called_at: &mut Option<Timestamp>) -> Result<Deed, Trouble> {
        let found = self.look().await?;
        if self.intent.dry_run {
            self.still_intended(&found)?;
            return Ok(Deed::Done { target: None, called_at: None, took: Span::ZERO, proof: Proof::DryRun });
        }
        match &self.intent.remedy {
            Remedy::Restart | Remedy::Start if in_doubt => self.ask_the_world(found, called_at).await,
            Remedy::Restart | Remedy::Start => self.act(&found, called_at).await,
            Remedy::Stop | Remedy::Scale | Remedy::Cleanup | Remedy::Exec { .. } => Err(Trouble::No(format!(
                "this responder cannot carry out {}; it knows restart and start",
                self.intent.remedy.name()
            ))),
        }
    }

    async fn look(&self) -> Result<Found, Trouble> {
        Ok(self.engine.look(&self.intent.target.id).await?)
    }

    /// The precondition: the very run that was diagnosed, in the state that the remedy is for.
    fn still_intended(&self, found: &Found) -> Result<(), Trouble> {
        if found.started_at != self.intent.target.started_at {
            return Err(superseded("it has been started anew since it was diagnosed"));
        }
        match (&self.intent.remedy, found.state) {
            (Remedy::Start, State::Running | State::Restarting) => Err(superseded("it runs again")),
            (Remedy::Restart, State::Exited | State::Dead | State::Created) => {
                Err(superseded("it has ended since it was diagnosed"))
            }
            (_, State::Paused) => Err(superseded("it was frozen since it was diagnosed")),
            (_, State::Removing) => Err(superseded("it is being removed")),
            _ => Ok(()),
        }
    }

    /// After an outage nobody knows any more whether what was intended before it still helps.
    fn still_fresh(&self) -> Result<(), Trouble> {
        let age = Span::between(self.intended_at, self.leave.now());
        if age <= self.stale_after {
            return Ok(());
        }
        Err(superseded(&format!("the intent is {age} old, more than {}", self.stale_after)))
    }

    async fn act(&self, found: &Found, called_at: &mut Option<Timestamp>) -> Result<Deed, Trouble> {
        self.still_intended(found)?;
        self.still_fresh()?;
        let target = &self.intent.target;
        let stop_timeout = self.stop_timeout(found);
        self.leave.check().await?;
        let (began, at) = (Instant::now(), self.leave.now());
        *called_at = Some(at);
        match self.intent.remedy {
            Remedy::Start => self.engine.start(&target.id).await?,
            _ => match self.engine.restart(&target.id, stop_timeout).await {
                Err(error @ Error::Refused { .. }) => return self.after_refusal(error, called_at).await,
                answer => answer?,
            },
        }
        let took = Span::from(began.elapsed());
        let now = self.look().await?;
        Ok(Deed::Done { target: Some(self.run_of(&now)), called_at: Some(at), took, proof: Proof::Answered })
    }

    async fn ask_the_world(&self, found: Found, called_at: &mut Option<Timestamp>) -> Result<Deed, Trouble> {
        let (name, target) = (self.name, &self.intent.target);
        info!(container = name, "the intent to {} {name} is not new: looking at what has happened", self.verb());
        if found.started_at != target.started_at {
            return Ok(self.found(&found, *called_at));
        }
        sleep(SETTLE).await;
        let found = self.look().await?;
        if found.started_at != target.started_at {
            return Ok(self.found(&found, *called_at));
        }
        if self.intent.remedy == Remedy::Start {
            // A start is over in one step, so the same run means that it has not happened.
            return self.act(&found, called_at).await;
        }
        let recent = SKEW.before(self.intended_at);
        let since = target.started_at.map_or(recent, |started| started.max(recent));
        match self.engine.traces(&target.id, since).await? {
            Traces::Untouched => {
                info!(container = name, "nobody has touched {name} since: carrying the intent out now");
                return self.act(&found, called_at).await;
            }
            Traces::Touched => info!(container = name, "{name} was touched since: an earlier call may be under way"),
            Traces::Forgotten => info!(container = name, "the engine no longer knows: waiting out an earlier call"),
        }
        self.wait_out(called_at).await
    }

    /// Waits until an earlier call to restart is through, one way or another.
    async fn wait_out(&self, called_at: &mut Option<Timestamp>) -> Result<Deed, Trouble> {
        let name = self.name;
        let began = Instant::now();
        let mut stopped_since = None;
        loop {
            let found = self.look().await?;
            if found.started_at != self.intent.target.started_at {
                return Ok(self.found(&found, *called_at));
            }
            match found.state {
                State::Exited | State::Dead | State::Created => {
                    let since = *stopped_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= STAYS_STOPPED {
                        self.still_fresh()?;
                        info!(container = name, "{name} was stopped and nobody starts it: starting it");
                        return self.finish(called_at).await;
                    }
                }
                State::Running | State::Paused | State::Restarting | State::Removing => {
                    stopped_since = None;
                    if began.elapsed() >= Duration::from(self.stop_timeout(&found)) + UNDER_WAY {
                        info!(container = name, "no call was under way for {name}: carrying the intent out now");
                        return self.act(&found, called_at).await;
                    }
                }
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// A restart may be refused between its halves (the port is taken again, a mount is gone): a container that we have
    /// stopped must not stay down for that, so its start is tried a few times more.
    async fn after_refusal(&self, error: Error, called_at: &mut Option<Timestamp>) -> Result<Deed, Trouble> {
        if !matches!(self.look().await?.state, State::Exited | State::Dead) {
            return Err(error.into());
        }
        warn!(container = self.name, "{error}; {} is stopped now, starting it", self.name);
        let mut pauses = PATIENCE.into_iter();
        loop {
            match (self.finish(called_at).await, pauses.next()) {
                (Err(Trouble::No(_)), Some(pause)) => sleep(pause).await,
                (outcome, _) => return outcome,
            }
        }
    }

    /// The second half of a restart whose first half is done.
    async fn finish(&self, called_at: &mut Option<Timestamp>) -> Result<Deed, Trouble> {
        self.leave.check().await?;
        let (began, at) = (Instant::now(), self.leave.now());
        called_at.get_or_insert(at);
        self.engine.start(&self.intent.target.id).await?;
        let took = Span::from(began.elapsed());
        let now = self.look().await?;
        Ok(Deed::Done { target: Some(self.run_of(&now)), called_at: *called_at, took, proof: Proof::Answered })
    }

    /// The remedy has taken effect without an answer to us.
    fn found(&self, found: &Found, called_at: Option<Timestamp>) -> Deed {
        info!(container = self.name, "{} has been started anew since: the intent is carried out", self.name);
        let took = Span::between(called_at.unwrap_or(self.intended_at), found.started_at.unwrap_or(self.intended_at));
        Deed::Done { target: Some(self.run_of(found)), called_at, took, proof: Proof::Found }
    }

    fn run_of(&self, found: &Found) -> Target {
        Target { id: self.intent.target.id.clone(), started_at: found.started_at }
    }

    fn stop_timeout(&self, found: &Found) -> Span {
        self.intent.stop_timeout.or(found.stop_timeout).unwrap_or(STOP_TIMEOUT)
    }

    fn verb(&self) -> &'static str {
        self.intent.remedy.name()
    }
}

fn superseded(why: &str) -> Trouble {
    Trouble::No(format!("superseded: {why}"))
}

#[cfg(test)]
mod tests;
