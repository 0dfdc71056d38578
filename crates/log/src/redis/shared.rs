//! Routes each command to the server that holds its keys, over one shared connection per server.
//!
//! ```text
//! command ──► slot of its first key ──► place (Topology) ──► connection to it ──► reply
//!                                          ▲                                        │
//!                                          │   forget it, ask the servers next time ├─ broken, timed out, not the master
//!                                          └── the slot's new place, then retry ────┴─ MOVED, ASK
//! ```
//!
//! Why HemoStat routes by itself instead of leaving it to the client library: a command must be executed at most once, and
//! the caller must know at which server it was attempted. Cluster and sentinel clients resend a command on their own after
//! a lost connection, although the server may have executed it, and then report only the last error. Here the client is a
//! plain transport to one known server with exactly one attempt per command. A command is sent again only after MOVED or
//! ASK, as the server that answers so has not executed it.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use fred::util::redis_keyslot;
use futures::future::BoxFuture;
use hemostat_schema::{Family, Partition};
use tokio::{sync::Mutex as AsyncMutex, time::timeout};

use super::{
    bulk::Pool,
    connection::{Arg, Connection},
    keys::{Keys, META, PREFIX},
    reply::Reply,
    topology::{Slot, Topology},
};
use crate::{
    Error, Options, RawEntry,
    options::{Deployment, Place},
};

/// Maximum redirections of one command.
const REDIRECTIONS: usize = 5;

/// The client's own time limit must fire first, so that the client forgets the command.
const GRACE: Duration = Duration::from_millis(100);

/// The shared connections, each opened again after it broke.
#[derive(Debug)]
pub(super) struct Shared {
    options: Options,
    topology: AsyncMutex<Known>,
    connections: Mutex<HashMap<Place, Current>>,
    bulk: Pool,
    restore: Restore,
}

/// Loads the functions into a master that lacks them.
pub(super) type Restore = for<'a> fn(&'a Shared, &'a Connection) -> BoxFuture<'a, Result<(), Error>>;

/// The connection to one server, if there is one.
type Current = Arc<AsyncMutex<Option<Arc<Connection>>>>;

/// What is known of the servers.
#[derive(Debug, Default)]
struct Known {
    /// None when the servers must be asked.
    topology: Option<Topology>,
    /// The masters as they were last known.
    last_masters: Vec<Place>,
}

impl Shared {
    /// Opens no connection yet.
    pub fn new(options: Options, restore: Restore) -> Self {
        let (topology, connections, bulk) = (AsyncMutex::default(), Mutex::default(), Pool::default());
        Self { options, topology, connections, bulk, restore }
    }

    pub fn options(&self) -> &Options {
        &self.options
    }

    pub fn server(&self) -> String {
        self.options.server()
    }

    /// Sends one command, at most once, to the server that holds its first key. The time limit includes the wait for a
    /// connection.
    pub async fn call(&self, doing: &'static str, command: &'static str, args: Vec<Arg>) -> Result<Reply, Error> {
        let limit = self.options.limit();
        match timeout(limit + GRACE, self.send(doing, command, args)).await {
            Ok(answer) => answer.map_err(|error| with_doing(error, doing)),
            Err(_) => Err(Error::TimedOut { doing, server: self.server(), limit }),
        }
    }

    /// A page of a stream, read by a bulk connection (see [`bulk`](super::bulk)). After an error the caller reads it with
    /// [`call`](Self::call).
    pub async fn page(
        &self,
        command: &'static str,
        args: &[Arg],
        partition: Partition,
        family: Family,
    ) -> io::Result<Vec<RawEntry>> {
        let place = self.place(slot(first_key(args))).await.map_err(io::Error::other)?;
        let mut bulk = self.bulk.take(&self.options, &place).await?;
        let words: Vec<Arg> = [Arg::from(command)].into_iter().chain(args.iter().cloned()).collect();
        let found = bulk.entries(&words, partition, family).await?;
        self.bulk.put_back(bulk);
        Ok(found)
    }

    /// A new connection to the server that holds the partition.
    pub async fn dedicated(&self, partition: Partition) -> Result<Connection, Error> {
        self.open(&self.place(slot(Keys(partition).clock().as_bytes())).await?).await
    }

    /// A connection to every server that holds keys.
    pub async fn masters(&self) -> Result<Vec<Arc<Connection>>, Error> {
        let mut masters = vec![];
        for place in self.with_topology(Topology::places).await? {
            masters.push(self.connection(&place).await?);
        }
        Ok(masters)
    }

    /// Whether several masters hold the keys. They do not share functions.
    pub fn is_cluster(&self) -> bool {
        matches!(self.options.deployment(), Deployment::Cluster(_))
    }

