//! Executes a remedy: at most once where Docker's record tells whether an earlier call was received, whenever processes
//! die.
//!
//! The intent (`action.authorised`) is on the log before the engine is called, and the outcome after. If a process dies
//! in between, the intent is redelivered to a process that does not know whether the first one called the engine. The
//! same doubt arises when the engine does not answer a call. The process then probes the engine before it acts:
//!
//! ```text
//!  probe ──► it is executed ──────────► the result says so: Found
//!        ├─► a part of it is executed ─► the rest is executed
//!        └─► it is not executed ───────► precondition ──► intent still fresh? ──► lease and durability ──► act
//!                                                              (not in doubt: from here)
//! ```
//!
//! Docker completes a call whose caller is gone, so an earlier call need not be repeated. Docker's record does not say
//! who called: when in doubt, what an operator or the restart policy did counts as ours. So a stale intent is not
//! executed: HemoStat does not undo an operator's stop later.
//!
//! All of this is the same for every remedy. What differs is in the `RemedyExecutor` of each, one file per remedy.

use std::{fmt, future::Future};

use hemostat_runtime::{Clock, Fault, NotDurable};
use hemostat_schema::{
    Span, Timestamp,
    action::{Authorised, OnRun, Proof, Remedy, RemedyKind, Target},
    container::Run,
};
use tokio::time::sleep;
use tracing::{info, warn};

mod call;
mod failure;
mod remedy_executor;
mod restart;
mod start;

use call::{Call, RETRY_PAUSES};
pub use failure::NotAllowed;
use failure::{Failure, superseded};
use remedy_executor::{Probe, RemedyExecutor};
use restart::Restart;
use start::Start;

use crate::engine::Engine;

/// The executor of each remedy.
fn executor(intent: &Authorised) -> Result<Box<dyn RemedyExecutor + '_>, Failure> {
    match (&intent.remedy, &intent.target) {
        (Remedy::Restart, Target::Run(run)) => Ok(Box::new(Restart { run, stop_timeout: intent.stop_timeout })),
        (Remedy::Start, Target::Run(run)) => Ok(Box::new(Start { run })),
        (Remedy::Restart | Remedy::Start, Target::Service(_) | Target::Host) => {
            Err(Failure::Rejected(format!("{} acts on a container and nothing else", intent.remedy.name())))
        }
        (Remedy::Stop | Remedy::Scale | Remedy::Cleanup | Remedy::Exec { .. }, _) => {
            let supported = RemedyKind::ALL.into_iter().filter(|kind| kind.info().unsupported.is_none());
            let supported: Vec<_> = supported.map(RemedyKind::name).collect();
            let (remedy, supported) = (intent.remedy.name(), supported.join(" and "));
            Err(Failure::Rejected(format!("this responder cannot execute {remedy}, only {supported}")))
        }
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
        write!(f, "RemedyExecution({} {})", self.intent.remedy.name(), self.name)
    }
}

impl<E, G, F> RemedyExecution<'_, E, G>
where
    E: Engine,
    G: Fn() -> F + Sync,
    F: Future<Output = Result<(), NotAllowed>> + Send,
{
    /// Executes the remedy, with retries while the engine does not answer. `in_doubt`: an earlier attempt may have
    /// called the engine.
    ///
    /// # Errors
    /// The fault of `may_act`, as when the lease may have expired. The remedy is then executed later or by another
    /// process.
    pub async fn run(&self, mut in_doubt: bool) -> Result<ExecutionResult, Fault> {
        let may_act = || Box::pin((self.may_act)()) as call::Permission<'_>;
        let mut call = Call::new(self.engine, self.name, self.intended_at, self.clock, &may_act);
        let mut pauses = RETRY_PAUSES.into_iter();
        loop {
            match self.attempt(in_doubt, &mut call).await {
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
                    in_doubt |= call.called_at().is_some();
                }
            }
        }
    }

    async fn attempt(&self, in_doubt: bool, call: &mut Call<'_>) -> Result<ExecutionResult, Failure> {
        let executor = executor(self.intent)?;
        if self.intent.dry_run {
            executor.precondition(call).await?;
            return Ok(ExecutionResult::Done { target: None, called_at: None, took: Span::ZERO, proof: Proof::DryRun });
        }
        if in_doubt {
            let (name, verb) = (self.name, self.intent.remedy.info().verb);
            info!(container = name, "an earlier attempt to {verb} {name} may have succeeded: probing the engine");
            match executor.probe(call).await? {
                Probe::Executed(run) => return Ok(self.found(call, run)),
                Probe::Partly(rest) => return self.act(rest.as_ref(), call).await,
                Probe::NotExecuted => info!(container = name, "no earlier attempt succeeded: executing it now"),
            }
        }
        call.begin();
        self.act(executor.as_ref(), call).await
    }

    async fn act(&self, executor: &dyn RemedyExecutor, call: &mut Call<'_>) -> Result<ExecutionResult, Failure> {
        executor.precondition(call).await?;
        self.check_fresh()?;
        executor.act(call).await?;
        let (called_at, took) = (call.called_at(), call.took());
        let target = match self.intent.target.run() {
            Some(run) if self.intent.remedy.info().on_run != OnRun::Ends => Some(call.present_run(&run.id).await?),
            Some(_) | None => None,
        };
        Ok(ExecutionResult::Done { target, called_at, took, proof: Proof::Answered })
    }

    /// A remedy that was intended before a long outage may no longer help.
    fn check_fresh(&self) -> Result<(), Failure> {
        let age = Span::between(self.intended_at, self.clock.now());
        if age <= self.stale_after {
            return Ok(());
        }
        Err(superseded(&format!("the intent is {age} old, more than {}", self.stale_after)))
    }

    /// The result if the engine shows that the remedy was executed, though no answer of it says so.
    fn found(&self, call: &Call<'_>, run: Option<Run>) -> ExecutionResult {
        info!(container = self.name, "the intent to {} {} is executed", self.intent.remedy.info().verb, self.name);
        let called_at = call.called_at();
        let ended = run.as_ref().and_then(|run| run.started_at).unwrap_or(self.intended_at);
        let took = Span::between(called_at.unwrap_or(self.intended_at), ended);
        ExecutionResult::Done { target: run, called_at, took, proof: Proof::Found }
    }
}

#[cfg(test)]
mod tests;
