//! Deletes the consumer groups of channels that are no longer configured: they would hold back trimming for ever.
//!
//! Another process may have the channel, and may just be restarting. So a channel counts as removed when an alerter that
//! does not have it has run for an hour, and in all that time no process delivered to it. If the channel comes back later,
//! it begins like a new one.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use hemostat_core::alerting::channel_of_group;
use hemostat_runtime::{
    Context, Task,
    log::{Commit, CommitError, Lease, TimerUpdate},
};
use hemostat_schema::{Family, Partition, Span, Timestamp};
use tokio::time::sleep;
use tracing::{debug, info};

/// How long no process must have delivered to a channel before it counts as removed.
const REMOVED_AFTER: Span = Span::from_secs(3600);

/// How often that is checked.
const CHECK_EVERY: Duration = Duration::from_secs(60);

/// Since when no process delivers to which group.
type Unserved = BTreeMap<(Partition, String), Timestamp>;

/// The task that deletes the groups of channels other than those of `configured`.
pub(crate) fn task(ctx: Context, configured: BTreeSet<String>) -> Task {
    Task::new("removed channels", async move {
        let mut unserved = Unserved::new();
        while ctx.shutdown.run_until_cancelled(sleep(CHECK_EVERY)).await.is_some() {
            if let Err(error) = check(&ctx, &configured, &mut unserved).await {
                debug!("could not look for the groups of removed channels: {error}");
            }
        }
        Ok(())
    })
}

async fn check(ctx: &Context, configured: &BTreeSet<String>, unserved: &mut Unserved) -> Result<(), CommitError> {
    let now = ctx.clock.now();
    let mut found = Unserved::new();
    for partition in ctx.partitions() {
        for group in ctx.log.groups(partition, Family::Alert).await? {
            let Some(channel) = channel_of_group(&group).filter(|_| !configured.contains(&group)) else { continue };
            // The lease is free only if no process delivers to the channel.
            let Some(lease) = ctx.log.acquire(partition, &group, &ctx.owner, ctx.lease_ttl).await? else { continue };
            let key = (partition, group.clone());
            let since = unserved.get(&key).copied().unwrap_or(now);
            if REMOVED_AFTER.after(since) <= now {
                remove(ctx, &lease).await?;
                info!("removed the position of the alert channel {channel}, which is no longer configured");
            } else {
                found.insert(key, since);
            }
            ctx.log.release(&lease).await?;
        }
    }
    *unserved = found;
    Ok(())
}

async fn remove(ctx: &Context, lease: &Lease) -> Result<(), CommitError> {
    let timers = ctx.log.timers(lease.partition, &lease.group).await?.into_iter();
    let timers = timers.map(|timer| TimerUpdate::Cancel { subject: timer.subject, name: timer.name }).collect();
    ctx.log.commit(&Commit { timers, ..Commit::new(lease.clone()) }).await?;
    Ok(ctx.log.drop_group(lease, &[Family::Alert]).await?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hemostat_runtime::{
        ManualClock,
        log::{Log, MemoryLog},
    };

    use super::*;

    const P: Partition = Partition(0);

    #[tokio::test]
    async fn a_channel_that_no_process_has_for_an_hour_holds_back_no_trimming() {
        let clock = Arc::new(ManualClock::at(Timestamp::from_second(1_800_000_000).unwrap()));
        let log = Arc::new(MemoryLog::new(1));
        let ctx = Context { clock: clock.clone(), ..Context::new(log.clone()) };
        for group in ["deliver", "deliver:old", "deliver:theirs", "raise"] {
            let lease = log.acquire(P, group, "earlier", Duration::from_secs(3600)).await.unwrap().unwrap();
            log.start_group(&lease, &[Family::Alert], log.clock(P).await.unwrap()).await.unwrap();
            let subject = "h/a".parse().unwrap();
            let timers = vec![TimerUpdate::Set { subject, name: "0.1-0/1/1".into(), due: Timestamp::UNIX_EPOCH }];
            log.commit(&Commit { timers, ..Commit::new(lease.clone()) }).await.unwrap();
            if group != "deliver:theirs" {
                log.release(&lease).await.unwrap();
            }
        }
        let groups = async || log.groups(P, Family::Alert).await.unwrap().into_iter().collect::<BTreeSet<_>>();
        let configured = BTreeSet::from(["deliver".to_owned()]);
        let mut unserved = Unserved::new();
        let all = groups().await;
        for minutes in [0, 59] {
            clock.advance(Span::from_secs(60 * minutes));
            check(&ctx, &configured, &mut unserved).await.unwrap();
            assert_eq!(groups().await, all, "after {minutes} minutes");
        }
        clock.advance(Span::from_secs(60));
        check(&ctx, &configured, &mut unserved).await.unwrap();
        assert_eq!(groups().await, ["deliver", "deliver:theirs", "raise"].map(str::to_owned).into());
        assert_eq!(log.timers(P, "deliver:old").await.unwrap(), []);
        assert_eq!(log.timers(P, "deliver").await.unwrap().len(), 1);
    }
}