    /// Drops the shared connection to `place` and the known topology if `error` says that they are outdated.
    pub async fn on_failure(&self, place: &Place, error: &Error) {
        if lost(error) {
            drop(self.current(place).lock().await.take());
            self.forget().await;
        }
    }

    async fn send(&self, doing: &'static str, command: &'static str, args: Vec<Arg>) -> Result<Reply, Error> {
        let slot = slot(first_key(&args));
        let mut place = self.place(slot).await?;
        let mut redirections = 0;
        loop {
            let connection = self.connection(&place).await?;
            let answer = connection.call(doing, command, args.clone(), self.options.limit()).await;
            let Err(error) = answer else { return answer };
            redirections += 1;
            match Redirection::of(&error, &place).filter(|_| redirections <= REDIRECTIONS) {
                Some(Redirection::Moved(to)) => {
                    self.moved(slot, &to).await;
                    place = to;
                }
                Some(Redirection::Ask(to)) => return self.ask(&to, doing, command, args).await,
                // A master that joined the cluster later has no functions, so it has executed none.
                None if self.is_cluster() && lacks_functions(&error) && redirections == 1 => {
                    (self.restore)(self, &connection).await?;
                }
                None => {
                    self.discard_if_lost(&connection, &error).await;
                    return Err(error);
                }
            }
        }
    }

    /// Sends a command to the server that a slot is migrating to. ASKING applies to the next command of its connection, so
    /// this uses a connection of its own.
    async fn ask(
        &self,
        to: &Place,
        doing: &'static str,
        command: &'static str,
        args: Vec<Arg>,
    ) -> Result<Reply, Error> {
        let connection = self.open(to).await?;
        connection.call(doing, "ASKING", vec![], self.options.limit()).await?;
        let answer = connection.call(doing, command, args.clone(), self.options.limit()).await;
        if answer.as_ref().is_err_and(lacks_functions) {
            (self.restore)(self, &connection).await?;
            connection.call(doing, "ASKING", vec![], self.options.limit()).await?;
            return connection.call(doing, command, args, self.options.limit()).await;
        }
        answer
    }

    async fn place(&self, slot: Slot) -> Result<Place, Error> {
        let place = self.with_topology(|topology| topology.place(slot).cloned()).await?;
        if place.is_none() {
            self.forget().await;
        }
        place.ok_or_else(|| Error::NotReady {
            doing: "find out which server is the master",
            server: self.server(),
            reply: format!("no node of the cluster has the slot {slot}"),
        })
    }

    /// What `look` finds in the topology; discovers the topology first if it is not known.
    async fn with_topology<T>(&self, look: impl FnOnce(&Topology) -> T) -> Result<T, Error> {
        let mut known = self.topology.lock().await;
        if known.topology.is_none() {
            let topology = Topology::discover(&self.options, &known.last_masters).await?;
            let places = topology.places();
            let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
            connections.retain(|place, _| places.contains(place));
            *known = Known { topology: Some(topology), last_masters: places };
        }
        Ok(look(known.topology.as_ref().expect("it was discovered above")))
    }

    async fn moved(&self, slot: Slot, to: &Place) {
        if let Some(topology) = &mut self.topology.lock().await.topology {
            topology.moved(slot, to.clone());
        }
    }

    async fn forget(&self) {
        self.topology.lock().await.topology = None;
    }

    fn current(&self, place: &Place) -> Current {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(connections.entry(place.clone()).or_default())
    }

    async fn connection(&self, place: &Place) -> Result<Arc<Connection>, Error> {
        let current = self.current(place);
        let mut current = current.lock().await;
        match current.as_ref().filter(|connection| connection.is_connected()) {
            Some(connection) => Ok(Arc::clone(connection)),
            None => {
                *current = None;
                Ok(Arc::clone(current.insert(Arc::new(self.open(place).await?))))
            }
        }
    }

    /// Connects to `place`. A sentinel may be late to notice a failover, so the server is asked for its role.
    async fn open(&self, place: &Place) -> Result<Connection, Error> {
        let open = async {
            let connection = Connection::open(&self.options, place).await?;
            if let Deployment::Sentinel { .. } = self.options.deployment() {
                const DOING: &str = "ask the server for its role";
                let role = connection.call(DOING, "ROLE", vec![], self.options.limit()).await?.list(DOING)?;
                if role.first() != Some(&Reply::Data("master".into())) {
                    let reply = "it is no longer the master".to_owned();
                    return Err(Error::NotReady { doing: DOING, server: place.to_string(), reply });
                }
            }
            Ok(connection)
        };
        let opened = open.await;
        if opened.is_err() {
            self.forget().await;
        }
        opened
    }

