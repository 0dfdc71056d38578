//! Confirms that an event is durable before a side effect is executed because of it.
//!
//! Another connection committed the event, and WAIT and WAITAOF report only on the writes of their own connection. So a
//! dedicated connection renews the lease, a small write after the event, and waits for that: a replica or an append-only
//! file that has this write has every earlier one. It also checks that the event is still there: a failover may have lost it,
//! and with it the right to act.

use std::time::Duration;

use hemostat_schema::{EventId, Family};

use super::{
    RedisLog, commit,
    connection::{Arg, Connection},
    keys::Keys,
    millis, server,
};
use crate::{Confirmed, Durability, Error, Lease};

const DOING: &str = "confirm that an intent is durable";

impl RedisLog {
    pub(super) async fn confirm_durability(
        &self,
        lease: &Lease,
        ttl: Duration,
        event: (Family, EventId),
        durability: Durability,
        within: Duration,
    ) -> Result<Confirmed, Error> {
        self.keys(lease.partition)?;
        let limit = self.shared.options().limit();
        let connection = self.shared.dedicated(lease.partition).await?;
        let wait = Wait { connection: &connection, limit };
        let answer = async {
            wait.renew(lease, ttl).await?;
            if !wait.has(event).await? {
                return Ok(Confirmed::EventMissing);
            }
            match durability {
                Durability::Everysec => Ok(Confirmed::Durable),
                Durability::Always => wait.for_disk(within).await,
                Durability::Replicas(count) => wait.for_replicas(count.get().into(), within).await,
            }
        };
        let answer = answer.await;
        if let Err(error) = &answer {
            self.shared.on_failure(connection.place(), error).await;
        }
        answer
    }
}

/// A dedicated connection, which may block.
struct Wait<'a> {
    connection: &'a Connection,
    limit: Duration,
}

impl Wait<'_> {
    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<(), Error> {
        let keys = Keys(lease.partition);
        let args: [Arg; 7] = [
            "hemostat_renew".into(),
            "2".into(),
            keys.lease(&lease.group).into(),
            keys.sessions().into(),
            commit::fence(lease).into(),
            lease.owner.clone().into(),
            millis(ttl).into(),
        ];
        match self.connection.call(DOING, "FCALL", args.into(), self.limit).await?.number(DOING)? {
            1 => Ok(()),
            _ => Err(Error::Fenced { group: lease.group.clone(), partition: lease.partition }),
        }
    }

    async fn has(&self, (family, id): (Family, EventId)) -> Result<bool, Error> {
        let (stream, id) = (Keys(id.partition).stream(family), Arg::from(id.entry()));
        let found = self.connection.call(DOING, "XRANGE", vec![stream.into(), id.clone(), id], self.limit).await?;
        Ok(!found.list(DOING)?.is_empty())
    }

    async fn for_replicas(&self, wanted: u64, within: Duration) -> Result<Confirmed, Error> {
        let args = vec![wanted.to_string().into(), millis(within).into()];
        let reached = self.connection.call(DOING, "WAIT", args, within + self.limit).await?.number(DOING)?;
        let replicas = u32::try_from(reached).unwrap_or(u32::MAX);
        Ok(if reached >= wanted { Confirmed::Durable } else { Confirmed::NotInTime { replicas } })
    }

    async fn for_disk(&self, within: Duration) -> Result<Confirmed, Error> {
        let args = vec!["1".into(), "0".into(), millis(within).into()];
        match self.connection.call(DOING, "WAITAOF", args, within + self.limit).await {
            Ok(reached) => {
                let [local, _replicas] = reached.exactly(DOING)?;
                let safe = local.number(DOING)? > 0;
                Ok(if safe { Confirmed::Durable } else { Confirmed::NotInTime { replicas: 0 } })
            }
            // Before 7.2. With appendfsync always the server replied to the renewal after everything was on its disk.
            Err(Error::Refused { reply, .. }) if reply.starts_with("ERR unknown command") => {
                let always = server::fsyncs_before_it_replies(self.connection, self.limit).await?;
                Ok(if always { Confirmed::Durable } else { Confirmed::NotInTime { replicas: 0 } })
            }
            // The append-only file is switched off.
            Err(Error::Refused { .. }) => Ok(Confirmed::NotInTime { replicas: 0 }),
            Err(error) => Err(error),
        }
    }
}
