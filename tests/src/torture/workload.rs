//! The workload: numbered observations, a projection that detects lost, doubled and reordered events, and an effect with
//! one outcome per event that wants one.

use async_trait::async_trait;
use hemostat_core::Projection;
use hemostat_log::RowChange;
use hemostat_runtime::{Context, Effect, ExecutionGuard, Fault, Producer, ProducerError, read_model};
use hemostat_schema::{
    Event, EventId, Family, HostName, IncidentId, Measurement, NewEvent, Observation, Recorded, Sample, Span, Subject,
    Timestamp,
    alert::Tested,
    container::{Health, Run},
    observation::{Cleared, Evidence, HealthChanged, Seen, Severity, Symptom, SymptomCleared, SymptomRaised},
    sample::Container,
};
use serde::{Deserialize, Serialize};

use crate::event_generator;

/// Events per append.
pub(super) const BATCH: usize = 25;

/// The view in which a producer commits its progress together with its events.
pub(super) const PROGRESS: &str = "torture-progress.1";

/// A container becomes unhealthy once in this many of its events, and recovers eight events later.
const CYCLE: usize = 20;

/// The events of one host.
#[derive(Debug, Clone)]
pub struct HostLoad {
    /// The host; it decides the partition.
    pub host: HostName,
    /// Number of containers.
    pub containers: usize,
    /// Number of events.
    pub events: usize,
    /// Pause of the producer after each append.
    pub pause: std::time::Duration,
}

impl HostLoad {
    /// Appends the missing events, each once, however often it is restarted.
    ///
    /// # Errors
    /// When the log fails permanently.
    pub async fn produce(&self, ctx: &Context) -> anyhow::Result<()> {
        let partition = ctx.partition_of(&self.host);
        while !ctx.shutdown.is_cancelled() {
            let mut producer = match Producer::acquire(ctx, partition, &format!("torture:{}", self.host)).await {
                Ok(producer) => producer,
                Err(ProducerError::LeaseLost) => continue,
                Err(ProducerError::Shutdown) => return Ok(()),
                Err(ProducerError::Log(error)) => return Err(error.into()),
            };
            let key = self.host.to_string();
            let mut next: usize = loop {
                match ctx.log.rows(partition, PROGRESS, std::slice::from_ref(&key)).await {
                    Ok(mut rows) => break rows.pop().flatten().map_or(Ok(0), |row| read_model::decode(&row))?,
                    Err(error) if error.is_transient() => tokio::time::sleep(self.pause).await,
                    Err(error) => return Err(error.into()),
                }
            };
            while next < self.events {
                let end = self.events.min(next + BATCH);
                let events = (next..end).map(|number| self.event(number, ctx.clock.now())).collect();
                let row = Some(read_model::encode(&end)?);
                match producer.append(events, vec![RowChange { view: PROGRESS.into(), key: key.clone(), row }]).await {
                    Ok(_) => next = end,
                    Err(ProducerError::LeaseLost) => break,
                    Err(ProducerError::Shutdown) => return Ok(()),
                    Err(ProducerError::Log(error)) => return Err(error.into()),
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

    /// The container of the event with this number.
    pub fn subject(&self, number: usize) -> Subject {
        format!("{}/c{:02}", self.host, number % self.containers).parse().expect("it is a container's key")
    }

    /// Whether this is the event with this number.
    pub(super) fn matches(&self, number: usize, event: &Event) -> bool {
        let nth = number / self.containers;
        match (event, nth % CYCLE) {
            (Event::Observation(Observation::Seen(_)), _) => nth == 0,
            (Event::Observation(Observation::SymptomRaised(_)), phase) => phase == 10,
            (Event::Observation(Observation::SymptomCleared(_)), phase) => phase == 18,
            (Event::Observation(Observation::HealthChanged(_)), phase) => phase == 9 || phase == 17,
            (Event::Sample(Sample::Container(sample)), _) => sample.vitals.network_rx.0 == number as u64,
            _ => false,
        }
    }

    fn event(&self, number: usize, now: Timestamp) -> NewEvent {
        let (container, nth) = (number % self.containers, number / self.containers);
        let subject = self.subject(number);
        let target = event_generator::target(container);
        let event: Event = match nth % CYCLE {
            _ if nth == 0 => Seen { facts: event_generator::facts(container) }.into(),
            9 => HealthChanged { target, from: Health::Healthy, to: Health::Unhealthy }.into(),
            10 => raised(target, now).into(),
            17 => HealthChanged { target, from: Health::Unhealthy, to: Health::Healthy }.into(),
            18 => SymptomCleared { symptom: Symptom::Unhealthy, why: Cleared::Well, stood: Span::from_secs(9) }.into(),
            _ => Container { vitals: event_generator::vitals(number), holds: Span::ZERO }.into(),
        };
        // The same for the whole incident, also after a restart of the producer.
        let began = Timestamp::from_millisecond(1_767_225_600_000 + i64::try_from(nth / CYCLE).unwrap_or(0));
        let incident = IncidentId::begun(&subject, began.unwrap_or(now));
        let ill = nth > 0 && (10..=18).contains(&(nth % CYCLE));
        NewEvent::new(subject, now, event).in_incident(ill.then_some(incident))
    }
}

fn raised(target: Run, since: Timestamp) -> SymptomRaised {
    SymptomRaised {
        symptom: Symptom::Unhealthy,
        severity: Severity::High,
        since,
        target,
        evidence: Evidence::Health { held: Span::from_secs(5) },
    }
}

/// A projection whose row is correct only if every event was folded once and in order.
#[derive(Debug, Clone, Copy)]
pub struct EventChain;

/// The events of one container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Link {
    /// The number of folded events.
    pub count: u64,
    /// A hash of their ids, in the order in which they were folded.
    pub hash: u64,
}

impl Link {
    /// Adds one event.
    #[must_use]
    pub fn with(self, id: EventId) -> Self {
        let mix = |hash: u64, part: u64| (hash.rotate_left(5) ^ part).wrapping_mul(0x517c_c1b7_2722_0a95);
        Self { count: self.count + 1, hash: mix(mix(self.hash, id.ms), id.seq) }
    }
}

impl Projection for EventChain {
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

/// An effect with countable outcomes.
#[derive(Debug, Clone, Copy)]
pub struct CountEffect;

impl CountEffect {
    /// Its consumer group.
    pub const GROUP: &'static str = "torture-count";
    /// The author of its outcomes.
    pub const BY: &'static str = "torture";

    /// Whether the event wants an outcome: every fifth sample.
    pub fn wants_outcome(event: &Recorded) -> bool {
        matches!(event.measurement(), Some(Measurement::Container(vitals)) if vitals.network_rx.0 % 5 == 0)
    }
}

#[async_trait]
impl Effect for CountEffect {
    const READS: &'static [Family] = &[Family::Sample];

    fn group(&self) -> &str {
        Self::GROUP
    }

    fn wants(&self, event: &Recorded) -> bool {
        Self::wants_outcome(event)
    }

    async fn run(&self, event: &Recorded, guard: &ExecutionGuard) -> Result<Vec<NewEvent>, Fault> {
        guard.check_lease()?;
        Ok(vec![NewEvent::new(event.subject.clone(), guard.began_at(), Tested { by: Self::BY.into() })])
    }
}
