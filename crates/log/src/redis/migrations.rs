//! Migrates a log to the level of this program: applies each migration once, in order.
//!
//! The migrations are the files of `migrations/`, in the order of their numbers. Each is a library of Redis Functions;
//! its function `hemostat_up` runs once for each partition right after loading. `hemostat:meta` records each applied
//! migration with its checksum, so that an older or newer program refuses the log instead of misreading it.
//!
//! The masters of a cluster do not replicate functions to each other, so each master is given the library.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use fred::util::sha1_hash;
use futures::{FutureExt as _, future::BoxFuture};
use hemostat_schema::{Family, Partition, Timestamp};
use tokio::time::{Instant, sleep};
use tracing::info;

use super::{
    connection::{Arg, Connection, NO_FUNCTIONS},
    keys::{Keys, LIBRARY, META, MIGRATED, MIGRATING},
    reply::Reply,
    server,
    shared::Shared,
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
    Migration { name: "0003_samples", code: include_str!("../../../../migrations/0003_samples.lua") },
];

/// The field of [`META`] with the number of partitions.
const PARTITIONS: &str = "partitions";

/// How long an abandoned lock holds, and so how long a process waits for another's migration.
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

/// What [`migrate`] would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The address, without credentials.
    pub server: String,
    /// How many partitions the log has; none when it is new.
    pub partitions: Option<u16>,
    /// How many partitions a new log would get.
    pub wanted: u16,
    /// Every migration that this program knows, in order.
    pub steps: Vec<Step>,
    /// Servers that have lost their functions, which would be loaded again.
    pub without_functions: Vec<String>,
}

/// One migration of a [`Plan`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// It is applied.
    Applied {
        /// Its number and name.
        name: String,
        /// When; none if an early HemoStat applied it, which did not record the time.
        at: Option<Timestamp>,
    },
    /// It is not applied yet.
    Missing {
        /// Its number and name.
        name: String,
    },
}

impl Plan {
    /// Whether nothing is missing.
    pub fn is_empty(&self) -> bool {
        let done = |step: &Step| matches!(step, Step::Applied { .. });
        self.steps.iter().all(done) && self.without_functions.is_empty()
    }
}

/// What [`migrate`] would do; changes nothing.
///
/// # Errors
/// As [`migrate`].
pub async fn plan(options: &Options) -> Result<Plan, Error> {
    let shared = Shared::new(options.clone(), restore);
    server::check(&shared).await?;
    Migrator { shared: &shared }.plan().await
}

/// Migrates the log to the level of this program: applies the missing migrations in order, under a lock. Returns the
/// applied ones.
///
/// # Errors
/// If the server cannot be used (see [`Error`]), if the log belongs to a later or another program, or if
/// [`Options::partitions`] is not the number that was chosen when the log was created.
pub async fn migrate(options: &Options) -> Result<Vec<Applied>, Error> {
    let shared = Shared::new(options.clone(), restore);
    server::check(&shared).await?;
    let migrator = Migrator { shared: &shared };
    let token = migrator.lock().await?;
    let applied = migrator.apply().await;
    migrator.unlock(token).await?;
    applied
}

/// Checks that the log is at the level of this program; returns its number of partitions.
pub(super) async fn check(shared: &Shared) -> Result<u16, Error> {
    let migrator = Migrator { shared };
    let meta = migrator.meta().await?;
    if let Some(missing) = migrator.missing(&meta)?.first() {
        return Err(migrator.not_migrated(format!("migration {} is missing", missing.name)));
    }
    // In a cluster, a master without functions is given them at the first call.
    if !shared.is_cluster() && !migrator.unloaded().await?.is_empty() {
        return Err(migrator.not_migrated(NO_FUNCTIONS));
    }
    migrator.partitions(&meta)?.ok_or_else(|| migrator.not_migrated("the number of partitions is missing"))
}

