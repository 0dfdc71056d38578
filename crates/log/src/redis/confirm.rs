//! Making sure that an event is safe before something is done because of it.
//!
//! The event was committed by somebody else, on a connection that is not ours, and Redis tells only of what a connection
//! itself has written. So a connection of its own renews the lease, which is a small write that comes after the event,
//! and asks about that: replicas and the append-only file have what came before wherever they have this. It also looks
//! whether the event is there at all: a failover may have lost it, and with it the right to act.

use std::time::Duration;

use hemostat_schema::{EventId, Family};

use super::{
    RedisLog, commit,
    connection::{Arg, Connection},
    keys::Keys,
    millis, server,
};
use crate::{Confirmed, Durability, Error, Lease};

const DOING: &str = "make sure that an intent is safe";

impl RedisLog {
    pub(super) async fn make_sure(
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
                return Ok(Confirmed::Lost);
            }
            match durability {
                Durability::Everysec => Ok(Confirmed::Safe),
                Durability::Always => wait.for_disk(within).await,
                Durability::Replicas(count) => wait.for_replicas(count.get().into(), within).await,
            }
        };
        let answer = answer.await;
        if let Err(error) = &answer {
            self.shared.learn(connection.place(), error).await;
        }
        answer
    }
}

/// A connection of its own, which may wait.
struct Wait<'a> {
    connection: &'a Connection,
    limit: Duration,
}

impl Wait<'_> {
    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<(), Error> {
        let key = Keys(lease.partition).lease(&lease.group);
        let args: [Arg; 5] =
            ["hemostat_renew".into(), "1".into(), key.into(), commit::fence(lease).into(), millis(ttl).into()];
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
        Ok(if reached >= wanted { Confirmed::Safe } else { Confirmed::Short { replicas } })
    }

    async fn for_disk(&self, within: Duration) -> Result<Confirmed, Error> {
        let args = vec!["1".into(), "0".into(), millis(within).into()];
        match self.connection.call(DOING, "WAITAOF", args, within + self.limit).await {
            Ok(reached) => {
                let [local, _replicas] = reached.exactly(DOING)?;
                let safe = local.number(DOING)? > 0;
                Ok(if safe { Confirmed::Safe } else { Confirmed::Short { replicas: 0 } })
            }
            // Before 7.2. What appends before it answers has answered the renewal only when all was on its disk.
            Err(Error::Refused { reply, .. }) if reply.starts_with("ERR unknown command") => {
                let always = server::appends_before_it_answers(self.connection, self.limit).await?;
                Ok(if always { Confirmed::Safe } else { Confirmed::Short { replicas: 0 } })
            }
            // Somebody has switched the append-only file off.
            Err(Error::Refused { .. }) => Ok(Confirmed::Short { replicas: 0 }),
            Err(error) => Err(error),
        }
    }
}
