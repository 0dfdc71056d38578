//! Finds the containers related to one, by Compose labels, Swarm labels and shared network, with their state.
//!
//! A container that fails because its database is down is not the one to restart.

use hemostat_schema::{
    ContainerName, Timestamp,
    container::{Facts, Health, State},
    examination::{Relation, Relative},
};

/// Maximum relatives reported.
const MAX_RELATIVES: usize = 20;

/// The containers of `others` that are related to `name`: closest relation first, and unhealthy ones first within it.
pub fn relatives<'a>(
    name: &ContainerName,
    facts: &Facts,
    others: impl Iterator<Item = (&'a ContainerName, &'a Facts)>,
) -> Vec<Relative> {
    let mut relatives: Vec<Relative> = others
        .filter(|(other, _)| *other != name)
        .filter_map(|(other, theirs)| {
            let relation = relation((name, facts), (other, theirs))?;
            let Facts { state, health, .. } = *theirs;
            Some(Relative { name: other.clone(), relation, state, health, since: since(theirs) })
        })
        .collect();
    relatives.sort_by(|a, b| (a.relation, is_healthy(a), &a.name).cmp(&(b.relation, is_healthy(b), &b.name)));
    relatives.truncate(MAX_RELATIVES);
    relatives
}

fn is_healthy(relative: &Relative) -> bool {
    relative.state == State::Running && relative.health != Health::Unhealthy
}

/// The relation of another container to this one.
fn relation((name, facts): (&ContainerName, &Facts), (other, theirs): (&ContainerName, &Facts)) -> Option<Relation> {
    let shares_network = |guest: &Facts, host: &ContainerName, of: &Facts| {
        guest.network_of.as_deref().is_some_and(|network| network == host.as_str() || is_id(network, of.id.as_str()))
    };
    if shares_network(facts, other, theirs) {
        return Some(Relation::Network);
    }
    if shares_network(theirs, name, facts) {
        return Some(Relation::Dependent);
    }
    if let (Some(mine), Some(their)) = (&facts.compose, &theirs.compose)
        && mine.project == their.project
    {
        return Some(if mine.depends_on.contains(&their.service) {
            Relation::Dependency
        } else if their.depends_on.contains(&mine.service) {
            Relation::Dependent
        } else if mine.service == their.service {
            Relation::Replica
        } else {
            Relation::Project
        });
    }
    let service = |facts: &Facts| facts.swarm.as_ref().map(|swarm| swarm.service_id.clone());
    (service(facts).is_some() && service(facts) == service(theirs)).then_some(Relation::Replica)
}

/// Whether `text` is this id or a prefix of at least 12 digits.
fn is_id(text: &str, id: &str) -> bool {
    text.len() >= 12 && id.starts_with(text)
}

/// Since when it has been in its present state.
fn since(facts: &Facts) -> Option<Timestamp> {
    match facts.state {
        State::Running => facts.started_at,
        State::Exited | State::Dead | State::Restarting => facts.exit.map(|exit| exit.at),
        State::Created => Some(facts.created_at),
        State::Paused | State::Removing => None,
    }
}
