//! Which server holds which keys, as the servers themselves report it.
//!
//! A caller that meets a failure, or a server that is no longer the master, drops the topology; the next call discovers it
//! again. So a failover needs neither a restart nor a timer.

use std::ops::RangeInclusive;

use futures::future::select_ok;

use super::{
    connection::Connection,
    reply::{Reply, corrupt},
};
use crate::{
    Error, Options,
    options::{Deployment, Place},
};

const DOING: &str = "find out which server is the master";

/// A hash slot of a cluster, from 0 to 16383.
pub(super) type Slot = u16;

/// Which server holds which keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Topology {
    /// One server holds all keys.
    One(Place),
    /// Each server holds the keys of its slots.
    Slots(Vec<(RangeInclusive<Slot>, Place)>),
}

impl Topology {
    /// Asks the sentinels or nodes. `known` are the last known masters; they may know more than the nodes of the address.
    pub async fn discover(options: &Options, known: &[Place]) -> Result<Self, Error> {
        match options.deployment() {
            Deployment::Single(place) => Ok(Self::One(place.clone())),
            Deployment::Sentinel { sentinels, master } => {
                let asked = sentinels.iter().map(|sentinel| Box::pin(ask_sentinel(options, sentinel, master)));
                Ok(Self::One(first(asked).await?))
            }
            Deployment::Cluster(nodes) => {
                let mut nodes = nodes.clone();
                nodes.extend(known.iter().filter(|place| !nodes.contains(place)).cloned().collect::<Vec<_>>());
                let asked = nodes.iter().map(|node| Box::pin(ask_node(options, node)));
                Ok(Self::Slots(first(asked).await?))
            }
        }
    }

    /// The server that holds the keys of `slot`.
    pub fn place(&self, slot: Slot) -> Option<&Place> {
        match self {
            Self::One(place) => Some(place),
            Self::Slots(slots) => slots.iter().find(|(range, _)| range.contains(&slot)).map(|(_, place)| place),
        }
    }

    /// Records that a slot has moved.
    pub fn moved(&mut self, slot: Slot, to: Place) {
        if let Self::Slots(slots) = self {
            slots.retain(|(range, _)| *range != (slot..=slot));
            slots.insert(0, (slot..=slot, to));
        }
    }

    /// Every server that holds keys.
    pub fn places(&self) -> Vec<Place> {
        match self {
            Self::One(place) => vec![place.clone()],
            Self::Slots(slots) => {
                let mut places: Vec<Place> = vec![];
                for (_, place) in slots {
                    if !places.contains(place) {
                        places.push(place.clone());
                    }
                }
                places
            }
        }
    }
}

/// The first success, or else the last error. All are asked at once, so that one that hangs does not delay the others.
async fn first<T>(asked: impl Iterator<Item = impl Future<Output = Result<T, Error>> + Unpin>) -> Result<T, Error> {
    select_ok(asked).await.map(|(answer, _)| answer)
}

/// Asks a sentinel for the master.
async fn ask_sentinel(options: &Options, sentinel: &Place, master: &str) -> Result<Place, Error> {
    let limit = options.limit();
    let connection = Connection::open_sentinel(options, sentinel).await?;
    let args = vec!["GET-MASTER-ADDR-BY-NAME".into(), master.to_owned().into()];
    let answer = connection.call(DOING, "SENTINEL", args, limit).await?;
    if answer == Reply::Nil {
        let reply = format!("no sentinel has a master of the name {master}; check redis.url");
        return Err(Error::Refused { doing: DOING, server: sentinel.to_string(), reply });
    }
    let [host, port] = answer.exactly(DOING)?;
    host_and_port(host.text(DOING)?, port)
}

/// Asks a node of a cluster for the masters' slots.
async fn ask_node(options: &Options, node: &Place) -> Result<Vec<(RangeInclusive<Slot>, Place)>, Error> {
    let connection = Connection::open(options, node).await?;
    let answer = connection.call(DOING, "CLUSTER", vec!["SLOTS".into()], options.limit()).await?;
    let slots = answer.list(DOING)?.into_iter().map(|range| slots_of(range, node)).collect::<Result<Vec<_>, _>>()?;
    if slots.is_empty() {
        let reply = "it is in no cluster that has keys".to_owned();
        return Err(Error::NotReady { doing: DOING, server: node.to_string(), reply });
    }
    Ok(slots)
}

/// One line of `CLUSTER SLOTS`: first and last slot, the master's host, port and id, then its replicas.
fn slots_of(range: Reply, node: &Place) -> Result<(RangeInclusive<Slot>, Place), Error> {
    let mut fields = range.list(DOING)?.into_iter();
    let mut next = || fields.next().unwrap_or(Reply::Nil);
    let (first, last) = (next().number(DOING)?, next().number(DOING)?);
    let slot = |number: u64| Slot::try_from(number).map_err(|_| corrupt(DOING, format!("the slot {number}")));
    let mut master = next().list(DOING)?.into_iter();
    let (host, port) = (master.next().unwrap_or(Reply::Nil), master.next().unwrap_or(Reply::Nil));
    // A node that does not know its own address means the address at which it was asked.
    let host = match (host.data(DOING)?, node) {
        (Some(host), _) if !host.is_empty() && &*host != b"?" => String::from_utf8_lossy(&host).into_owned(),
        (_, Place::Host { host, .. }) => host.clone(),
        (_, Place::Socket(path)) => return Err(corrupt(DOING, format!("no host of the node at {}", path.display()))),
    };
    Ok((slot(first)?..=slot(last)?, host_and_port(host, port)?))
}

fn host_and_port(host: String, port: Reply) -> Result<Place, Error> {
    let port = port.number(DOING)?;
    let port = u16::try_from(port).map_err(|_| corrupt(DOING, format!("the port {port}")))?;
    Ok(Place::Host { host, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(port: u16) -> Place {
        Place::Host { host: "10.0.0.1".into(), port }
    }

    fn master(host: &str, port: i64) -> Reply {
        Reply::List(vec![Reply::Data(host.to_owned().into()), Reply::Number(port), Reply::Data("id".into())])
    }

    #[test]
    fn a_line_of_cluster_slots_names_the_master() {
        let check = |host: &str, found: &str| {
            let line = Reply::List(vec![Reply::Number(0), Reply::Number(5460), master(host, 7001), master("x", 1)]);
            let (range, place) = slots_of(line, &place(1)).unwrap();
            assert_eq!((range, place.to_string().as_str()), (0..=5460, found), "{host}");
        };
        check("10.0.0.9", "10.0.0.9:7001");
        check("redis-0.example", "redis-0.example:7001");
        check("", "10.0.0.1:7001");
        check("?", "10.0.0.1:7001");
        assert!(
            slots_of(Reply::List(vec![Reply::Number(0), Reply::Number(70_000), master("a", 1)]), &place(1)).is_err()
        );
    }

    #[test]
    fn a_moved_slot_is_found_in_its_new_place() {
        let mut topology = Topology::Slots(vec![(0..=99, place(1)), (100..=16383, place(2))]);
        topology.moved(7, place(2));
        topology.moved(7, place(3));
        let found = [6, 7, 8, 100].map(|slot| topology.place(slot).cloned());
        assert_eq!(found, [place(1), place(3), place(1), place(2)].map(Some));
        assert_eq!(topology.places(), [place(3), place(1), place(2)]);
    }
}
