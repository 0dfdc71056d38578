//! Deliveries to scripted channels: the log in memory, and a clock that jumps to the next retry.

use std::collections::VecDeque;

use hemostat_runtime::{
    EffectWorker, LeasedWorker, ManualClock, Step,
    log::{Commit, MemoryLog, Order, Range},
};
use hemostat_schema::{
    EventId, IncidentId, Partition,
    alert::{Escalated, Raised, Resolution, Resolved, Tested},
};

use super::*;
use crate::channel::Receipt;

const P: Partition = Partition(0);
const HOUR: Duration = Duration::from_secs(3600);

/// Answers with the script, then accepts everything.
#[derive(Debug, Clone, Default)]
struct Scripted {
    name: String,
    script: Arc<Mutex<VecDeque<SendError>>>,
    /// The titles that it was sent, with an ! where it refused.
    sent: Arc<Mutex<Vec<String>>>,
}

#[async_trait]
impl Channel for Scripted {
    fn name(&self) -> &str {
        &self.name
    }

    async fn send(&self, notification: &Notification) -> Result<Receipt, SendError> {
        let answer = self.script.lock().unwrap().pop_front();
        let mark = if answer.is_some() { "!" } else { "" };
        self.sent.lock().unwrap().push(format!("{}{mark}", notification.title));
        answer.map_or(Ok(Receipt), Err)
    }
}

fn channel(name: &str, script: impl IntoIterator<Item = SendError>) -> Scripted {
    Scripted {
        name: name.to_owned(),
        script: Arc::new(Mutex::new(script.into_iter().collect())),
        ..Scripted::default()
    }
}

impl Scripted {
    fn sent(&self) -> Vec<String> {
        self.sent.lock().unwrap().clone()
    }
}

fn down() -> SendError {
    SendError::Transient { error: "it answered 500".to_owned(), retry_after: None }
}

struct Bed {
    log: Arc<MemoryLog>,
    clock: Arc<ManualClock>,
    ctx: Context,
}

impl Bed {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_second(1_800_000_000).unwrap()));
        let log = Arc::new(MemoryLog::new(1));
        let ctx = Context { clock: clock.clone(), ..Context::new(log.clone()) };
        Self { log, clock, ctx }
    }

    async fn put(&self, of: &str, alert: impl Into<Event>) -> EventId {
        let subject = format!("h/{of}").parse().unwrap();
        let incident = IncidentId::begun(&subject, Timestamp::UNIX_EPOCH);
        let event = NewEvent::new(subject, self.clock.now(), alert).in_incident(Some(incident));
        let lease = self.log.acquire(P, "raise", "test", HOUR).await.unwrap().unwrap();
        let commit = Commit { events: vec![event], seq: Some(1), ..Commit::new(lease) };
        self.log.commit(&commit).await.unwrap()[0]
    }

    async fn raise(&self, of: &str, severity: Severity) -> EventId {
        self.put(of, Raised { severity, title: format!("{of} is sick"), text: String::new() }).await
    }

    async fn resolve(&self, of: &str, alert: EventId) {
        let (title, text, took) = (format!("{of} is well"), String::new(), Span::from_secs(1));
        self.put(of, Resolved { alert, how: Resolution::Passed, title, text, took }).await;
    }

    fn worker(
        &self,
        channel: &Scripted,
        least: Severity,
        retry_for: Duration,
    ) -> LeasedWorker<EffectWorker<DeliverAlerts>> {
        let deliver = DeliverAlerts::new(&self.ctx, Box::new(channel.clone()), least, retry_for);
        LeasedWorker::new(self.ctx.clone(), EffectWorker::new(self.ctx.clone(), P, Arc::new(deliver)))
    }

    /// A new process delivers, from retry to retry, until the channel has been sent `count` notifications and nothing is
    /// left to do.
    async fn deliver(&self, channel: &Scripted, least: Severity, retry_for: Duration, count: usize) {
        let mut worker = self.worker(channel, least, retry_for);
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let until = match worker.step().await.unwrap() {
                Step::Idle { until } => until,
                Step::Worked { .. } | Step::StandingBy => None,
            };
            if channel.sent().len() >= count && self.is_settled(&delivery_group(&channel.name)).await {
                assert_eq!(channel.sent().len(), count, "{:?}", channel.sent());
                return;
            }
            if let Some(until) = until {
                self.clock.advance(Span::between(self.clock.now(), until));
            }
            assert!(Instant::now() < deadline, "{:?}", channel.sent());
            tokio::task::yield_now().await;
        }
    }

    async fn is_settled(&self, group: &str) -> bool {
        let lag = self.log.lag(P, group, &[Family::Alert]).await.unwrap();
        lag == 0 && self.log.timers(P, group).await.unwrap().is_empty()
    }

    /// What became of each alert: `ops delivered a is sick at attempt 2`.
    async fn outcomes(&self) -> Vec<String> {
        let entries = self.log.read(P, &[Family::Alert], Range::ALL, Order::OldestFirst, 1000).await.unwrap();
        let events: Vec<Recorded> = entries.into_iter().map(|entry| entry.event.unwrap()).collect();
        let title = |alert: EventId| {
            let event = events.iter().find(|event| event.id == alert).unwrap();
            Notification::of(event, None).unwrap().title
        };
        let outcome = |event: &Recorded| match event.event() {
            Some(Event::Alert(Alert::Delivered(done))) => {
                Some(format!("{} delivered {} at attempt {}", done.channel, title(done.alert), done.attempts))
            }
            Some(Event::Alert(Alert::Undelivered(not))) => {
                let Undelivered { channel, attempts, error, alert } = not;
                Some(format!("{channel} did not deliver {} in {attempts} attempts: {error}", title(*alert)))
            }
            _ => None,
        };
        events.iter().filter_map(outcome).collect()
    }
}

