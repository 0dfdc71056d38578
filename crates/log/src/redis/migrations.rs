//! Bringing a log up to this program: what is done to it, in which order, once.
//!
//! The migrations are the files of `migrations/`, in the order of their numbers. Each is a library of Redis Functions;
//! its function `hemostat_up` runs once for each partition right after loading. What was applied stands in
//! `hemostat:meta` with its checksum, so that a program of another age is refused instead of misunderstood.

use std::{collections::BTreeMap, time::Duration};

use fred::util::sha1_hash;
use hemostat_schema::{Family, Partition, Timestamp};
use tokio::time::{Instant, sleep};
use tracing::info;

use super::{
    connection::{Arg, Connection},
    keys::{Keys, LIBRARY, META, MIGRATING},
    reply::Reply,
    server,
};
use crate::{Error, Options};

/// One numbered step; see migrations/README.md.
#[derive(Debug, Clone, Copy)]
struct Migration {
    name: &'static str,
    code: &'static str,
}

/// All of them, in order. A released one is never changed.
const MIGRATIONS: &[Migration] = &[
    Migration { name: "0001_log", code: include_str!("../../../../migrations/0001_log.lua") },
    Migration { name: "0002_history", code: include_str!("../../../../migrations/0002_history.lua") },
];

/// The field of [`META`] with the number of partitions.
const PARTITIONS: &str = "partitions";

/// How long a lock holds that nobody gives back, and so how long one waits for another's migration.
const LOCK: Duration = Duration::from_secs(30);

/// A migration that was applied just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Its number and name, such as `0001_log`.
    pub name: String,
}

impl std::fmt::Display for Applied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

/// Brings the log up to this program: applies what is missing, in order, while others wait. Gives what it applied.
///
/// # Errors
/// When the server cannot be used (see [`Error`]), when the log belongs to a later or another program, or when
/// [`Options::partitions`] is not the number that was chosen when the log was created.
pub async fn migrate(options: &Options) -> Result<Vec<Applied>, Error> {
    let connection = Connection::open(options).await?;
    server::check(&connection, options).await?;
    let migrator = Migrator { connection: &connection, options };
    let token = migrator.lock().await?;
    let applied = migrator.apply().await;
    migrator.unlock(token).await?;
    applied
}

/// Checks that the log is at this program's level, and gives its number of partitions.
pub(super) async fn check(connection: &Connection, options: &Options) -> Result<u16, Error> {
    let migrator = Migrator { connection, options };
    let meta = migrator.meta().await?;
    if let Some(missing) = migrator.missing(&meta)?.first() {
        return Err(migrator.not_migrated(format!("migration {} is missing", missing.name)));
    }
    if !migrator.is_loaded().await? {
        return Err(migrator.not_migrated("its functions are not loaded"));
    }
    migrator.partitions(&meta)?.ok_or_else(|| migrator.not_migrated("the number of partitions is missing"))
}

struct Migrator<'a> {
    connection: &'a Connection,
    options: &'a Options,
}

