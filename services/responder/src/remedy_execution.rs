//! Executes a remedy: at most once where Docker's record tells whether an earlier call was received, whenever processes
//! die.
//!
//! The intent (`action.authorised`) is on the log before the engine is called, and the outcome after. If a process dies
//! in between, the intent is redelivered to a process that does not know whether the first one called the engine. The
//! same doubt arises when the engine does not answer a call. The process then probes the engine before it acts:
//!
//! ```text
//!  container state ──► another run (from start to exit) than the intended one ──► taken as executed: Found
//!        │
//!        ├───────────► the same run, without stop evidence ──► act
//!        │
//!        └───────────► the same run, with stop evidence, or it is unknown
//!                        └──► wait until an earlier call has ended:  a new run ──► Found
//!                                                stopped and stays so ──► start: the restart's second half
//!                                                      still the same ──► no call was under way: act
//! ```
//!
//! Docker completes a call whose caller is gone, so an earlier call need not be repeated. Docker's record does not say
//! who called: when in doubt, a restart by an operator or by the restart policy counts as ours, and an operator's
//! `docker stop` right after the intent looks like the first half of our restart. So a stale intent is not executed:
//! HemoStat does not undo an operator's stop later.

use std::{fmt, future::Future, time::Duration};

use hemostat_docker::Error;
use hemostat_runtime::{Clock, Fault, NotDurable};
use hemostat_schema::{
    Span, Timestamp,
    action::{Authorised, Proof, Remedy},
    container::{Run, State},
};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use crate::engine::{ContainerState, Engine, StopEvidence};

/// The stop timeout if neither policy nor container set one: Docker's default.
const DEFAULT_STOP_TIMEOUT: Span = Span::from_secs(10);
/// How long it takes at most until a call that was just sent shows in the engine's record.
const SETTLE: Duration = Duration::from_millis(500);
/// How long a call may take beyond the stop timeout.
const MAX_CALL_OVERRUN: Duration = Duration::from_secs(15);
/// How long a container must be stopped before it is certain that no earlier restart will start it.
const STAYS_STOPPED: Duration = Duration::from_secs(3);
/// The polling interval while waiting for an earlier call.
const POLL_EVERY: Duration = Duration::from_millis(200);
/// How far the engine's clock may be behind ours.
const CLOCK_SKEW: Span = Span::from_secs(10);
/// The pauses before retries.
const RETRY_PAUSES: [Duration; 4] =
    [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

/// Why this process may not call the engine now.
#[derive(Debug)]
pub enum NotAllowed {
    /// The lease may have expired, or durability could not be checked: a later attempt or another process executes the
    /// remedy.
    Fault(Fault),
    /// The intent is not durable enough.
    NotDurable(NotDurable),
}

impl From<Fault> for NotAllowed {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// The result of an execution.
#[derive(Debug, Clone, PartialEq)]
pub enum ExecutionResult {
    /// It was executed.
    Done {
        /// The run that followed, if any.
        target: Option<Run>,
        /// When this process called the engine; `None` if it did not, as after an earlier process's call and in a dry
        /// run.
        called_at: Option<Timestamp>,
        /// How long it took.
        took: Span,
        /// How that is known.
        proof: Proof,
    },
    /// It could not be executed, and why.
    Failed(String),
    /// It was not executed, as its intent is not durable.
    NotExecuted(NotDurable),
}

/// Why an attempt did not end with a result.
enum Failure {
    /// The precondition does not hold or the engine refused the call, for this reason.
    Rejected(String),
    /// The engine gave no answer. If it was called to change something, it may or may not have done so.
    NoAnswer(Error),
    /// This process may not go on.
    NotAllowed(NotAllowed),
}

impl From<NotAllowed> for Failure {
    fn from(why: NotAllowed) -> Self {
        Self::NotAllowed(why)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Gone(_) => superseded("the container is gone: it was removed or recreated"),
            Error::Refused { .. } => Self::Rejected(error.to_string()),
            Error::Unreachable { .. } | Error::Timeout { .. } | Error::InvalidAnswer { .. } => Self::NoAnswer(error),
        }
    }
}

fn superseded(why: &str) -> Failure {
    Failure::Rejected(format!("superseded: {why}"))
}

/// The remedies that this responder can execute, each by one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EngineCall {
    Restart,
    Start,
}

impl TryFrom<&Remedy> for EngineCall {
    type Error = Failure;

    fn try_from(remedy: &Remedy) -> Result<Self, Failure> {
        match remedy {
            Remedy::Restart => Ok(Self::Restart),
            Remedy::Start => Ok(Self::Start),
            Remedy::Stop | Remedy::Scale | Remedy::Cleanup | Remedy::Exec { .. } => Err(Failure::Rejected(format!(
                "this responder cannot execute {}, only restart and start",
                remedy.name()
            ))),
        }
    }
}

