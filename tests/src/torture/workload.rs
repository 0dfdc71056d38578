//! What flows while everything breaks: numbered observations, a fold that knows whether it got each of them once and in
//! order, and an effect that leaves one outcome for each event that asks for it.

use async_trait::async_trait;
use hemostat_core::Projection;
use hemostat_log::RowChange;
use hemostat_runtime::{Context, Effect, Fault, Lost, Permit, Producer, rows};
use hemostat_schema::{
    Event, EventId, Family, HostName, IncidentId, NewEvent, Observation, Recorded, Span, Subject, Timestamp,
    alert::Tested,
    container::{Health, Target},
    observation::{Cleared, Evidence, HealthChanged, Sampled, Seen, Severity, Symptom, SymptomCleared, SymptomRaised},
};
use serde::{Deserialize, Serialize};

use crate::load;

/// Events in one append.
pub(super) const BATCH: usize = 25;

/// Where a producer keeps how far it has come, in the same commit as its events.
pub(super) const PROGRESS: &str = "torture-progress.1";

/// A container falls ill with every twentieth of its events, and is well again eight later.
const ILLNESS: usize = 20;

/// One host's part of the load.
#[derive(Debug, Clone)]
pub struct Share {
    /// The host; it decides the partition.
    pub host: HostName,
    /// Its containers.
    pub containers: usize,
    /// How many events it has in all.
    pub events: usize,
    /// How long the producer rests after each append.
    pub pause: std::time::Duration,
}

impl Share {
    /// Appends what is missing, however often it is begun, and each event once.
    ///
    /// # Errors
    /// When the log fails for a reason that no waiting mends.
    pub async fn produce(&self, ctx: &Context) -> anyhow::Result<()> {
        let partition = ctx.partition_of(&self.host);
        while !ctx.shutdown.is_cancelled() {
            let mut producer = match Producer::acquire(ctx, partition, &format!("torture:{}", self.host)).await {
                Ok(producer) => producer,
                Err(Lost::Lease) => continue,
                Err(Lost::Shutdown) => return Ok(()),
                Err(Lost::Log(error)) => return Err(error.into()),
            };
            let key = self.host.to_string();
            let mut next: usize = loop {
                match ctx.log.rows(partition, PROGRESS, std::slice::from_ref(&key)).await {
                    Ok(mut rows) => break rows.pop().flatten().map_or(Ok(0), |row| rows::decode(&row))?,
                    Err(error) if error.is_transient() => tokio::time::sleep(self.pause).await,
                    Err(error) => return Err(error.into()),
                }
            };
            while next < self.events {
                let until = self.events.min(next + BATCH);
                let events = (next..until).map(|number| self.event(number, ctx.clock.now())).collect();
                let row = Some(rows::encode(&until)?);
                match producer.append(events, vec![RowChange { view: PROGRESS.into(), key: key.clone(), row }]).await {
                    Ok(_) => next = until,
                    Err(Lost::Lease) => break,
                    Err(Lost::Shutdown) => return Ok(()),
                    Err(Lost::Log(error)) => return Err(error.into()),
                }
                tokio::time::sleep(self.pause).await;
            }
            if next == self.events {
                producer.release().await;
                return Ok(());
            }
        }
        Ok(())
    }

    /// The container that the event of this number is about.
    pub fn subject(&self, number: usize) -> Subject {
        format!("{}/c{:02}", self.host, number % self.containers).parse().expect("it is a container's key")
    }

    /// Whether this is what the event of this number says.
    pub(super) fn tells(&self, number: usize, observation: &Observation) -> bool {
        let nth = number / self.containers;
        match (observation, nth % ILLNESS) {
            (Observation::Seen(_), _) => nth == 0,
            (Observation::SymptomRaised(_), phase) => phase == 10,
            (Observation::SymptomCleared(_), phase) => phase == 18,
            (Observation::HealthChanged(_), phase) => phase == 9 || phase == 17,
            (Observation::Sampled(sampled), _) => sampled.vitals.network_rx.0 == number as u64,
            _ => false,
        }
    }