impl Migrator<'_> {
    const DOING: &'static str = "migrate the log";

    async fn apply(&self) -> Result<Vec<Applied>, Error> {
        let meta = self.meta().await?;
        let missing = self.missing(&meta)?;
        let partitions = match self.partitions(&meta)? {
            Some(partitions) => partitions,
            None => {
                let partitions = self.options.wanted_partitions().unwrap_or(1).max(1);
                self.record(PARTITIONS, &partitions.to_string()).await?;
                partitions
            }
        };
        for migration in &missing {
            self.load(migration).await?;
            for partition in (0..partitions).map(Partition) {
                self.run_up(partition).await?;
            }
            self.record(migration.name, &sha1_hash(migration.code)).await?;
            info!(migration = migration.name, partitions, "applied migration {}", migration.name);
        }
        if missing.is_empty() && !self.is_loaded().await? {
            // The data came back without the functions, as from a copy of the keys alone.
            if let Some(newest) = MIGRATIONS.last() {
                self.load(newest).await?;
            }
        }
        Ok(missing.iter().map(|migration| Applied { name: migration.name.to_owned() }).collect())
    }

    /// Those that are not applied yet.
    fn missing(&self, meta: &BTreeMap<String, String>) -> Result<Vec<Migration>, Error> {
        let known = |name: &str| MIGRATIONS.iter().any(|migration| migration.name == name);
        if let Some(name) = meta.keys().find(|name| *name != PARTITIONS && !known(name)) {
            return Err(Error::TooNew { server: self.options.server(), migration: name.clone() });
        }
        let differs = |migration: &&Migration| {
            meta.get(migration.name).is_some_and(|checksum| *checksum != sha1_hash(migration.code))
        };
        if let Some(migration) = MIGRATIONS.iter().find(differs) {
            return Err(Error::Diverged { server: self.options.server(), migration: migration.name.to_owned() });
        }
        Ok(MIGRATIONS.iter().filter(|migration| !meta.contains_key(migration.name)).copied().collect())
    }

    /// How many partitions were chosen; none when the log is new.
    fn partitions(&self, meta: &BTreeMap<String, String>) -> Result<Option<u16>, Error> {
        let Some(found) = meta.get(PARTITIONS) else { return Ok(None) };
        let found = found.parse().map_err(|_| Error::Corrupt {
            doing: Self::DOING,
            reason: format!("{META} has {found:?} as the number of partitions"),
        })?;
        match self.options.wanted_partitions() {
            Some(wanted) if wanted != found => Err(Error::Partitions { wanted, found }),
            _ => Ok(Some(found)),
        }
    }

    async fn load(&self, migration: &Migration) -> Result<(), Error> {
        self.call("FUNCTION", ["LOAD".into(), "REPLACE".into(), migration.code.into()]).await.map(drop)
    }

    async fn run_up(&self, partition: Partition) -> Result<(), Error> {
        let keys = Keys(partition);
        let mut all = vec![keys.clock()];
        all.extend(Family::ALL.map(|family| keys.stream(family)));
        let mut args: Vec<Arg> = vec!["hemostat_up".into(), all.len().to_string().into()];
        args.extend(all.into_iter().map(Arg::from));
        self.call("FCALL", args).await.map(drop)
    }

    async fn is_loaded(&self) -> Result<bool, Error> {
        let libraries = self.call("FUNCTION", ["LIST".into(), "LIBRARYNAME".into(), LIBRARY.into()]).await?;
        Ok(!libraries.list(Self::DOING)?.is_empty())
    }

    async fn meta(&self) -> Result<BTreeMap<String, String>, Error> {
        let fields = self.call("HGETALL", [META.into()]).await?.list(Self::DOING)?;
        let texts: Vec<String> = fields.into_iter().map(|field| field.text(Self::DOING)).collect::<Result<_, _>>()?;
        Ok(texts.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect())
    }

    async fn record(&self, field: &str, value: &str) -> Result<(), Error> {
        self.call("HSET", [META.into(), field.to_owned().into(), value.to_owned().into()]).await.map(drop)
    }

    /// Waits for its turn; gives what proves that the lock is ours.
    async fn lock(&self) -> Result<Arg, Error> {
        let token = Arg::from(format!("{}-{}", std::process::id(), Timestamp::now().as_nanosecond()));
        let ttl = LOCK.as_millis().to_string();
        let deadline = Instant::now() + LOCK;
        loop {
            let set = [MIGRATING.into(), token.clone(), "NX".into(), "PX".into(), ttl.clone().into()];
            if self.call("SET", set).await? != Reply::Nil {
                return Ok(token);
            }
            if Instant::now() >= deadline {
                return Err(Error::MigrationLocked { server: self.options.server(), key: MIGRATING });
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn unlock(&self, token: Arg) -> Result<(), Error> {
        const IF_OURS: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end";
        self.call("EVAL", [IF_OURS.into(), "1".into(), MIGRATING.into(), token]).await.map(drop)
    }

    async fn call(&self, command: &'static str, args: impl Into<Vec<Arg>>) -> Result<Reply, Error> {
        self.connection.call(Self::DOING, command, args.into(), self.options.limit()).await
    }

    fn not_migrated(&self, missing: impl Into<String>) -> Error {
        Error::NotMigrated { server: self.options.server(), missing: missing.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_numbered_without_a_gap() {
        for (index, migration) in MIGRATIONS.iter().enumerate() {
            let number = format!("{:04}_", index + 1);
            assert!(migration.name.starts_with(&number), "{} should begin with {number}", migration.name);
            let library = format!("#!lua name={LIBRARY}\n");
            assert!(migration.code.starts_with(&library), "{} is not the library {LIBRARY}", migration.name);
            assert!(migration.code.contains("register_function('hemostat_up'"), "{} has no step", migration.name);
        }
    }

    #[test]
    fn every_file_of_the_folder_is_applied() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
        let names = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut scripts: Vec<_> = names.filter_map(|name| name.strip_suffix(".lua").map(str::to_owned)).collect();
        scripts.sort_unstable();
        assert_eq!(scripts, MIGRATIONS.iter().map(|migration| migration.name).collect::<Vec<_>>());
    }
}
