//! The lease of a group's work in a partition: how its holder knows for certain that it is still held. The heartbeat of the
//! process renews it (`crate::session`); `crate::lease_guard` acquires and releases it.
//!
//! The lease carries an epoch, which is the fencing token: the log rejects commits of an older epoch. It cannot reject a
//! side effect in the world. The holder therefore keeps a deadline of its own, counted from *before* it sent the last
//! heartbeat that renewed it, less a safety margin:
//!
//! ```text
//!   heartbeat sent   next heartbeat             deadline    expires
//!   0                ttl/3                      ttl·9/10    ttl
//!   ├──────────────── certain ──────────────────┼── margin ─┼── the log may grant it to another process ──►
//! ```
//!
//! The deadline is kept on two clocks: the monotonic clock stands still while the machine sleeps, and the wall clock
//! may be set back. The lease is certain only before the deadline on both.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use hemostat_log::Lease;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::metrics::Metric;

/// The lease may have expired, so this process must not cause a side effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the lease may have expired, so nothing may be executed")]
pub struct LeaseMayHaveExpired;

/// A handle on a lease that this process acquired, to check it and to wait for its end. Clones share the same lease;
/// dropping one does not release it.
#[derive(Clone)]
pub struct LeaseHandle(Arc<Shared>);

struct Shared {
    lease: Lease,
    ttl: Duration,
    /// Until when the lease is certainly held, on each clock.
    deadline: Mutex<(Instant, SystemTime)>,
    /// Cancelled when the lease is lost or released, or its `LeaseGuard` is dropped.
    ended: CancellationToken,
    /// The member to which the partition has been reassigned.
    hand_over_to: watch::Sender<Option<String>>,
}

impl LeaseHandle {
    /// A handle on a lease that was acquired by a request sent at this time.
    pub(crate) fn new(lease: Lease, ttl: Duration, sent_at: (Instant, SystemTime)) -> Self {
        let (deadline, ended, hand_over_to) = (Mutex::new(sent_at), CancellationToken::new(), watch::Sender::new(None));
        let handle = Self(Arc::new(Shared { lease, ttl, deadline, ended, hand_over_to }));
        handle.set_deadline(sent_at);
        handle
    }

    /// The lease itself.
    pub fn lease(&self) -> &Lease {
        &self.0.lease
    }

    /// Whether this process certainly holds the lease now.
    pub fn is_surely_held(&self) -> bool {
        let (monotonic, wall) = *self.0.deadline.lock().unwrap_or_else(PoisonError::into_inner);
        !self.has_ended() && Instant::now() < monotonic && SystemTime::now() < wall
    }

    /// Whether the lease was lost or released, for good.
    pub fn has_ended(&self) -> bool {
        self.0.ended.is_cancelled()
    }

    /// Resolves when the lease is lost or released.
    pub async fn ended(&self) {
        self.0.ended.cancelled().await;
    }

    /// The member to which this process must hand over, once the partition has been reassigned.
    pub(crate) fn hand_over_to(&self) -> Option<String> {
        self.0.hand_over_to.borrow().clone()
    }

    /// Resolves when the lease is lost or released, or the partition has been reassigned.
    pub(crate) async fn ended_or_reassigned(&self) {
        let mut hand_over_to = self.0.hand_over_to.subscribe();
        tokio::select! {
            () = self.ended() => {}
            _ = hand_over_to.wait_for(Option::is_some) => {}
        }
    }

    /// A heartbeat that was sent then renewed the lease.
    pub(crate) fn renewed(&self, sent_at: (Instant, SystemTime)) {
        self.set_deadline(sent_at);
        self.set_gauge();
    }

    /// Ends the handle when it is dropped.
    pub(crate) fn end_on_drop(&self) -> DropGuard {
        self.0.ended.clone().drop_guard()
    }

    /// The lease is lost or released.
    pub(crate) fn end(&self) {
        self.0.ended.cancel();
    }

    /// The partition has been reassigned to this member.
    pub(crate) fn reassign_to(&self, member: String) {
        self.0.hand_over_to.send_replace(Some(member));
    }

    /// Sets the deadline: the time to live, less a tenth as margin, after the renewal was sent.
    fn set_deadline(&self, (monotonic, wall): (Instant, SystemTime)) {
        let certain = self.0.ttl - self.0.ttl / 10;
        *self.0.deadline.lock().unwrap_or_else(PoisonError::into_inner) = (monotonic + certain, wall + certain);
    }

    /// Sets the gauge `lease_held` again: the exporter drops a gauge that is not set for some time.
    fn set_gauge(&self) {
        if !self.has_ended() {
            let partition = self.lease().partition.to_string();
            Metric::LeaseHeld.gauge(&[("group", &self.lease().group), ("partition", &partition)]).set(1.0);
        }
    }
}

impl fmt::Debug for LeaseHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseGuard").field("lease", self.lease()).field("certain", &self.is_surely_held()).finish()
    }
}

#[cfg(test)]
mod tests {
    use hemostat_schema::Partition;

    use super::*;

    fn lease() -> Lease {
        Lease { partition: Partition(0), group: "g".into(), owner: "me".into(), epoch: 1 }
    }

    /// A lease of ten seconds whose last renewal was sent this long ago, by each clock.
    fn renewed(monotonic: Duration, wall: Duration) -> LeaseHandle {
        let monotonic =
            Instant::now().checked_sub(monotonic).expect("the machine runs longer than this test looks back");
        LeaseHandle::new(lease(), Duration::from_secs(10), (monotonic, SystemTime::now() - wall))
    }

    #[test]
    fn a_lease_is_certain_only_until_a_margin_before_it_expires() {
        let secs = Duration::from_secs;
        assert!(renewed(secs(0), secs(0)).is_surely_held());
        assert!(renewed(secs(5), secs(5)).is_surely_held());
        assert!(
            !renewed(Duration::from_millis(9_001), secs(0)).is_surely_held(),
            "a process that was frozen must not act"
        );
        assert!(!renewed(secs(0), secs(60)).is_surely_held(), "the machine slept, and its monotonic clock with it");
    }

    #[test]
    fn a_released_lease_is_not_certain() {
        let handle = renewed(Duration::ZERO, Duration::ZERO);
        handle.0.ended.cancel();
        assert!(!handle.is_surely_held());
    }
}
