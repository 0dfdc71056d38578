//! The effect: an intent on the log becomes one call to Docker and one outcome on the log.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use hemostat_redact::redact;
use hemostat_runtime::{Clock, Effect, Fault, Permit, Undurable};
use hemostat_schema::{
    Action, Event, Family, HostName, NewEvent, Recorded, Span, Timestamp,
    action::{Authorised, Failed, Proof, Refusal, Refused, Succeeded},
};
use tracing::{info, warn};

use crate::{
    deed::{Deed, Denied, Errand, Leave},
    engine::Engine,
};

/// Carries out what was authorised for the containers of the hosts that it serves.
#[derive(Debug)]
pub struct Execute<E> {
    engines: BTreeMap<HostName, E>,
    clock: Arc<dyn Clock>,
    stale_after: Span,
}

impl<E: Engine> Execute<E> {
    /// By this host's engine, telling time by this clock; an intent older than `stale_after` is not carried out.
    pub fn new(host: HostName, engine: E, clock: Arc<dyn Clock>, stale_after: Span) -> Self {
        Self::on([(host, engine)], clock, stale_after)
    }

    /// The same, by the engine of each of these hosts.
    pub fn on(engines: impl IntoIterator<Item = (HostName, E)>, clock: Arc<dyn Clock>, stale_after: Span) -> Self {
        Self { engines: engines.into_iter().collect(), clock, stale_after }
    }

    /// The names of the hosts that it serves.
    fn served(&self) -> String {
        self.engines.keys().map(HostName::as_str).collect::<Vec<_>>().join(", ")
    }

    fn outcome(&self, event: &Recorded, intent: &Authorised, deed: Deed) -> Event {
        let (action, remedy, name) = (event.id, intent.remedy.clone(), event.subject.short());
        let verb = remedy.name();
        match deed {
            Deed::Done { target, called_at, took, proof } => {
                match proof {
                    Proof::Answered => info!(container = name, remedy = verb, "{verb} of {name} done in {took}"),
                    Proof::Found => info!(container = name, remedy = verb, "{verb} of {name} was done already"),
                    Proof::DryRun => info!(container = name, remedy = verb, "would {verb} {name} (dry run)"),
                }
                Succeeded { action, remedy, target, called_at, took, proof }.into()
            }
            Deed::NotDone(error) => {
                // Docker repeats command lines and addresses in its errors.
                let error = redact(&error);
                warn!(container = name, remedy = verb, "could not {verb} {name}: {error}");
                let took = Span::between(event.at, self.clock.now());
                Failed { action, remedy, error, took }.into()
            }
            Deed::Withheld(Undurable { wanted, replicas }) => {
                let refusal = Refusal::Undurable { action, wanted: wanted.to_string(), replicas };
                warn!(container = name, remedy = verb, "{verb} of {name} withheld: {refusal}");
                Refused { remedy, diagnosis: intent.diagnosis, refusal }.into()
            }
        }
    }
}

#[async_trait]
impl<E: Engine> Effect for Execute<E> {
    const GROUP: &'static str = "execute";
    const READS: &'static [Family] = &[Family::Action];

    fn wants(&self, event: &Recorded) -> bool {
        matches!(event.event(), Some(Event::Action(Action::Authorised(_))))
    }

    /// What is for a host that this process does not serve is left to one that does, as long as it may still be done.
    fn leaves(&self, event: &Recorded) -> Option<Timestamp> {
        let host = &event.subject.host;
        if self.engines.contains_key(host) {
            return None;
        }
        Some(self.stale_after.after(event.at))
    }

    async fn run(&self, event: &Recorded, permit: &Permit) -> Result<Vec<NewEvent>, Fault> {
        let Some(Event::Action(Action::Authorised(intent))) = event.event() else { return Ok(vec![]) };
        let leave = Standing { permit, clock: self.clock.as_ref() };
        let deed = match self.engines.get(&event.subject.host) {
            Some(engine) => {
                let errand = Errand {
                    engine,
                    name: event.subject.short(),
                    intended_at: event.at,
                    intent,
                    stale_after: self.stale_after,
                    leave: &leave,
                };
                errand.run(permit.redelivered()).await?
            }
            None => Deed::NotDone(format!(
                "no responder that serves {} took it in time; this one serves {}",
                event.subject.host,
                self.served()
            )),
        };
        let outcome = self.outcome(event, intent, deed);
        Ok(vec![NewEvent::new(event.subject.clone(), self.clock.now(), outcome).in_incident(event.incident.clone())])
    }
}

/// The worker's permit, with the time.
struct Standing<'a> {
    permit: &'a Permit,
    clock: &'a dyn Clock,
}

#[async_trait]
impl Leave for Standing<'_> {
    async fn check(&self) -> Result<(), Denied> {
        if let Some(short) = self.permit.confirm().await? {
            return Err(Denied::Undurable(short));
        }
        // Last: making sure of the intent may have taken longer than the lease is certain.
        Ok(self.permit.check()?)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
