//! For any history and any pace of reading, a consumer group receives every event exactly once, in id order.

#![allow(clippy::unwrap_used, reason = "a test ends where something it relies on fails")]

use std::sync::Arc;

use hemostat_log::testing::events::{event, lease, of};
use hemostat_log::{Commit, Inbox, Log, MemoryLog};
use hemostat_schema::{EventId, Family, Timestamp};
use proptest::prelude::*;

/// A step of a random run.
#[derive(Debug, Clone)]
enum Step {
    /// A commit of events of these families, this long after the last step.
    Append(Vec<Family>, u8),
    /// The group reads at most this many.
    Read(usize),
    /// The group acknowledges this many of its deliveries, the first ones.
    Acknowledge(usize),
    /// The group loses its connection, or another worker takes over.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let family = prop::sample::select(&Family::ALL[..]);
    prop_oneof![
        4 => (prop::collection::vec(family, 1..6), 0_u8..3).prop_map(|(families, later)| Step::Append(families, later)),
        6 => (1_usize..5).prop_map(Step::Read),
        2 => (1_usize..8).prop_map(Step::Acknowledge),
        1 => Just(Step::Restart),
    ]
}

/// Runs the steps, then reads to the end. Returns the appended ids and the ids delivered since each restart.
async fn run(steps: &[Step], families: &[Family]) -> (Vec<EventId>, Vec<Vec<EventId>>, Vec<EventId>) {
    let now = Arc::new(std::sync::atomic::AtomicI64::new(1_000));
    let clock = Arc::clone(&now);
    let at = move || Timestamp::from_millisecond(clock.load(std::sync::atomic::Ordering::SeqCst)).unwrap();
    let log: Arc<dyn Log> = Arc::new(MemoryLog::with_clock(1, at));
    let writer = lease(&*log, "writer", "writer").await;
    let mut mine = lease(&*log, "g", "me").await;
    let mut inbox = Inbox::new(Arc::clone(&log), mine.clone(), families);
    let (mut appended, mut given, mut acknowledged) = (vec![], vec![vec![]], vec![]);
    let mut in_hand = vec![];
    for step in steps {
        match step {
            Step::Append(of_families, later) => {
                now.fetch_add(i64::from(*later), std::sync::atomic::Ordering::SeqCst);
                let events: Vec<_> = of_families.iter().map(|family| event(*family, "a", "x")).collect();
                let ids = log.commit(&of(&writer, events)).await.unwrap();
                let wanted = ids.iter().zip(of_families).filter(|(_, family)| families.contains(family));
                appended.extend(wanted.map(|(id, _)| *id));
            }
            Step::Read(max) => {
                let got = inbox.next(*max).await.unwrap();
                given.last_mut().unwrap().extend(got.iter().map(|delivery| delivery.id));
                in_hand.extend(got.into_iter().map(|delivery| (delivery.family, delivery.id)));
            }
            Step::Acknowledge(count) => {
                let acks: Vec<_> = in_hand.drain(..(*count).min(in_hand.len())).collect();
                acknowledged.extend(acks.iter().map(|(_, id)| *id));
                log.commit(&Commit { acks, ..Commit::new(mine.clone()) }).await.unwrap();
            }
            Step::Restart => {
                mine = lease(&*log, "g", "me").await;
                inbox = Inbox::new(Arc::clone(&log), mine.clone(), families);
                in_hand.clear();
                given.push(acknowledged.clone());
            }
        }
    }
    loop {
        let got = inbox.next(3).await.unwrap();
        if got.is_empty() {
            return (appended, given, acknowledged);
        }
        given.last_mut().unwrap().extend(got.iter().map(|delivery| delivery.id));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_event_is_given_once_and_in_order(
        steps in prop::collection::vec(step(), 0..60),
        families in prop::sample::subsequence(&Family::ALL[..], 1..=4),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (appended, given, _) = runtime.block_on(run(&steps, &families));
        // For each restart: the events acknowledged before it, then the rest, each once and in order.
        for since in &given {
            prop_assert!(appended.starts_with(since), "{since:?} of {appended:?}");
        }
        prop_assert_eq!(given.last().unwrap(), &appended);
    }
}