#[tokio::test]
async fn an_alert_is_retried_until_it_is_accepted_refused_or_too_old() {
    let refused = SendError::Permanent("it answered 404".to_owned());
    for (script, count, outcome) in [
        (vec![], 1, "ops delivered a is sick at attempt 1".to_owned()),
        (vec![down(), down()], 3, "ops delivered a is sick at attempt 3".to_owned()),
        (vec![refused.clone()], 1, "ops did not deliver a is sick in 1 attempts: it answered 404".to_owned()),
        (vec![down(), refused], 2, "ops did not deliver a is sick in 2 attempts: it answered 404".to_owned()),
    ] {
        let bed = Bed::new();
        let ops = channel("ops", script);
        bed.worker(&ops, Severity::Low, HOUR).step().await.unwrap();
        bed.raise("a", Severity::High).await;
        bed.deliver(&ops, Severity::Low, HOUR, count).await;
        assert_eq!(bed.outcomes().await, [outcome]);
    }
    // Delays of a second, two, four ... with jitter: 10 s are over after 4 to 6 attempts.
    let bed = Bed::new();
    let ops = channel("ops", vec![down(); 99]);
    let mut worker = bed.worker(&ops, Severity::Low, Duration::from_secs(10));
    worker.step().await.unwrap();
    bed.raise("a", Severity::High).await;
    while bed.outcomes().await.is_empty() {
        if let Step::Idle { until: Some(until) } = worker.step().await.unwrap() {
            bed.clock.advance(Span::between(bed.clock.now(), until));
        }
        tokio::task::yield_now().await;
    }
    let attempts = ops.sent().len();
    assert!((4..=6).contains(&attempts), "{attempts}");
    let given_up = format!("ops did not deliver a is sick in {attempts} attempts: it answered 500");
    assert_eq!(bed.outcomes().await, [given_up]);
}

#[tokio::test]
async fn a_retry_waits_as_long_as_the_channel_asks_but_at_most_a_minute() {
    for (asked, waits) in [(7, 7), (86_400, 60)] {
        let bed = Bed::new();
        let retry_after = Some(Duration::from_secs(asked));
        let ops = channel("ops", [SendError::Transient { error: String::new(), retry_after }]);
        bed.worker(&ops, Severity::Low, HOUR).step().await.unwrap();
        let began = bed.clock.now();
        bed.raise("a", Severity::High).await;
        bed.deliver(&ops, Severity::Low, HOUR, 2).await;
        assert_eq!(Span::between(began, bed.clock.now()), Span::from_secs(waits));
    }
}

