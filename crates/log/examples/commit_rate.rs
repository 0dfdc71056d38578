//! How many events a second the log takes in and gives out, in commits and reads of 500.
//!
//! ```text
//! cargo run --release -p hemostat-log --example commit_rate -- unix:///run/redis.sock
//! ```
//!
//! It writes into the log at that address, so give it a Redis of its own.

#![allow(clippy::print_stdout, reason = "the figures are what it is for")]

use std::{sync::Arc, time::Instant};

use hemostat_log::{Commit, Inbox, Lease, Log, Options, RedisLog, migrate};
use hemostat_schema::{Family, NewEvent, Partition, Timestamp, observation::EngineLost};

const BATCH: usize = 500;
const BATCHES: usize = 200;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).ok_or("give the address of a Redis, such as unix:///run/redis.sock")?;
    let options = Options::new(&url)?;
    migrate(&options).await?;
    let log: Arc<dyn Log> = Arc::new(RedisLog::connect(&options).await?);

    let writer = lease(&*log, "commit-rate-writer").await?;
    let event = NewEvent::new("host/a".parse()?, Timestamp::now(), EngineLost { error: "x".repeat(200) });
    let began = Instant::now();
    for _ in 0..BATCHES {
        let commit = Commit { events: vec![event.clone(); BATCH], ..Commit::new(writer.clone()) };
        log.commit(&commit).await?;
    }
    report("in: commits of 500 events", BATCH * BATCHES, began);

    let reader = lease(&*log, "commit-rate-reader").await?;
    let mut inbox = Inbox::new(Arc::clone(&log), reader.clone(), [Family::Observation]);
    let (began, mut read) = (Instant::now(), 0);
    loop {
        let got = inbox.next(BATCH).await?;
        if got.is_empty() {
            break;
        }
        read += got.len();
        let acks = got.iter().map(|delivery| (delivery.family, delivery.id)).collect();
        log.commit(&Commit { acks, ..Commit::new(reader.clone()) }).await?;
    }
    report("out: reads of 500 events, each with its commit", read, began);
    Ok(())
}

async fn lease(log: &dyn Log, group: &str) -> Result<Lease, Box<dyn std::error::Error>> {
    let ttl = std::time::Duration::from_secs(600);
    Ok(log.acquire(Partition(0), group, "commit-rate", ttl).await?.ok_or("another commit_rate is running")?)
}

fn report(what: &str, events: usize, began: Instant) {
    let took = began.elapsed();
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let rate = events as f64 / took.as_secs_f64();
    println!("{what}: {events} events in {took:.2?}, {rate:.0} events/s");
}
