//! Whether everything is as if nothing had happened: each event once, each handled once by each group, in order.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context as _, bail, ensure};
use hemostat_log::{Log, Order, Range};
use hemostat_runtime::rows;
use hemostat_schema::{Action, Alert, Diagnosis, Event, EventId, Family, Observation, Partition, Recorded, Subject};

use super::{Chain, Count, Link, PARTITIONS, Share};

const PAGE: usize = 1_000;

/// What was counted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    observations: usize,
    outcomes: usize,
    diagnoses: usize,
    deeds: usize,
    events: usize,
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { observations, outcomes, diagnoses, deeds, events } = self;
        write!(
            f,
            "{events} events on the log: {observations} observations, each once and in order, {diagnoses} symptoms diagnosed \
             once, {deeds} intents with one outcome each, {outcomes} effects with one outcome each; \
             every event folded once"
        )
    }
}

/// How often an event was answered, and whether it must be: an illness that is over before anybody thinks of it is not
/// diagnosed.
struct Answers {
    to: String,
    count: usize,
    must: bool,
}

/// What of a partition has been seen so far.
#[derive(Default)]
struct Seen {
    counts: Counts,
    /// How many observations of a container have come.
    next: HashMap<Subject, usize>,
    /// Events that are to have one answer.
    answers: HashMap<EventId, Answers>,
    /// The last outcome of a container's effects, and its cause.
    outcomes: HashMap<Subject, EventId>,
    links: BTreeMap<String, Link>,
}

/// Reads the whole log.
///
/// # Errors
/// The first thing that is not as it should be.
pub(super) async fn judge(log: &dyn Log, shares: &[Share]) -> anyhow::Result<Counts> {
    let mut counts = Counts::default();
    for partition in (0..PARTITIONS).map(Partition) {
        let mut seen = Seen::default();
        let mut range = Range::ALL;
        loop {
            let page = log.read(partition, &Family::ALL, range, Order::OldestFirst, PAGE).await?;
            let Some(last) = page.last() else { break };
            range = Range::after(last.id);
            for entry in page {
                let event = entry.event.map_err(anyhow::Error::msg).with_context(|| entry.id.to_string())?;
                seen.take(shares, &event).with_context(|| format!("{} {}", event.id, event.kind()))?;
            }
        }
        seen.end(log, partition).await.with_context(|| format!("in partition {partition}"))?;
        counts.observations += seen.counts.observations;
        counts.outcomes += seen.counts.outcomes;
        counts.diagnoses += seen.counts.diagnoses;
        counts.deeds += seen.counts.deeds;
        counts.events += seen.counts.events;
    }
    let expected: usize = shares.iter().map(|share| share.events).sum();
    ensure!(counts.observations == expected, "{} observations were appended, not {expected}", counts.observations);
    Ok(counts)
}

impl Seen {
    fn take(&mut self, shares: &[Share], event: &Recorded) -> anyhow::Result<()> {
        self.counts.events += 1;
        let link = self.links.entry(event.subject.to_string()).or_default();
        *link = link.with(event.id);
        match event.event().context("no program of ours wrote it")? {
            Event::Observation(observation) => self.observed(shares, event, observation)?,
            // One that a verdict asked for is caused by that.
            Event::Diagnosis(Diagnosis::Reached(_)) => self.counts.diagnoses += usize::from(self.answered(event)?),
            Event::Action(Action::Authorised(_)) => self.is_to_be_answered(event, true),
            Event::Action(Action::Succeeded(_) | Action::Failed(_)) => {
                ensure!(self.answered(event)?, "it is the outcome of no intent");
                self.counts.deeds += 1;
            }
            Event::Alert(Alert::Tested(tested)) if tested.by == Count::BY => {
                ensure!(self.answered(event)?, "it is the outcome of no effect");
                self.counts.outcomes += 1;
                let cause = event.cause.context("it has no cause")?;
                let before = self.outcomes.insert(event.subject.clone(), cause);
                ensure!(before < Some(cause), "its cause {cause} was handled after {before:?}");
            }
            _ => {}
        }
        Ok(())
    }

    fn observed(&mut self, shares: &[Share], event: &Recorded, observation: &Observation) -> anyhow::Result<()> {
        let share = shares.iter().find(|share| share.host == event.subject.host).context("no host of ours")?;
        let nth = self.next.entry(event.subject.clone()).or_default();
        let number = (0..share.containers).find(|number| share.subject(*number) == event.subject);
        let number = number.context("no container of ours")? + *nth * share.containers;
        *nth += 1;
        ensure!(share.tells(number, observation), "it is not number {number} of its host, which was to come next");
        self.counts.observations += 1;
        match observation {
            Observation::SymptomRaised(_) => self.is_to_be_answered(event, false),
            _ if Count::is_asked_by(event) => self.is_to_be_answered(event, true),
            _ => {}
        }
        Ok(())
    }

    fn is_to_be_answered(&mut self, event: &Recorded, must: bool) {
        self.answers.insert(event.id, Answers { to: event.kind(), count: 0, must });
    }

    /// Counts it as the answer to its cause; whether that had to be answered.
    fn answered(&mut self, event: &Recorded) -> anyhow::Result<bool> {
        let Some(answers) = event.cause.and_then(|cause| self.answers.get_mut(&cause)) else { return Ok(false) };
        answers.count += 1;
        ensure!(answers.count == 1, "its cause, {} {:?}, was answered before", answers.to, event.cause);
        Ok(true)
    }

    async fn end(&self, log: &dyn Log, partition: Partition) -> anyhow::Result<()> {
        let missed = self.answers.iter().filter(|(_, answers)| answers.must && answers.count == 0);
        if let Some((id, answers)) = missed.min_by_key(|(id, _)| **id) {
            bail!("{} {id} was never answered", answers.to);
        }
        let parked = log.parked(partition, 10).await?;
        ensure!(parked.is_empty(), "deliveries were parked: {parked:?}");
        for (key, link) in &self.links {
            let view = rows::served::<Chain>(log, partition).await?;
            let row = log.rows(partition, &view, std::slice::from_ref(key)).await?.pop().flatten();
            let row: Link = rows::decode(&row.with_context(|| format!("{key} has no row"))?)?;
            ensure!(row == *link, "the events of {key} were folded into {row:?}, not {link:?}");
        }
        Ok(())
    }
}
