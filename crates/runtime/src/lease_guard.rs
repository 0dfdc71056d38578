//! Acquires the lease of a group's work in a partition, and releases it.

use std::{sync::Arc, time::SystemTime};

use hemostat_log::Error;
use hemostat_schema::Partition;
use tokio::time::Instant;
use tokio_util::sync::DropGuard;

use crate::{context::Context, lease::LeaseHandle, session::Session};

/// Owns a held lease. Dropping it ends the renewal, and the next heartbeat releases the lease.
#[derive(Debug)]
pub(crate) struct LeaseGuard {
    pub handle: LeaseHandle,
    session: Arc<Session>,
    _ended: DropGuard,
}

impl LeaseGuard {
    /// Acquires the lease, unless another process holds it (`None`); the heartbeats of the process renew it. A lease that
    /// this process holds already is acquired again, under a new epoch.
    pub async fn acquire(ctx: &Context, partition: Partition, group: &str) -> Result<Option<Self>, Error> {
        let session = ctx.session(partition);
        let sent_at = (Instant::now(), SystemTime::now());
        let Some(lease) = ctx.log.acquire(partition, group, &ctx.owner, ctx.lease_ttl).await? else { return Ok(None) };
        let handle = LeaseHandle::new(lease, ctx.lease_ttl, sent_at);
        session.renew(handle.clone());
        let ended = handle.end_on_drop();
        Ok(Some(Self { handle, session, _ended: ended }))
    }

    /// Releases the lease, so that a standby can acquire it at its next attempt.
    pub async fn release(self) {
        self.handle.end();
        self.session.release(self.handle.lease()).await;
    }
}
