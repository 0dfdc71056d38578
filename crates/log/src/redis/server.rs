//! Whether a server can hold the log at all.

use super::connection::Connection;
use crate::{Error, Options};

/// The first version with Redis Functions.
const OLDEST: u32 = 7;

/// Refuses a server that is too old or may evict the log.
pub(super) async fn check(connection: &Connection, options: &Options) -> Result<(), Error> {
    const DOING: &str = "look at the server";
    let info = connection.call(DOING, "INFO", vec![], options.limit()).await?.text(DOING)?;
    judge(&info, options)
}

fn judge(info: &str, options: &Options) -> Result<(), Error> {
    let field = |name: &str| {
        let value = info.lines().find_map(|line| line.split_once(':').filter(|(field, _)| *field == name));
        value.map_or("", |(_, value)| value.trim())
    };
    let version = field("redis_version");
    let major: u32 = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
    if major < OLDEST {
        return Err(Error::TooOld { server: options.server(), version: version.to_owned() });
    }
    let policy = field("maxmemory_policy");
    if field("maxmemory") != "0" && !matches!(policy, "" | "noeviction") {
        return Err(Error::Evicts { server: options.server(), policy: policy.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_cannot_keep_the_log_is_refused() {
        let options = Options::new("redis://host").unwrap();
        let info = |version: &str, maxmemory: &str, policy: &str| {
            format!(
                "# Server\r\nredis_version:{version}\r\n# Memory\r\nmaxmemory:{maxmemory}\r\n\
                 maxmemory_human:0B\r\nmaxmemory_policy:{policy}\r\n"
            )
        };
        let check = |version, maxmemory, policy, says: Option<&str>| {
            let verdict = judge(&info(version, maxmemory, policy), &options).map_err(|error| error.to_string());
            match says {
                None => assert_eq!(verdict, Ok(()), "{version} {maxmemory} {policy}"),
                Some(says) => assert!(verdict.as_ref().is_err_and(|error| error.contains(says)), "{verdict:?}"),
            }
        };
        check("7.0.15", "0", "noeviction", None);
        check("8.2.1", "1000000", "noeviction", None);
        check("7.2.4", "0", "allkeys-lru", None);
        check("6.2.14", "0", "noeviction", Some("version 6.2.14; HemoStat needs 7.0"));
        check("", "0", "noeviction", Some("HemoStat needs 7.0"));
        check("7.0.15", "1000000", "allkeys-lru", Some("maxmemory-policy is allkeys-lru"));
        check("7.0.15", "1000000", "volatile-ttl", Some("noeviction"));
    }
}
