//! Torture: events flow through real processes on a real Redis while everything is killed, frozen and cut off at random;
//! in the end the log, the rows and the outcomes must be as if nothing had happened.
//!
//! ```text
//!   producers ─┐                        ┌─ kill -9 of a worker, of redis-server; SIGSTOP for longer than the lease
//!   roles × 2 ─┼── Proxy ── redis-server│
//!   counters  ─┘     └── answers torn in the middle, all connections cut, answers delayed
//! ```
//!
//! What happens when is drawn from a seed, which is printed: `HEMOSTAT_TORTURE_SEED` draws the same again (what the
//! machine makes of it differs from run to run). The harness itself looks at Redis past the proxy.

mod chaos;
mod team;
mod verdict;
mod workload;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use hemostat_core::Projection as _;
use hemostat_log::{Inspection, Log, Options, RedisLog, migrate};
use hemostat_runtime::Effect as _;
use hemostat_schema::{EventId, Partition, Timestamp};

pub use self::workload::{Chain, Count, Link, Share};
use self::{chaos::Chaos, team::Team};
use crate::{Keeps, Proxy, RedisServer, until};

/// How much of what.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// What is drawn, and when.
    pub seed: u64,
    /// Blows: kills, freezes, torn answers, cuts.
    pub blows: usize,
    /// The pause between two of them, on average.
    pub every: Duration,
    /// Observations, on all hosts together.
    pub events: usize,
    /// How many hosts there are; at least as many as partitions.
    pub hosts: usize,
    /// Containers of each.
    pub containers: usize,
    /// The leases' time to live.
    pub lease: Duration,
    /// How long it may take until everything is dealt with once it is left in peace.
    pub patience: Duration,
}

/// Into how many partitions the log is divided.
const PARTITIONS: u16 = 4;

impl Plan {
    /// One that takes some seconds.
    pub fn short() -> Self {
        Self {
            seed: fastrand::u64(..),
            blows: 30,
            every: Duration::from_millis(250),
            events: 5_000,
            hosts: 4,
            containers: 10,
            lease: Duration::from_secs(1),
            patience: Duration::from_secs(60),
        }
    }

    /// One that takes half an hour.
    pub fn long() -> Self {
        Self {
            blows: 1_000,
            every: Duration::from_secs(1),
            events: 200_000,
            hosts: 8,
            containers: 25,
            patience: Duration::from_secs(900),
            ..Self::short()
        }
    }

    /// Hosts that are spread evenly over the partitions.
    fn shares(&self) -> Vec<Share> {
        let mut numbers = 1..;
        let mut host = |partition: Partition| {
            let named = numbers.by_ref().map(|n| format!("host-{n}").parse().expect("it is a host's name"));
            { named }.find(|host| Partition::of(host, PARTITIONS) == partition).expect("there is no end of numbers")
        };
        let events = self.events / self.hosts;
        // The flow lasts a little longer than the blows.
        let lasts = self.every * u32::try_from(self.blows).unwrap_or(u32::MAX) * 11 / 10;
        let pause = lasts / u32::try_from(events.div_ceil(workload::BATCH)).unwrap_or(u32::MAX);
        let partitions = (0..PARTITIONS).map(Partition).cycle().take(self.hosts);
        partitions
            .map(|partition| Share { host: host(partition), containers: self.containers, events, pause })
            .collect()
    }

    /// Does all of it, and proves that nothing came of it. `counter` is the program of `src/bin/torture.rs`.
    ///
    /// # Errors
    /// What is not as it should be in the end.
    pub async fn run(&self, counter: &Path) -> anyhow::Result<Report> {
        let mut redis = RedisServer::keeping(Keeps::Always).await;
        let options = Options::new(&redis.url())?;
        migrate(&options.clone().partitions(Some(PARTITIONS))).await?;
        let proxy = Proxy::start(redis.socket()).await;
        let shares = self.shares();
        let mut team = Team::start(self, &shares, counter, &format!("redis://{}", proxy.address())).await;

        let log = RedisLog::connect(&options).await?;
        until(self.patience, "everybody is at work", async || {
            team.tend();
            for partition in (0..PARTITIONS).map(Partition) {
                is_staffed(&log.inspect(partition).await?)?;
            }
            Ok(())
        })
        .await;

        let began = Instant::now();
        let mut chaos = Chaos::new(self.seed, self.lease);
        for _ in 0..self.blows {
            chaos.strike(&mut team, &mut redis, &proxy).await;
            chaos.rest(&mut team, self.every).await;
        }
        chaos.end(&mut team).await;
        proxy.mend();
        let struck = began.elapsed();

        self.drain(&log, &mut team).await;
        let drained = began.elapsed() - struck;
        let said = team.stop().await;
        let panicked = said.lines().find(|line| line.contains("panicked"));
        ensure!(panicked.is_none(), "a worker panicked: {}", panicked.unwrap_or_default());
        let counts = verdict::judge(&log, &shares).await?;
        // What the torture itself has put there is no part of a HemoStat.
        for partition in 0..PARTITIONS {
            redis.cli(&["XGROUP", "DESTROY", &format!("hemostat:{{{partition}}}:observations"), Count::GROUP])?;
            redis.cli(&["UNLINK", &format!("hemostat:{{{partition}}}:view:{}", workload::PROGRESS)])?;
        }
        for command in ["verify", "fsck"] {
            team.ask(command, &redis.url()).with_context(|| format!("hemostat {command}"))?;
        }
        team.is_well();
        Ok(Report { blows: chaos.told(), restarts: team.restarts(), struck, drained, counts })
    }

