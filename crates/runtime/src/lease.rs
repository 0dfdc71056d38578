//! Holding a lease: taking it, renewing it, knowing for certain that it is still ours, giving it back.
//!
//! The log refuses commits of an old epoch, but it cannot refuse an effect in the world. So the holder keeps a deadline
//! of its own: counted from *before* the last successful renewal was asked for, less a margin. It is kept on two
//! clocks, as the monotonic one stands still while the machine sleeps and the wall clock may be set back; where either
//! is past it, the lease is not certain.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use hemostat_log::{Error, Lease, Log};
use hemostat_schema::Partition;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::debug;

use crate::{
    Context, Metric,
    fleet::{Seat, Turn},
};

/// The lease is not certainly ours: an effect must not happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the lease is not certainly held any more, so nothing may be done")]
pub struct Uncertain;

/// A lease that is held and renewed. Clones are views of the same one.
#[derive(Clone)]
pub struct Tenure(Arc<Shared>);

struct Shared {
    lease: Lease,
    ttl: Duration,
    until: Mutex<(Instant, SystemTime)>,
    /// Cancelled when the lease is lost or given back.
    over: CancellationToken,
    /// To whom it is to be handed over.
    heir: watch::Sender<Option<String>>,
}

/// The one that holds the lease; when it is dropped, the lease is renewed no more and runs out.
#[derive(Debug)]
pub(crate) struct Held {
    pub tenure: Tenure,
    log: Arc<dyn Log>,
    _renewal: DropGuard,
}

impl Held {
    /// Takes the lease where it is free and renews it every third of its time to live; none when another holds it. With a
    /// seat, it attends with each renewal and notices when the work has become another's.
    pub async fn acquire(
        ctx: &Context,
        partition: Partition,
        group: &str,
        seat: Option<Seat>,
    ) -> Result<Option<Self>, Error> {
        let asked = (Instant::now(), SystemTime::now());
        let Some(lease) = ctx.log.acquire(partition, group, &ctx.owner, ctx.lease_ttl).await? else { return Ok(None) };
        let tenure = Tenure::new(lease, ctx.lease_ttl, asked);
        let shutdown = ctx.shutdown.clone();
        tokio::spawn(tenure.clone().renew(ctx.log.clone(), seat, shutdown));
        let renewal = tenure.0.over.clone().drop_guard();
        Ok(Some(Self { tenure, log: ctx.log.clone(), _renewal: renewal }))
    }

    /// Gives the lease back, so that whoever stands by takes over at once. Where the log does not answer soon, the
    /// lease runs out by itself.
    pub async fn release(self) {
        self.tenure.0.over.cancel();
        match timeout(Duration::from_secs(2), self.log.release(self.tenure.lease())).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!("could not release the lease of {}: {error}", self.tenure.lease().group),
            Err(_) => debug!("could not release the lease of {} in time", self.tenure.lease().group),
        }
    }
}

impl Tenure {
    fn new(lease: Lease, ttl: Duration, asked: (Instant, SystemTime)) -> Self {
        let (until, over, heir) = (Mutex::new(asked), CancellationToken::new(), watch::Sender::new(None));
        let tenure = Self(Arc::new(Shared { lease, ttl, until, over, heir }));
        tenure.extend(asked);
        tenure
    }

    /// The lease itself.
    pub fn lease(&self) -> &Lease {
        &self.0.lease
    }

    /// Whether the lease is certainly ours at this moment.
    pub fn is_certain(&self) -> bool {
        let (monotonic, wall) = *self.0.until.lock().unwrap_or_else(PoisonError::into_inner);
        !self.0.over.is_cancelled() && Instant::now() < monotonic && SystemTime::now() < wall
    }

    /// Whether it was lost or given back, for good.
    pub fn is_over(&self) -> bool {
        self.0.over.is_cancelled()
    }

    /// Resolves when it was lost or given back.
    pub async fn over(&self) {
        self.0.over.cancelled().await;
    }

    /// To whom the work is to be handed over, where it has become another's.
    pub(crate) fn heir(&self) -> Option<String> {
        self.0.heir.borrow().clone()
    }

    /// Resolves when it was lost or given back, or is to be handed over.
    pub(crate) async fn ends(&self) {
        let mut heir = self.0.heir.subscribe();
        tokio::select! {
            () = self.over() => {}
            _ = heir.wait_for(Option::is_some) => {}
        }
    }

    /// Certain for the time to live, less a tenth, from when that was asked for.
    fn extend(&self, (monotonic, wall): (Instant, SystemTime)) {
        let certain = self.0.ttl - self.0.ttl / 10;
        *self.0.until.lock().unwrap_or_else(PoisonError::into_inner) = (monotonic + certain, wall + certain);
    }

    /// Says again in the figures that it is held: a gauge that nobody sets is dropped.
    fn show(&self) {
        if !self.is_over() {
            let partition = self.lease().partition.to_string();
            Metric::LeaseHeld.gauge(&[("group", &self.lease().group), ("partition", &partition)]).set(1.0);
        }
    }

    async fn renew(self, log: Arc<dyn Log>, seat: Option<Seat>, shutdown: CancellationToken) {
        let pause = self.0.ttl / 3;
        let mut before = Turn::Ours;
        loop {
            tokio::select! {
                () = self.over() => return,
                () = sleep(pause) => {}
            }
            let asked = (Instant::now(), SystemTime::now());
            match log.renew(self.lease(), self.0.ttl).await {
                Ok(true) => {
                    self.extend(asked);
                    self.show();
                }
                Ok(false) => return self.0.over.cancel(),
                // The worker meets the same error and says so; the lease may still be ours when the log is back.
                Err(error) => debug!("could not renew the lease of {}: {error}", self.lease().group),
            }
            // Who is ending has left, and does not come back.
            let Some(seat) = seat.as_ref().filter(|_| !shutdown.is_cancelled()) else { continue };
            match seat.attend().await {
                Ok(turn) => {
                    if let Turn::Of(heir) = &turn
                        && turn == before
                    {
                        self.0.heir.send_replace(Some(heir.clone()));
                    }
                    before = turn;
                }
                Err(error) => debug!("could not attend to {}: {error}", self.lease().group),
            }
        }
    }
}

impl fmt::Debug for Tenure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenure").field("lease", self.lease()).field("certain", &self.is_certain()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease() -> Lease {
        Lease { partition: Partition(0), group: "g".into(), owner: "me".into(), epoch: 1 }
    }

    /// A tenure of ten seconds that was asked for so long ago, by each clock.
    fn asked(monotonic: Duration, wall: Duration) -> Tenure {
        let monotonic =
            Instant::now().checked_sub(monotonic).expect("the machine runs longer than this test looks back");
        Tenure::new(lease(), Duration::from_secs(10), (monotonic, SystemTime::now() - wall))
    }

    #[test]
    fn a_lease_is_certain_only_until_a_margin_before_its_end() {
        let secs = Duration::from_secs;
        assert!(asked(secs(0), secs(0)).is_certain());
        assert!(asked(secs(5), secs(5)).is_certain());
        assert!(!asked(Duration::from_millis(9_001), secs(0)).is_certain(), "a process that was frozen must not act");
        assert!(!asked(secs(0), secs(60)).is_certain(), "the machine slept, and its monotonic clock with it");
    }

    #[test]
    fn what_was_given_back_is_not_certain() {
        let tenure = asked(Duration::ZERO, Duration::ZERO);
        tenure.0.over.cancel();
        assert!(!tenure.is_certain());
    }
}