#[tokio::test]
async fn a_dead_channel_delays_neither_another_channel_nor_another_container_and_keeps_the_order_of_its_own() {
    let bed = Bed::new();
    let (dead, well) = (channel("dead", vec![down(); 2]), channel("well", []));
    for channel in [&dead, &well] {
        bed.worker(channel, Severity::Low, HOUR).step().await.unwrap();
    }
    let alert = bed.raise("a", Severity::High).await;
    let began = bed.clock.now();
    bed.deliver(&well, Severity::Low, HOUR, 1).await;
    assert_eq!(bed.clock.now(), began, "it need not wait");
    // One process makes the first attempt, another one the rest.
    let mut worker = bed.worker(&dead, Severity::Low, HOUR);
    while bed.log.timers(P, "deliver:dead").await.unwrap().is_empty() {
        worker.step().await.unwrap();
        tokio::task::yield_now().await;
    }
    bed.resolve("a", alert).await;
    bed.deliver(&dead, Severity::Low, HOUR, 4).await;
    assert_eq!(dead.sent(), ["a is sick!", "a is sick!", "a is sick", "a is well"]);
    let dead_outcomes: Vec<_> = bed.outcomes().await.into_iter().filter(|line| line.starts_with("dead")).collect();
    assert_eq!(dead_outcomes, ["dead delivered a is sick at attempt 3", "dead delivered a is well at attempt 1"]);
}

#[tokio::test]
async fn a_new_channel_begins_now_and_is_told_what_is_open() {
    let bed = Bed::new();
    let over = bed.raise("over", Severity::High).await;
    bed.resolve("over", over).await;
    bed.put("test", Tested { by: "ann".to_owned() }).await;
    let open = bed.raise("open", Severity::High).await;
    let worse = bed.raise("worse", Severity::High).await;
    let (title, text) = ("worse needs you".to_owned(), String::new());
    bed.put("worse", Escalated { alert: worse, title, text }).await;

    let ops = channel("ops", []);
    bed.deliver(&ops, Severity::Low, HOUR, 2).await;
    let mut first = ops.sent();
    first.sort();
    assert_eq!(first, ["open is sick", "worse needs you"]);
    bed.resolve("open", open).await;
    bed.deliver(&ops, Severity::Low, HOUR, 3).await;
    assert_eq!(ops.sent()[2], "open is well");
    bed.deliver(&ops, Severity::Low, HOUR, 3).await;
}

#[tokio::test]
async fn the_channel_of_the_old_settings_goes_on_where_it_was() {
    let bed = Bed::new();
    bed.raise("told", Severity::High).await;
    let unread = bed.raise("unread", Severity::High).await;
    // The program before this one has delivered the first alert, and stopped.
    let lease = bed.log.acquire(P, "deliver", "before", HOUR).await.unwrap().unwrap();
    let reader = bed.log.pending(&lease, &[Family::Alert]).await.unwrap().reader;
    let told = bed.log.deliver(&lease, reader, &[Family::Alert], 1).await.unwrap()[0].id;
    bed.log.commit(&Commit { acks: vec![(Family::Alert, told)], ..Commit::new(lease.clone()) }).await.unwrap();
    bed.log.release(&lease).await.unwrap();

    let slack = channel("slack", []);
    bed.deliver(&slack, Severity::Low, HOUR, 1).await;
    assert_eq!(slack.sent(), ["unread is sick"]);
    bed.resolve("unread", unread).await;
    bed.deliver(&slack, Severity::Low, HOUR, 2).await;
}

#[tokio::test]
async fn a_channel_for_severe_incidents_is_told_their_whole_story_and_nothing_of_others() {
    let bed = Bed::new();
    let oncall = channel("oncall", []);
    bed.worker(&oncall, Severity::Critical, HOUR).step().await.unwrap();
    for (of, severity) in [("mild", Severity::High), ("grave", Severity::Critical)] {
        let alert = bed.raise(of, severity).await;
        let (title, text) = (format!("{of} needs you"), String::new());
        bed.put(of, Escalated { alert, title, text }).await;
        bed.resolve(of, alert).await;
    }
    bed.put("any", Tested { by: "ann".to_owned() }).await;
    bed.deliver(&oncall, Severity::Critical, HOUR, 4).await;
    let mut sent = oncall.sent();
    sent.retain(|title| title != "Test alert from HemoStat");
    assert_eq!(sent, ["grave is sick", "grave needs you", "grave is well"]);
}
