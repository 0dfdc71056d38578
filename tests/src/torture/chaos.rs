//! What strikes, when and whom: drawn from a seed.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    time::{Duration, Instant},
};

use fastrand::Rng;

use super::team::Team;
use crate::{Proxy, RedisServer};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Blow {
    WorkerKilled,
    RedisKilled,
    WorkerFrozen,
    AnswersTorn,
    AllCut,
    Delayed,
}

/// How often each blow strikes, in a hundred.
const SHARES: [(Blow, u8); 6] = [
    (Blow::WorkerKilled, 45),
    (Blow::RedisKilled, 12),
    (Blow::WorkerFrozen, 15),
    (Blow::AnswersTorn, 18),
    (Blow::AllCut, 5),
    (Blow::Delayed, 5),
];

/// What strikes.
pub(super) struct Chaos {
    random: Rng,
    lease: Duration,
    struck: BTreeMap<Blow, usize>,
    /// Members that are frozen, and until when.
    frozen: Vec<(usize, Instant)>,
}

impl Chaos {
    pub(super) fn new(seed: u64, lease: Duration) -> Self {
        Self { random: Rng::with_seed(seed), lease, struck: BTreeMap::new(), frozen: vec![] }
    }

    /// One blow.
    pub(super) async fn strike(&mut self, team: &mut Team, redis: &mut RedisServer, proxy: &Proxy) {
        let mut drawn = self.random.u8(0..100);
        let blow = SHARES.iter().find(|(_, share)| match drawn.checked_sub(*share) {
            Some(rest) => {
                drawn = rest;
                false
            }
            None => true,
        });
        let blow = blow.map_or(Blow::WorkerKilled, |(blow, _)| *blow);
        *self.struck.entry(blow).or_default() += 1;
        proxy.delay(Duration::ZERO);
        let member = self.random.usize(0..team.len());
        match blow {
            Blow::WorkerKilled => team.kill(member),
            Blow::RedisKilled => {
                redis.kill();
                let down = Duration::from_millis(self.random.u64(0..300));
                self.wait(team, down).await;
                redis.restart().await;
            }
            Blow::WorkerFrozen => {
                team.freeze(member);
                let frost = self.lease.mul_f64(1.2 + self.random.f64());
                self.frozen.push((member, Instant::now() + frost));
            }
            Blow::AnswersTorn => proxy.tear(self.random.u32(1..4)),
            Blow::AllCut => proxy.cut(),
            Blow::Delayed => proxy.delay(Duration::from_millis(self.random.u64(5..100))),
        }
    }

    /// Leaves the team alone for a while, more or less `pause`, but for thawing and starting again.
    pub(super) async fn rest(&mut self, team: &mut Team, pause: Duration) {
        let pause = pause.mul_f64(0.5 + self.random.f64());
        self.wait(team, pause).await;
    }

    /// Everybody is thawed.
    pub(super) async fn end(&mut self, team: &mut Team) {
        while !self.frozen.is_empty() {
            self.wait(team, Duration::from_millis(100)).await;
        }
    }

    async fn wait(&mut self, team: &mut Team, pause: Duration) {
        let end = Instant::now() + pause;
        loop {
            self.frozen.retain(|(member, until)| {
                let stays = Instant::now() < *until;
                if !stays {
                    team.thaw(*member);
                }
                stays
            });
            team.tend();
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(Duration::from_millis(50))).await;
        }
    }

    /// What has struck how often.
    pub(super) fn told(&self) -> String {
        let mut told = format!("{} blows", self.struck.values().sum::<usize>());
        for (n, (blow, count)) in self.struck.iter().enumerate() {
            let what = match blow {
                Blow::WorkerKilled => "workers killed",
                Blow::RedisKilled => "times Redis killed",
                Blow::WorkerFrozen => "workers frozen beyond their leases",
                Blow::AnswersTorn => "times answers torn",
                Blow::AllCut => "times all cut off",
                Blow::Delayed => "times answers delayed",
            };
            // Writing to a string cannot fail.
            let _ = write!(told, "{} {count} {what}", if n == 0 { ":" } else { "," });
        }
        told
    }
}
