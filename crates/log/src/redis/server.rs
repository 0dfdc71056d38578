//! Checks at connect time that the servers can hold the log and provide the configured durability.

use std::time::Duration;

use tracing::warn;

use super::{connection::Connection, shared::Shared};
use crate::{Durability, Error};

/// The first version with Redis Functions.
const OLDEST: u32 = 7;

const DOING: &str = "check the server";

/// Refuses servers that are too old, may evict the log, or cannot provide the configured durability.
pub(super) async fn check(shared: &Shared) -> Result<(), Error> {
    let (limit, durability) = (shared.options().limit(), shared.options().wanted_durability());
    for master in shared.masters().await? {
        let info = Info(master.call(DOING, "INFO", vec![], limit).await?.text(DOING)?);
        let server = master.place().to_string();
        info.judge(&server, durability)?;
        if durability == Durability::Always && !info.has_waitaof() {
            check_appendfsync(&master, &server, limit).await?;
        }
    }
    Ok(())
}

/// Whether the server writes everything to its disk before it replies.
pub(super) async fn fsyncs_before_it_replies(connection: &Connection, limit: Duration) -> Result<bool, Error> {
    let args = vec!["GET".into(), "append*".into()];
    let settings = connection.call(DOING, "CONFIG", args, limit).await?.fields(DOING)?;
    let is =
        |name: &str, value: &str| settings.get(name).is_some_and(|is| is.clone().text(DOING).as_deref() == Ok(value));
    Ok(is("appendonly", "yes") && is("appendfsync", "always"))
}

async fn check_appendfsync(master: &Connection, server: &str, limit: Duration) -> Result<(), Error> {
    let refused = |why: String, remedy| {
        Err(Error::NotDurable { server: server.to_owned(), wanted: Durability::Always, why, remedy })
    };
    match fsyncs_before_it_replies(master, limit).await {
        Ok(true) => Ok(()),
        Ok(false) => refused(
            "its appendfsync is not always".to_owned(),
            "run `redis-cli CONFIG SET appendfsync always`, and write `appendfsync always` into redis.conf; \
             or set redis.durability to \"everysec\" or \"replicas:1\"",
        ),
        Err(error @ (Error::Refused { .. } | Error::Auth { .. })) => refused(
            format!("it does not show its appendfsync: {error}"),
            "allow this user CONFIG GET, use Redis 7.2 or later, \
             or set redis.durability to \"everysec\" or \"replicas:1\"",
        ),
        Err(error) => Err(error),
    }
}

/// The reply to INFO.
struct Info(String);

impl Info {
    fn field(&self, name: &str) -> &str {
        let value = self.0.lines().find_map(|line| line.split_once(':').filter(|(field, _)| *field == name));
        value.map_or("", |(_, value)| value.trim())
    }

    /// Its version of Redis; Valkey reports the Redis version that it is compatible with.
    fn version(&self) -> (u32, u32) {
        let mut numbers = self.field("redis_version").split('.').map(|number| number.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    }

    fn has_waitaof(&self) -> bool {
        self.version() >= (7, 2)
    }

    fn judge(&self, server: &str, durability: Durability) -> Result<(), Error> {
        if self.version().0 < OLDEST {
            let version = self.field("redis_version").to_owned();
            return Err(Error::TooOld { server: server.to_owned(), version });
        }
        // Also without a memory limit: an operator may set one while HemoStat runs.
        let policy = self.field("maxmemory_policy");
        if !matches!(policy, "" | "noeviction") {
            return Err(Error::Evicts { server: server.to_owned(), policy: policy.to_owned() });
        }
        match durability {
            Durability::Always if self.field("aof_enabled") != "1" => Err(Error::NotDurable {
                server: server.to_owned(),
                wanted: durability,
                why: "it keeps no append-only file".to_owned(),
                remedy: "run `redis-cli CONFIG SET appendonly yes`, and write `appendonly yes` into redis.conf; \
                         or set redis.durability to \"everysec\" or \"replicas:1\"",
            }),
            Durability::Replicas(count) => {
                let connected = self.field("connected_slaves").parse().unwrap_or(0_u32);
                if connected < count.get().into() {
                    warn!(
                        server,
                        "redis.durability is {durability}, and {server} has {connected} replicas: HemoStat executes nothing until \
                         there are enough"
                    );
                }
                Ok(())
            }
            Durability::Always | Durability::Everysec => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_cannot_hold_the_log_is_refused() {
        let info = |version: &str, maxmemory: &str, policy: &str, aof: &str| {
            Info(format!(
                "# Server\r\nredis_version:{version}\r\n# Memory\r\nmaxmemory:{maxmemory}\r\n\
                 maxmemory_human:0B\r\nmaxmemory_policy:{policy}\r\naof_enabled:{aof}\r\n"
            ))
        };
        let check = |durability: &str, info: Info, says: Option<&str>| {
            let verdict = info.judge("host:1", durability.parse().unwrap()).map_err(|error| error.to_string());
            match says {
                None => assert_eq!(verdict, Ok(()), "{}", info.0),
                Some(says) => assert!(verdict.as_ref().is_err_and(|error| error.contains(says)), "{verdict:?}"),
            }
        };
        check("everysec", info("7.0.15", "0", "noeviction", "0"), None);
        check("everysec", info("8.2.1", "1000000", "noeviction", "0"), None);
        check("everysec", info("6.2.14", "0", "noeviction", "1"), Some("version 6.2.14; HemoStat needs 7.0"));
        check("everysec", info("", "0", "noeviction", "1"), Some("HemoStat needs 7.0"));
        let evicts = "run `redis-cli CONFIG SET maxmemory-policy noeviction`";
        check("everysec", info("7.2.4", "0", "allkeys-lru", "1"), Some(evicts));
        check("everysec", info("7.0.15", "1000000", "allkeys-lru", "1"), Some("maxmemory-policy is allkeys-lru"));
        check("replicas:2", info("7.0.15", "1000000", "volatile-ttl", "1"), Some(evicts));
        check("replicas:2", info("7.0.15", "0", "noeviction", "0"), None);
        check("always", info("7.0.15", "0", "noeviction", "1"), None);
        check("always", info("7.0.15", "0", "noeviction", "0"), Some("run `redis-cli CONFIG SET appendonly yes`"));
    }

    #[test]
    fn waitaof_exists_since_7_2() {
        for (version, knows) in [("7.0.15", false), ("7.2.0", true), ("7.2.4", true), ("8.0.0", true)] {
            assert_eq!(Info(format!("redis_version:{version}\r\n")).has_waitaof(), knows, "{version}");
        }
    }
}
