//! Verifies the log after the run: each event appended once, and processed once and in order by each group.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context as _, bail, ensure};
use hemostat_log::{Log, Order, Range};
use hemostat_runtime::read_model;
use hemostat_schema::{Action, Alert, Diagnosis, Event, EventId, Family, Observation, Partition, Recorded, Subject};

use super::{
    plan::PARTITIONS,
    workload::{CountEffect, EventChain, HostLoad, Link},
};

const PAGE: usize = 1_000;

/// The number of verified events.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    observations: usize,
    outcomes: usize,
    diagnoses: usize,
    executions: usize,
    events: usize,
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { observations, outcomes, diagnoses, executions, events } = self;
        write!(
            f,
            "{events} events on the log: {observations} observations, each once and in order, {diagnoses} symptoms diagnosed \
             once, {executions} intents with one outcome each, {outcomes} effects with one outcome each; \
             every event folded once"
        )
    }
}

/// The outcomes of an event, and whether it must have one: a symptom that clears early is not diagnosed.
struct Pending {
    to: String,
    count: usize,
    must: bool,
}

/// The state of the verification of one partition.
#[derive(Default)]
struct PartitionCheck {
    counts: Counts,
    /// The number of observations per container.
    next: HashMap<Subject, usize>,
    /// Events that should have one outcome.
    pending: HashMap<EventId, Pending>,
    /// The cause of the last effect outcome per container.
    outcomes: HashMap<Subject, EventId>,
    links: BTreeMap<String, Link>,
}

/// Reads and verifies the whole log.
///
/// # Errors
/// The first violation.
pub(super) async fn verify(log: &dyn Log, loads: &[HostLoad]) -> anyhow::Result<Counts> {
    let mut counts = Counts::default();
    for partition in (0..PARTITIONS).map(Partition) {
        let mut check = PartitionCheck::default();
        let mut range = Range::ALL;
        loop {
            let page = log.read(partition, &Family::ALL, range, Order::OldestFirst, PAGE).await?;
            let Some(last) = page.last() else { break };
            range = Range::after(last.id);
            for entry in page {
                let event = entry.event.map_err(anyhow::Error::msg).with_context(|| entry.id.to_string())?;
                check.take(loads, &event).with_context(|| format!("{} {}", event.id, event.kind()))?;
            }
        }
        check.end(log, partition).await.with_context(|| format!("in partition {partition}"))?;
        counts.observations += check.counts.observations;
        counts.outcomes += check.counts.outcomes;
        counts.diagnoses += check.counts.diagnoses;
        counts.executions += check.counts.executions;
        counts.events += check.counts.events;
    }
    let expected: usize = loads.iter().map(|load| load.events).sum();
    ensure!(counts.observations == expected, "{} observations were appended, not {expected}", counts.observations);
    Ok(counts)
}

impl PartitionCheck {
    fn take(&mut self, loads: &[HostLoad], event: &Recorded) -> anyhow::Result<()> {
        self.counts.events += 1;
        let link = self.links.entry(event.subject.to_string()).or_default();
        *link = link.with(event.id);
        match event.event().context("an unknown event")? {
            known @ (Event::Observation(_) | Event::Sample(_)) => self.observed(loads, event, known)?,
            // A diagnosis that an unsuccessful verification caused has no symptom as its cause.
            Event::Diagnosis(Diagnosis::Reached(_)) => {
                self.counts.diagnoses += usize::from(self.record_outcome(event)?)
            }
            Event::Action(Action::Authorised(_)) => self.expect_outcome(event, true),
            Event::Action(Action::Succeeded(_) | Action::Failed(_)) => {
                ensure!(self.record_outcome(event)?, "it is not the outcome of an authorised remedy");
                self.counts.executions += 1;
            }
            Event::Alert(Alert::Tested(tested)) if tested.by == CountEffect::BY => {
                ensure!(self.record_outcome(event)?, "it is not the outcome of an effect");
                self.counts.outcomes += 1;
                let cause = event.cause.context("it has no cause")?;
                let before = self.outcomes.insert(event.subject.clone(), cause);
                ensure!(before < Some(cause), "its cause {cause} was handled after {before:?}");
            }
            _ => {}
        }
        Ok(())
    }

    fn observed(&mut self, loads: &[HostLoad], event: &Recorded, known: &Event) -> anyhow::Result<()> {
        let load = loads.iter().find(|load| load.host == event.subject.host).context("an unknown host")?;
        let nth = self.next.entry(event.subject.clone()).or_default();
        let number = (0..load.containers).find(|number| load.subject(*number) == event.subject);
        let number = number.context("an unknown container")? + *nth * load.containers;
        *nth += 1;
        ensure!(load.matches(number, known), "it is not event {number} of its host, which comes next");
        self.counts.observations += 1;
        match known {
            Event::Observation(Observation::SymptomRaised(_)) => self.expect_outcome(event, false),
            _ if CountEffect::wants_outcome(event) => self.expect_outcome(event, true),
            _ => {}
        }
        Ok(())
    }

    fn expect_outcome(&mut self, event: &Recorded, must: bool) {
        self.pending.insert(event.id, Pending { to: event.kind(), count: 0, must });
    }

    /// Counts it as an outcome of its cause; `false` if the cause expects none.
    fn record_outcome(&mut self, event: &Recorded) -> anyhow::Result<bool> {
        let Some(pending) = event.cause.and_then(|cause| self.pending.get_mut(&cause)) else { return Ok(false) };
        pending.count += 1;
        ensure!(pending.count == 1, "its cause, {} {:?}, already has an outcome", pending.to, event.cause);
        Ok(true)
    }

    async fn end(&self, log: &dyn Log, partition: Partition) -> anyhow::Result<()> {
        let missed = self.pending.iter().filter(|(_, pending)| pending.must && pending.count == 0);
        if let Some((id, pending)) = missed.min_by_key(|(id, _)| **id) {
            bail!("{} {id} has no outcome", pending.to);
        }
        let dead_letters = log.dead_letters(partition, 10).await?;
        ensure!(dead_letters.is_empty(), "there are dead letters: {dead_letters:?}");
        for (key, link) in &self.links {
            let view = read_model::served::<EventChain>(log, partition).await?;
            let row = log.rows(partition, &view, std::slice::from_ref(key)).await?.pop().flatten();
            let row: Link = read_model::decode(&row.with_context(|| format!("{key} has no row"))?)?;
            ensure!(row == *link, "the events of {key} were folded into {row:?}, not {link:?}");
        }
        Ok(())
    }
}
