//! The fold of observations into [`Facts`]: what is known of a container, updated by each run that begins or ends.
//!
//! Inspecting a container gives all facts at once; Docker's event stream gives the changes. Both become observations,
//! and every decision knows a container by this one fold of them.

use hemostat_schema::{
    Observation,
    container::{Exit, ExitBy, Facts, Health, RestartPolicy, State},
};

/// Applies one observation. Nothing is known of a container before the first
/// [`Seen`](hemostat_schema::observation::Seen) or after it was removed.
pub fn apply(known: &mut Option<Facts>, seen: &Observation) {
    match (seen, known.as_mut()) {
        (Observation::Seen(seen), _) => *known = Some(seen.facts.clone()),
        (Observation::Removed(_), _) => *known = None,
        (Observation::Started(started), Some(facts)) => {
            if facts.state == State::Restarting {
                facts.restarts = facts.restarts.saturating_add(1);
            }
            facts.id = started.target.id.clone();
            facts.started_at = started.target.started_at;
            facts.state = State::Running;
            facts.exit = None;
            if facts.health != Health::None {
                facts.health = Health::Starting;
            }
        }
        (Observation::Exited(exited), Some(facts)) => {
            facts.state = if will_restart(facts, &exited.exit) { State::Restarting } else { State::Exited };
            facts.exit = Some(exited.exit);
        }
        (Observation::Paused(_), Some(facts)) => facts.state = State::Paused,
        (Observation::Unpaused(_), Some(facts)) => facts.state = State::Running,
        (Observation::HealthChanged(changed), Some(facts)) => facts.health = changed.to,
        (
            Observation::Started(_)
            | Observation::Exited(_)
            | Observation::Paused(_)
            | Observation::Unpaused(_)
            | Observation::HealthChanged(_),
            None,
        )
        | (
            Observation::Sampled(_)
            | Observation::Stored(_)
            | Observation::Examined(_)
            | Observation::DiskMeasured(_)
            | Observation::SymptomRaised(_)
            | Observation::SymptomWorsened(_)
            | Observation::SymptomCleared(_)
            | Observation::EngineLost(_)
            | Observation::EngineFound(_),
            _,
        ) => {}
    }
}

/// Whether the Docker engine of the host stopped answering (true) or answers again (false), if the observation says so.
pub fn engine_lost(seen: &Observation) -> Option<bool> {
    match seen {
        Observation::EngineLost(_) => Some(true),
        Observation::EngineFound(_) => Some(false),
        Observation::Seen(_)
        | Observation::Removed(_)
        | Observation::Started(_)
        | Observation::Exited(_)
        | Observation::Paused(_)
        | Observation::Unpaused(_)
        | Observation::HealthChanged(_)
        | Observation::Sampled(_)
        | Observation::Stored(_)
        | Observation::Examined(_)
        | Observation::DiskMeasured(_)
        | Observation::SymptomRaised(_)
        | Observation::SymptomWorsened(_)
        | Observation::SymptomCleared(_) => None,
    }
}

/// Whether Docker itself starts the container again after its run ended like this.
///
/// The rule is that of Docker's restart manager: never after an operator stopped it; with `on-failure` only after an
/// error, and only as often as the policy says
/// (<https://docs.docker.com/engine/containers/start-containers-automatically/>).
pub fn will_restart(facts: &Facts, exit: &Exit) -> bool {
    if exit.by == ExitBy::Operator {
        return false;
    }
    match facts.restart_policy {
        RestartPolicy::No => false,
        RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
        RestartPolicy::OnFailure { max } => exit.code != 0 && (max == 0 || facts.restarts < max),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, facts, run};
    use hemostat_schema::observation::{Exited, HealthChanged, Paused, Removed, Started, Unpaused};

    fn exit(second: i64, code: i64, by: ExitBy) -> Exit {
        Exit { at: at(second), code, by }
    }

    #[test]
    fn docker_restarts_by_its_policy_and_never_after_an_operators_stop() {
        let check = |restart_policy, restarts, code, by, expected| {
            let facts = Facts { restart_policy, restarts, ..facts() };
            assert_eq!(
                will_restart(&facts, &exit(9, code, by)),
                expected,
                "{restart_policy:?} {restarts} {code} {by:?}"
            );
        };
        let on_failure = |max| RestartPolicy::OnFailure { max };
        check(RestartPolicy::No, 0, 1, ExitBy::Crash, false);
        check(RestartPolicy::Always, 90, 0, ExitBy::Itself, true);
        check(RestartPolicy::UnlessStopped, 0, 137, ExitBy::Oom, true);
        check(RestartPolicy::Always, 0, 143, ExitBy::Operator, false);
        check(on_failure(0), 99, 1, ExitBy::Crash, true);
        check(on_failure(3), 2, 1, ExitBy::Crash, true);
        check(on_failure(3), 3, 1, ExitBy::Crash, false);
        check(on_failure(0), 0, 0, ExitBy::Itself, false);
    }

    #[test]
    fn facts_follow_each_run() {
        let (target, next) = (run(0), run(20));
        let mut known = Some(Facts { restart_policy: RestartPolicy::Always, ..facts() });
        let mut step = |seen: Observation| {
            apply(&mut known, &seen);
            known.as_ref().map(|facts| (facts.state, facts.health, facts.restarts, facts.started_at))
        };
        let crash = exit(10, 1, ExitBy::Crash);
        assert_eq!(
            step(Observation::Exited(Exited { target: target.clone(), exit: crash })),
            Some((State::Restarting, Health::Healthy, 0, Some(at(0))))
        );
        assert_eq!(
            step(Observation::Started(Started { target: next.clone() })),
            Some((State::Running, Health::Starting, 1, Some(at(20))))
        );
        let well = HealthChanged { target: next.clone(), from: Health::Starting, to: Health::Healthy };
        step(Observation::HealthChanged(well));
        assert_eq!(
            step(Observation::Paused(Paused { target: next.clone() })),
            Some((State::Paused, Health::Healthy, 1, Some(at(20))))
        );
        step(Observation::Unpaused(Unpaused { target: next.clone() }));
        let stop = exit(30, 143, ExitBy::Operator);
        assert_eq!(
            step(Observation::Exited(Exited { target: next.clone(), exit: stop })),
            Some((State::Exited, Health::Healthy, 1, Some(at(20))))
        );
        assert_eq!(step(Observation::Removed(Removed { target: next })), None);
    }

    #[test]
    fn nothing_is_known_of_a_container_that_was_never_seen() {
        let mut known = None;
        apply(&mut known, &Observation::Started(Started { target: run(0) }));
        assert_eq!(known, None);
    }
}