    fn event(&self, number: usize, now: Timestamp) -> NewEvent {
        let (container, nth) = (number % self.containers, number / self.containers);
        let subject = self.subject(number);
        let target = load::target(container);
        let event: Event = match nth % ILLNESS {
            _ if nth == 0 => Seen { facts: load::facts(container) }.into(),
            9 => HealthChanged { target, from: Health::Healthy, to: Health::Unhealthy }.into(),
            10 => raised(target, now).into(),
            17 => HealthChanged { target, from: Health::Unhealthy, to: Health::Healthy }.into(),
            18 => SymptomCleared { symptom: Symptom::Unhealthy, why: Cleared::Well, stood: Span::from_secs(9) }.into(),
            _ => Sampled { vitals: load::vitals(number) }.into(),
        };
        // The same for the whole illness, whoever of the producer's lives tells of it.
        let began = Timestamp::from_millisecond(1_767_225_600_000 + i64::try_from(nth / ILLNESS).unwrap_or(0));
        let incident = IncidentId::begun(&subject, began.unwrap_or(now));
        let ill = nth > 0 && (10..=18).contains(&(nth % ILLNESS));
        NewEvent::new(subject, now, event).in_incident(ill.then_some(incident))
    }
}

fn raised(target: Target, since: Timestamp) -> SymptomRaised {
    SymptomRaised {
        symptom: Symptom::Unhealthy,
        severity: Severity::High,
        since,
        target,
        evidence: Evidence::Health { held: Span::from_secs(5) },
    }
}

/// A view that is right only if every event was folded once, and in order.
#[derive(Debug, Clone, Copy)]
pub struct Chain;

/// The events of one container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Link {
    /// How many there were.
    pub count: u64,
    /// A hash over all of their ids, in the order in which they were folded.
    pub hash: u64,
}

impl Link {
    /// With one more event.
    #[must_use]
    pub fn with(self, id: EventId) -> Self {
        let mix = |hash: u64, part: u64| (hash.rotate_left(5) ^ part).wrapping_mul(0x517c_c1b7_2722_0a95);
        Self { count: self.count + 1, hash: mix(mix(self.hash, id.ms), id.seq) }
    }
}

impl Projection for Chain {
    const NAME: &'static str = "torture-chain";
    const VERSION: u16 = 1;
    const READS: &'static [Family] = &Family::ALL;
    type Row = Link;

    fn keys(event: &Recorded) -> Vec<String> {
        vec![event.subject.to_string()]
    }

    fn evolve(row: Option<Link>, _: &str, event: &Recorded) -> Option<Link> {
        Some(row.unwrap_or_default().with(event.id))
    }
}

/// An effect whose outcomes can be counted by their causes.
#[derive(Debug, Clone, Copy)]
pub struct Count;

impl Count {
    /// Who says so in its outcomes.
    pub const BY: &'static str = "torture";

    /// Whether the event asks for an outcome: every fifth or so that is not of an illness.
    pub fn is_asked_by(event: &Recorded) -> bool {
        match event.event() {
            Some(Event::Observation(Observation::Sampled(sampled))) => sampled.vitals.network_rx.0 % 5 == 0,
            _ => false,
        }
    }
}

#[async_trait]
impl Effect for Count {
    const GROUP: &'static str = "torture-count";
    const READS: &'static [Family] = &[Family::Observation];

    fn wants(&self, event: &Recorded) -> bool {
        Self::is_asked_by(event)
    }

    async fn run(&self, event: &Recorded, permit: &Permit) -> Result<Vec<NewEvent>, Fault> {
        permit.check()?;
        Ok(vec![NewEvent::new(event.subject.clone(), permit.now(), Tested { by: Self::BY.into() })])
    }
}
