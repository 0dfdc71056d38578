//! The effect that executes an authorised remedy: one intent on the log becomes one outcome on the log.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use hemostat_core::Policy;
use hemostat_redact::redact;
use hemostat_runtime::{Clock, Effect, ExecutionGuard, Fault, NotDurable};
use hemostat_schema::{
    Action, DecidedOn, Event, Family, HostName, NewEvent, Recorded, Span, Timestamp,
    action::{Authorised, Failed, Proof, Refusal, Refused, Succeeded},
};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::{
    engine::Engine,
    remedy_execution::{ExecutionResult, NotAllowed, RemedyExecution},
};

/// Executes authorised remedies for the containers of the hosts that it serves.
#[derive(Debug)]
pub struct Execute<E> {
    engines: BTreeMap<HostName, E>,
    clock: Arc<dyn Clock>,
    policy: watch::Receiver<Arc<Policy>>,
}

impl<E: Engine> Execute<E> {
    /// For one host. An intent older than the `stale_after` of the policy is not executed.
    pub fn new(host: HostName, engine: E, clock: Arc<dyn Clock>, policy: watch::Receiver<Arc<Policy>>) -> Self {
        Self::on([(host, engine)], clock, policy)
    }

    /// For these hosts, each with its engine.
    pub fn on(
        engines: impl IntoIterator<Item = (HostName, E)>,
        clock: Arc<dyn Clock>,
        policy: watch::Receiver<Arc<Policy>>,
    ) -> Self {
        Self { engines: engines.into_iter().collect(), clock, policy }
    }

    fn stale_after(&self) -> Span {
        self.policy.borrow().stale_after
    }

    /// The names of the hosts that it serves.
    fn served(&self) -> String {
        self.engines.keys().map(HostName::as_str).collect::<Vec<_>>().join(", ")
    }

    fn outcome(&self, event: &Recorded, intent: &Authorised, result: ExecutionResult) -> Event {
        let (action, remedy, name) = (event.id, intent.remedy.clone(), event.subject.short());
        let verb = remedy.name();
        match result {
            ExecutionResult::Done { target, called_at, took, proof } => {
                match proof {
                    Proof::Answered => info!(container = name, remedy = verb, "{verb} of {name} done in {took}"),
                    Proof::Found => info!(container = name, remedy = verb, "{verb} of {name} was done already"),
                    Proof::DryRun => info!(container = name, remedy = verb, "would {verb} {name} (dry run)"),
                }
                Succeeded { action, remedy, target, called_at, took, proof }.into()
            }
            ExecutionResult::Failed(error) => {
                // Docker repeats command lines and addresses in its errors.
                let error = redact(&error);
                warn!(container = name, remedy = verb, "could not {verb} {name}: {error}");
                let took = Span::between(event.at, self.clock.now());
                Failed { action, remedy, error, took }.into()
            }
            ExecutionResult::NotExecuted(NotDurable { wanted, replicas }) => {
                let trigger = Some(DecidedOn::Event(action));
                let refusal = Refusal::NotDurable { action, wanted: wanted.to_string(), replicas };
                warn!(container = name, remedy = verb, "{verb} of {name} not executed: {refusal}");
                Refused { remedy, diagnosis: intent.diagnosis, refusal, policy: intent.policy, trigger }.into()
            }
        }
    }
}

#[async_trait]
impl<E: Engine> Effect for Execute<E> {
    const READS: &'static [Family] = &[Family::Action];

    fn group(&self) -> &str {
        "execute"
    }

    fn wants(&self, event: &Recorded) -> bool {
        matches!(event.event(), Some(Event::Action(Action::Authorised(_))))
    }

    /// An intent for another host is left to a process that serves it, until the intent is stale.
    fn delegated_until(&self, event: &Recorded) -> Option<Timestamp> {
        let host = &event.subject.host;
        if self.engines.contains_key(host) {
            return None;
        }
        Some(self.stale_after().after(event.at))
    }

    async fn run(&self, event: &Recorded, guard: &ExecutionGuard) -> Result<Vec<NewEvent>, Fault> {
        let Some(Event::Action(Action::Authorised(intent))) = event.event() else { return Ok(vec![]) };
        let result = match self.engines.get(&event.subject.host) {
            Some(engine) => {
                let execution = RemedyExecution {
                    engine,
                    name: event.subject.short(),
                    intended_at: event.at,
                    intent,
                    stale_after: self.stale_after(),
                    clock: self.clock.as_ref(),
                    may_act: || may_act(guard),
                };
                execution.run(guard.redelivered()).await?
            }
            None => ExecutionResult::Failed(format!(
                "no responder that serves {} took it in time; this one serves {}",
                event.subject.host,
                self.served()
            )),
        };
        let outcome = self.outcome(event, intent, result);
        Ok(vec![NewEvent::new(event.subject.clone(), self.clock.now(), outcome).in_incident(event.incident.clone())])
    }
}

/// Whether the engine may be called now: the intent is durable, and the lease is certainly ours.
async fn may_act(guard: &ExecutionGuard) -> Result<(), NotAllowed> {
    if let Some(short) = guard.confirm_durable().await? {
        return Err(NotAllowed::NotDurable(short));
    }
    // Last, as confirming may have taken longer than the lease is certain.
    Ok(guard.check_lease()?)
}