/// Loads the functions into a master that joined a cluster, if the log is at the level of this program.
pub(super) fn restore<'a>(shared: &'a Shared, master: &'a Connection) -> BoxFuture<'a, Result<(), Error>> {
    async move {
        let migrator = Migrator { shared };
        if let Some(missing) = migrator.missing(&migrator.meta().await?)?.first() {
            return Err(migrator.not_migrated(format!("migration {} is missing", missing.name)));
        }
        info!(server = %master.place(), "{} has joined the cluster without HemoStat's functions, loading them", master.place());
        // Without REPLACE: another process may have loaded them meanwhile.
        let load = vec!["LOAD".into(), newest().code.into()];
        match master.call(Migrator::DOING, "FUNCTION", load, shared.options().limit()).await {
            Err(Error::Refused { reply, .. }) if reply.contains("already exists") => Ok(()),
            answer => answer.map(drop),
        }
    }
    .boxed()
}

fn newest() -> &'static Migration {
    MIGRATIONS.last().expect("there is a first migration")
}

struct Migrator<'a> {
    shared: &'a Shared,
}

impl Migrator<'_> {
    const DOING: &'static str = "migrate the log";

    async fn apply(&self) -> Result<Vec<Applied>, Error> {
        let meta = self.meta().await?;
        let missing = self.missing(&meta)?;
        let partitions = match self.partitions(&meta)? {
            Some(partitions) => partitions,
            None => {
                let partitions = self.wanted();
                self.record(PARTITIONS, &partitions.to_string()).await?;
                partitions
            }
        };
        for migration in &missing {
            self.load(migration).await?;
            for partition in (0..partitions).map(Partition) {
                self.run_up(partition).await?;
            }
            let now = Timestamp::now().as_millisecond().to_string();
            self.call("HSET", [MIGRATED.into(), migration.name.into(), now.into()]).await?;
            self.record(migration.name, &sha1_hash(migration.code)).await?;
            info!(migration = migration.name, partitions, "applied migration {}", migration.name);
        }
        if missing.is_empty() && !self.unloaded().await?.is_empty() {
            // The keys were restored without the functions.
            self.load(newest()).await?;
        }
        Ok(missing.iter().map(|migration| Applied { name: migration.name.to_owned() }).collect())
    }

    async fn plan(&self) -> Result<Plan, Error> {
        let meta = self.meta().await?;
        let missing = self.missing(&meta)?;
        let when = self.texts(MIGRATED).await?;
        let at = |name: &str| Timestamp::from_millisecond(when.get(name)?.parse().ok()?).ok();
        let step = |migration: &Migration| {
            let name = migration.name.to_owned();
            match missing.iter().any(|missing| missing.name == name) {
                true => Step::Missing { name },
                false => Step::Applied { at: at(&name), name },
            }
        };
        let unloaded = if missing.is_empty() { self.unloaded().await? } else { vec![] };
        Ok(Plan {
            server: self.shared.server(),
            partitions: self.partitions(&meta)?,
            wanted: self.wanted(),
            steps: MIGRATIONS.iter().map(step).collect(),
            without_functions: unloaded.iter().map(|master| master.place().to_string()).collect(),
        })
    }

    fn wanted(&self) -> u16 {
        self.shared.options().wanted_partitions().unwrap_or(1).max(1)
    }

    /// The migrations that are not applied yet.
    fn missing(&self, meta: &BTreeMap<String, String>) -> Result<Vec<Migration>, Error> {
        let known = |name: &str| MIGRATIONS.iter().any(|migration| migration.name == name);
        if let Some(name) = meta.keys().find(|name| *name != PARTITIONS && !known(name)) {
            return Err(Error::TooNew { server: self.shared.server(), migration: name.clone() });
        }
        let differs = |migration: &&Migration| {
            meta.get(migration.name).is_some_and(|checksum| *checksum != sha1_hash(migration.code))
        };
        if let Some(migration) = MIGRATIONS.iter().find(differs) {
            return Err(Error::Diverged { server: self.shared.server(), migration: migration.name.to_owned() });
        }
        Ok(MIGRATIONS.iter().filter(|migration| !meta.contains_key(migration.name)).copied().collect())
    }

    /// The number of partitions of the log; none when it is new.
    fn partitions(&self, meta: &BTreeMap<String, String>) -> Result<Option<u16>, Error> {
        let Some(found) = meta.get(PARTITIONS) else { return Ok(None) };
        let found = found.parse().map_err(|_| Error::Corrupt {
            doing: Self::DOING,
            reason: format!("{META} has {found:?} as the number of partitions"),
        })?;
        match self.shared.options().wanted_partitions() {
            Some(wanted) if wanted != found => Err(Error::Partitions { wanted, found }),
            _ => Ok(Some(found)),
        }
    }

    /// Loads a migration's library into every master.
    async fn load(&self, migration: &Migration) -> Result<(), Error> {
        let load = vec!["LOAD".into(), "REPLACE".into(), migration.code.into()];
        for master in self.shared.masters().await? {
            master.call(Self::DOING, "FUNCTION", load.clone(), self.shared.options().limit()).await?;
        }
        Ok(())
    }

    async fn run_up(&self, partition: Partition) -> Result<(), Error> {
        let keys = Keys(partition);
        let mut all = vec![keys.clock()];
        all.extend(Family::ALL.map(|family| keys.stream(family)));
        let mut args: Vec<Arg> = vec!["hemostat_up".into(), all.len().to_string().into()];
        args.extend(all.into_iter().map(Arg::from));
        self.call("FCALL", args).await.map(drop)
    }

    /// The masters without HemoStat's library.
    async fn unloaded(&self) -> Result<Vec<Arc<Connection>>, Error> {
        let list: Vec<Arg> = vec!["LIST".into(), "LIBRARYNAME".into(), LIBRARY.into()];
        let mut unloaded = vec![];
        for master in self.shared.masters().await? {
            let libraries = master.call(Self::DOING, "FUNCTION", list.clone(), self.shared.options().limit()).await?;
            if libraries.list(Self::DOING)?.is_empty() {
                unloaded.push(master);
            }
        }
        Ok(unloaded)
    }

    async fn meta(&self) -> Result<BTreeMap<String, String>, Error> {
        self.texts(META).await
    }

    async fn texts(&self, hash: &'static str) -> Result<BTreeMap<String, String>, Error> {
        let fields = self.call("HGETALL", [hash.into()]).await?.list(Self::DOING)?;
        let texts: Vec<String> = fields.into_iter().map(|field| field.text(Self::DOING)).collect::<Result<_, _>>()?;
        Ok(texts.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect())
    }

    async fn record(&self, field: &str, value: &str) -> Result<(), Error> {
        self.call("HSET", [META.into(), field.to_owned().into(), value.to_owned().into()]).await.map(drop)
    }

    /// Acquires the lock; returns its token.
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
                return Err(Error::MigrationLocked { server: self.shared.server(), key: MIGRATING });
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn unlock(&self, token: Arg) -> Result<(), Error> {
        const IF_OWNED: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end";
        self.call("EVAL", [IF_OWNED.into(), "1".into(), MIGRATING.into(), token]).await.map(drop)
    }

    async fn call(&self, command: &'static str, args: impl Into<Vec<Arg>>) -> Result<Reply, Error> {
        self.shared.call(Self::DOING, command, args.into()).await
    }

    fn not_migrated(&self, missing: impl Into<String>) -> Error {
        Error::NotMigrated { server: self.shared.server(), missing: missing.into() }
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
    fn every_file_of_the_folder_is_a_migration() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
        let names = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut scripts: Vec<_> = names.filter_map(|name| name.strip_suffix(".lua").map(str::to_owned)).collect();
        scripts.sort_unstable();
        assert_eq!(scripts, MIGRATIONS.iter().map(|migration| migration.name).collect::<Vec<_>>());
    }
}