/// The execution of one remedy.
pub struct RemedyExecution<'a, E, G> {
    /// The engine.
    pub engine: &'a E,
    /// The container's name, for messages.
    pub name: &'a str,
    /// The time of the intent.
    pub intended_at: Timestamp,
    /// The intent.
    pub intent: &'a Authorised,
    /// How old an intent may be when it is executed.
    pub stale_after: Span,
    /// The clock.
    pub clock: &'a dyn Clock,
    /// Whether this process may call the engine now; asked right before each call that changes something.
    pub may_act: G,
}

impl<E, G> fmt::Debug for RemedyExecution<'_, E, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemedyExecution({} {})", self.verb(), self.name)
    }
}

impl<E, G> RemedyExecution<'_, E, G> {
    fn verb(&self) -> &'static str {
        self.intent.remedy.name()
    }
}

impl<E, G, F> RemedyExecution<'_, E, G>
where
    E: Engine,
    G: Fn() -> F,
    F: Future<Output = Result<(), NotAllowed>>,
{
    /// Executes the remedy, with retries while the engine does not answer. `in_doubt`: an earlier attempt may have
    /// called the engine.
    ///
    /// # Errors
    /// The fault of `may_act`, as when the lease may have expired. The remedy is then executed later or by another
    /// process.
    pub async fn run(&self, mut in_doubt: bool) -> Result<ExecutionResult, Fault> {
        let mut called_at = None;
        let mut pauses = RETRY_PAUSES.into_iter();
        loop {
            match self.attempt(in_doubt, &mut called_at).await {
                Ok(result) => return Ok(result),
                Err(Failure::NotAllowed(NotAllowed::Fault(fault))) => return Err(fault),
                Err(Failure::NotAllowed(NotAllowed::NotDurable(short))) => {
                    return Ok(ExecutionResult::NotExecuted(short));
                }
                Err(Failure::Rejected(why)) => return Ok(ExecutionResult::Failed(why)),
                Err(Failure::NoAnswer(error)) => {
                    let Some(pause) = pauses.next() else { return Ok(ExecutionResult::Failed(error.to_string())) };
                    warn!(container = self.name, "{error}; retrying in {pause:?}");
                    sleep(pause).await;
                    // If it was called to change something, it may have done so; a failed read leaves no doubt.
                    in_doubt |= called_at.is_some();
                }
            }
        }
    }

    async fn attempt(&self, in_doubt: bool, called_at: &mut Option<Timestamp>) -> Result<ExecutionResult, Failure> {
        let call = EngineCall::try_from(&self.intent.remedy)?;
        let observed = self.container_state().await?;
        if self.intent.dry_run {
            self.check_precondition(call, &observed)?;
            return Ok(ExecutionResult::Done { target: None, called_at: None, took: Span::ZERO, proof: Proof::DryRun });
        }
        if in_doubt {
            self.probe_then_act(call, observed, called_at).await
        } else {
            self.act(call, &observed, called_at).await
        }
    }

    async fn container_state(&self) -> Result<ContainerState, Failure> {
        Ok(self.engine.container_state(&self.intent.target.id).await?)
    }

    /// The precondition: the run that was diagnosed, in the state that the remedy is for.
    fn check_precondition(&self, call: EngineCall, observed: &ContainerState) -> Result<(), Failure> {
        if observed.started_at != self.intent.target.started_at {
            return Err(superseded("it has been restarted since it was diagnosed"));
        }
        match (call, observed.state) {
            (_, State::Paused) => Err(superseded("it was paused since it was diagnosed")),
            (_, State::Removing) => Err(superseded("it is being removed")),
            (EngineCall::Start, State::Running | State::Restarting) => Err(superseded("it runs again")),
            (EngineCall::Restart, State::Exited | State::Dead | State::Created) => {
                Err(superseded("it has ended since it was diagnosed"))
            }
            (EngineCall::Start, State::Exited | State::Dead | State::Created)
            | (EngineCall::Restart, State::Running | State::Restarting) => Ok(()),
        }
    }

    /// A remedy that was intended before a long outage may no longer help.
    fn check_fresh(&self) -> Result<(), Failure> {
        let age = Span::between(self.intended_at, self.clock.now());
        if age <= self.stale_after {
            return Ok(());
        }
        Err(superseded(&format!("the intent is {age} old, more than {}", self.stale_after)))
    }

    async fn act(
        &self,
        call: EngineCall,
        observed: &ContainerState,
        called_at: &mut Option<Timestamp>,
    ) -> Result<ExecutionResult, Failure> {
        self.check_precondition(call, observed)?;
        self.check_fresh()?;
        let id = &self.intent.target.id;
        (self.may_act)().await?;
        let (began, at) = (Instant::now(), self.clock.now());
        *called_at = Some(at);
        match call {
            EngineCall::Start => self.engine.start(id).await?,
            EngineCall::Restart => match self.engine.restart(id, self.stop_timeout(observed)).await {
                Err(error @ Error::Refused { .. }) => return self.after_refusal(error, called_at).await,
                answer => answer?,
            },
        }
        let took = Span::from(began.elapsed());
        let now = self.container_state().await?;
        Ok(ExecutionResult::Done { target: Some(self.run_of(&now)), called_at: Some(at), took, proof: Proof::Answered })
    }

    /// Finds out from the engine whether an earlier attempt executed the remedy, and executes it if not.
    async fn probe_then_act(
        &self,
        call: EngineCall,
        observed: ContainerState,
        called_at: &mut Option<Timestamp>,
    ) -> Result<ExecutionResult, Failure> {
        let (name, target) = (self.name, &self.intent.target);
        info!(container = name, "an earlier attempt to {} {name} may have succeeded: probing the engine", self.verb());
        if observed.started_at != target.started_at {
            return Ok(self.already_executed(&observed, *called_at));
        }
        sleep(SETTLE).await;
        let observed = self.container_state().await?;
        if observed.started_at != target.started_at {
            return Ok(self.already_executed(&observed, *called_at));
        }
        match call {
            // No start shows. If one is under way nevertheless, a second one does nothing.
            EngineCall::Start => return self.act(call, &observed, called_at).await,
            EngineCall::Restart => {}
        }
        let recent = CLOCK_SKEW.before(self.intended_at);
        let since = target.started_at.map_or(recent, |started| started.max(recent));
        match self.engine.stop_evidence(&target.id, since).await? {
            StopEvidence::Absent => {
                info!(container = name, "{name} was not stopped since the intent: executing it now");
                return self.act(call, &observed, called_at).await;
            }
            StopEvidence::Present => {
                info!(container = name, "{name} was stopped since the intent: an earlier call may be under way");
            }
            StopEvidence::Unknown => {
                info!(container = name, "the engine has dropped older events: waiting for an earlier call");
            }
        }
        self.wait_for_earlier_call(call, called_at).await
    }

    /// Waits until an earlier restart has ended or cannot be under way any more.
    async fn wait_for_earlier_call(
        &self,
        call: EngineCall,
        called_at: &mut Option<Timestamp>,
    ) -> Result<ExecutionResult, Failure> {
        let name = self.name;
        let began = Instant::now();
        let mut stopped_since = None;
        loop {
            let observed = self.container_state().await?;
            if observed.started_at != self.intent.target.started_at {
                return Ok(self.already_executed(&observed, *called_at));
            }
            match observed.state {
                State::Exited | State::Dead | State::Created => {
                    let since = *stopped_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= STAYS_STOPPED {
                        self.check_fresh()?;
                        info!(container = name, "{name} was stopped and stays so: starting it");
                        return self.start_stopped(called_at).await;
                    }
                }
                State::Running | State::Paused | State::Restarting | State::Removing => {
                    stopped_since = None;
                    if began.elapsed() >= Duration::from(self.stop_timeout(&observed)) + MAX_CALL_OVERRUN {
                        info!(container = name, "no earlier call for {name} was under way: executing the intent now");
                        return self.act(call, &observed, called_at).await;
                    }
                }
            }
            sleep(POLL_EVERY).await;
        }
    }

    /// Docker may refuse a restart between its halves (its port is taken, a mount is gone). A container that we have
    /// stopped must not stay down for that, so its start is retried.
    async fn after_refusal(&self, error: Error, called_at: &mut Option<Timestamp>) -> Result<ExecutionResult, Failure> {
        if !matches!(self.container_state().await?.state, State::Exited | State::Dead) {
            return Err(error.into());
        }
        warn!(container = self.name, "{error}; {} is stopped now, starting it", self.name);
        let mut pauses = RETRY_PAUSES.into_iter();
        loop {
            match (self.start_stopped(called_at).await, pauses.next()) {
                (Err(Failure::Rejected(_)), Some(pause)) => sleep(pause).await,
                (outcome, _) => return outcome,
            }
        }
    }

    /// Executes the second half of a restart: starts the container that its first half stopped.
    async fn start_stopped(&self, called_at: &mut Option<Timestamp>) -> Result<ExecutionResult, Failure> {
        (self.may_act)().await?;
        let (began, at) = (Instant::now(), self.clock.now());
        called_at.get_or_insert(at);
        self.engine.start(&self.intent.target.id).await?;
        let took = Span::from(began.elapsed());
        let now = self.container_state().await?;
        Ok(ExecutionResult::Done {
            target: Some(self.run_of(&now)),
            called_at: *called_at,
            took,
            proof: Proof::Answered,
        })
    }

    /// The result if another run shows that the remedy was executed, though no answer of the engine says so.
    fn already_executed(&self, observed: &ContainerState, called_at: Option<Timestamp>) -> ExecutionResult {
        info!(container = self.name, "{} has started again since: the intent is executed", self.name);
        let took =
            Span::between(called_at.unwrap_or(self.intended_at), observed.started_at.unwrap_or(self.intended_at));
        ExecutionResult::Done { target: Some(self.run_of(observed)), called_at, took, proof: Proof::Found }
    }

    fn run_of(&self, observed: &ContainerState) -> Run {
        Run { id: self.intent.target.id.clone(), started_at: observed.started_at }
    }

    fn stop_timeout(&self, observed: &ContainerState) -> Span {
        self.intent.stop_timeout.or(observed.stop_timeout).unwrap_or(DEFAULT_STOP_TIMEOUT)
    }
}

#[cfg(test)]
mod tests;