    /// Drops a connection that has failed, unless another task already did.
    async fn discard_if_lost(&self, broken: &Arc<Connection>, error: &Error) {
        if !lost(error) {
            return;
        }
        let current = self.current(broken.place());
        let mut current = current.lock().await;
        if current.as_ref().is_some_and(|connection| Arc::ptr_eq(connection, broken)) {
            *current = None;
            self.forget().await;
        }
    }
}

/// Where a node of a cluster redirects a command for keys that it does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Redirection {
    /// The slot is there now.
    Moved(Place),
    /// The slot is migrating there; this key is already there or will be created there.
    Ask(Place),
}

impl Redirection {
    /// `from` is the server that replied; its host is meant if the reply names none.
    fn of(error: &Error, from: &Place) -> Option<Self> {
        let Error::NotReady { reply, .. } = error else { return None };
        let mut words = reply.split(' ');
        let kind = match words.next()? {
            "MOVED" => Self::Moved,
            "ASK" => Self::Ask,
            _ => return None,
        };
        let to = words.nth(1)?;
        let only_a_port = to.strip_prefix(':').and_then(|port| port.parse().ok());
        let place = match (only_a_port, from) {
            (Some(port), Place::Host { host, .. }) => Place::Host { host: host.clone(), port },
            _ => Place::parse(to, 0)?,
        };
        Some(kind(place))
    }
}

/// Whether the connection is unusable, or its server no longer the master.
fn lost(error: &Error) -> bool {
    match error {
        Error::NotReady { reply, .. } => {
            let code = reply.split(' ').next().unwrap_or_default();
            matches!(code, "READONLY" | "MASTERDOWN" | "CLUSTERDOWN" | "UNBLOCKED" | "MOVED")
        }
        Error::Archive { .. } => false,
        error => error.is_transient(),
    }
}

fn lacks_functions(error: &Error) -> bool {
    matches!(error, Error::NotMigrated { missing, .. } if missing == super::connection::NO_FUNCTIONS)
}

/// The slot of a key in Redis Cluster.
fn slot(key: &[u8]) -> Slot {
    redis_keyslot(key)
}

/// The first key of a command: all keys have the same prefix, and no argument before a key has it. A command without a
/// key, such as PING, goes to the server that holds [`META`].
fn first_key(args: &[Arg]) -> &[u8] {
    args.iter().find(|arg| arg.starts_with(PREFIX.as_bytes())).map_or(META.as_bytes(), |key| key)
}

/// The same error with the caller's `doing`.
fn with_doing(error: Error, doing: &'static str) -> Error {
    match error {
        Error::Unreachable { server, reason, .. } => Error::Unreachable { doing, server, reason },
        Error::TimedOut { server, limit, .. } => Error::TimedOut { doing, server, limit },
        Error::NotReady { server, reply, .. } => Error::NotReady { doing, server, reply },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_routed_by_its_first_key() {
        let check = |args: &[&'static str], key: &str| {
            let args: Vec<Arg> = args.iter().map(|arg| Arg::from(*arg)).collect();
            assert_eq!(first_key(&args), key.as_bytes(), "{args:?}");
        };
        check(&["hemostat:{1}:clock"], "hemostat:{1}:clock");
        check(
            &["hemostat_commit", "2", "hemostat:{3}:lease:g", "hemostat:{3}:clock", "hemostat:{9}"],
            "hemostat:{3}:lease:g",
        );
        check(&["GROUPS", "hemostat:{0}:actions"], "hemostat:{0}:actions");
        check(&[], META);
        let slots = ["clock", "view:a.1", "lease:x"].map(|name| slot(format!("hemostat:{{7}}:{name}").as_bytes()));
        assert!(slots.iter().all(|one| *one == slots[0]), "a partition lies in one slot: {slots:?}");
    }

    #[test]
    fn a_redirection_names_the_next_server() {
        let from = Place::Host { host: "10.0.0.1".into(), port: 1 };
        let check = |reply: &str, to: Option<&str>| {
            let error = Error::NotReady { doing: "try", server: String::new(), reply: reply.into() };
            let found = Redirection::of(&error, &from).map(|redirection| match redirection {
                Redirection::Moved(place) => format!("moved {place}"),
                Redirection::Ask(place) => format!("ask {place}"),
            });
            assert_eq!(found.as_deref(), to, "{reply}");
        };
        check("MOVED 3999 127.0.0.1:6381", Some("moved 127.0.0.1:6381"));
        check("MOVED 3999 :6381", Some("moved 10.0.0.1:6381"));
        check("MOVED 3999 ::1:6381", Some("moved [::1]:6381"));
        check("ASK 3999 redis-2.example:6381", Some("ask redis-2.example:6381"));
        check("MOVED 3999", None);
        check("LOADING the dataset", None);
    }
}