    /// Waits until the producers have appended everything and everybody has dealt with it.
    async fn drain(&self, log: &RedisLog, team: &mut Team) {
        let mut before = vec![];
        let deadline = Instant::now() + self.patience;
        until(self.patience, "everything is dealt with", async || {
            team.tend();
            ensure!(team.has_produced(), "the producers are not through; {:?} left", deadline - Instant::now());
            let mut clocks = vec![];
            for partition in (0..PARTITIONS).map(Partition) {
                let found = log.inspect(partition).await?;
                is_drained(&found).with_context(|| format!("in partition {partition}"))?;
                clocks.push(found.clock);
            }
            // What is in hand may still lead to something.
            let calm = before == clocks;
            before = clocks;
            tokio::time::sleep(self.lease).await;
            ensure!(calm, "something was still added");
            Ok(())
        })
        .await;
    }
}

/// Every group that a partition has, and every view.
const GROUPS: [&str; 9] =
    ["triage", "consult", "authorise", "judge", "execute", "raise", "deliver", "notary", Count::GROUP];
const VIEWS: [&str; 8] =
    ["containers", "incidents", "timeline", "cooldown", "breaker", "dedup", "calibration", Chain::NAME];

/// Who does not work in the partition yet.
fn is_staffed(found: &Inspection) -> anyhow::Result<()> {
    let idle = GROUPS.iter().find(|group| !found.leases.iter().any(|lease| lease.group == **group));
    let missing = VIEWS.iter().find(|view| !found.served.contains_key(**view));
    ensure!(idle.is_none() && missing.is_none(), "nobody has taken up {:?}", idle.or(missing));
    Ok(())
}

/// Why not everything in the partition is dealt with.
fn is_drained(found: &Inspection) -> anyhow::Result<()> {
    is_staffed(found)?;
    for (family, stream) in &found.streams {
        let last = stream.last.unwrap_or(EventId::start(Partition(0)));
        for group in &stream.groups {
            ensure!(
                group.pending.is_empty(),
                "{} events of {family} are pending in {}",
                group.pending.len(),
                group.name
            );
            ensure!(
                stream.last.is_none() || group.delivered >= last,
                "{} has not read {family} to its end",
                group.name
            );
        }
        for (group, cursor) in found.cursors.iter().filter(|(_, cursor)| cursor.families.contains(family)) {
            ensure!(stream.last.is_none() || cursor.at >= last, "{group} has not read {family} to its end");
        }
    }
    let now = Timestamp::now().as_millisecond();
    let rings = found.timers.iter().find(|(_, due)| due.parse::<i64>().is_ok_and(|due| due < now + 2_000));
    ensure!(rings.is_none(), "a timer is due: {rings:?}");
    Ok(())
}

/// What was done, and what came of it.
#[derive(Debug)]
pub struct Report {
    /// The blows, by kind.
    pub blows: String,
    /// How often a worker was started again.
    pub restarts: usize,
    /// How long the blows took.
    pub struck: Duration,
    /// How long it took after the last until everything was dealt with.
    pub drained: Duration,
    /// What was counted in the end.
    pub counts: verdict::Counts,
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { blows, restarts, struck, drained, counts } = self;
        write!(
            f,
            "{blows}; {restarts} workers started again; {:.0} s of blows, {:.1} s until all was dealt with; {counts}; \
             verify and fsck: equal",
            struck.as_secs_f64(),
            drained.as_secs_f64()
        )
    }
}
