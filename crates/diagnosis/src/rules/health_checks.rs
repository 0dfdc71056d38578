//! Rules about health checks that fail, and about dependencies.

use hemostat_schema::{
    Span,
    action::Remedy,
    container::ExitBy,
    examination::Check,
    observation::{Evidence, Symptom},
};

use super::finding::{Finding, sick, unclear};
use crate::{
    case::Case,
    health_checks::{BUSY, IDLE, PATIENCE},
    known_failure::KnownFailure,
    log_patterns, phrases,
    plain_text::plain,
};

/// How long until HemoStat checks again whether a dependency is healthy.
const DEPENDENCY_RECHECK: Span = Span::from_secs(60);
/// How many characters of a health check's output are quoted.
const QUOTED: usize = 120;

/// "its health check has failed for 2 min", if it fails.
fn failing(case: &Case<'_>) -> Option<String> {
    let active = case.active_symptoms.get(&Symptom::Unhealthy).filter(|_| case.fails_health_check())?;
    let failing = match (&active.evidence, active.target == case.facts.target()) {
        (Evidence::Health { .. }, true) => phrases::failing(Span::between(active.since, case.now)),
        _ => "has failed in this run, too".to_owned(),
    };
    Some(format!("its health check {failing}"))
}

fn printed(check: &Check) -> String {
    let output = plain(&check.output, QUOTED);
    if output.is_empty() { "it printed nothing".to_owned() } else { format!("it printed “{output}”") }
}

/// Applies when the container is unhealthy or down and a container that it depends on is, too. Cause: the dependency. No
/// remedy, because no restart of this container helps before the dependency is healthy.
pub(super) fn dependency_down(case: &Case<'_>) -> Option<Finding> {
    let dependencies: Vec<_> = case.unhealthy_dependencies().collect();
    let first = dependencies.first()?;
    let explained = [Symptom::Unhealthy, Symptom::Exited, Symptom::RestartLoop, Symptom::Flapping];
    let crashed = case.last_exit().is_none_or(|exit| exit.by != ExitBy::Oom);
    if !crashed || case.has_resource_symptom() || !explained.iter().any(|symptom| case.has_symptom(*symptom)) {
        return None;
    }
    let own = match (failing(case), case.last_exit()) {
        (Some(failing), _) => failing,
        (None, Some(exit)) => format!("it ended with {}", phrases::code(exit.code)),
        (None, None) => format!("it has symptoms ({})", phrases::symptoms(case.active_symptoms.keys())),
    };
    let needs: Vec<String> =
        dependencies.iter().map(|dependency| format!("{} {}", dependency.relative.name, dependency.problem)).collect();
    let root_cause = format!("{own} because of its dependencies: {}", needs.join(", "));
    let why = format!(
        "no restart of this container helps before {} is healthy; HemoStat checks again then",
        first.relative.name
    );
    Some(sick(None, 0.85, root_cause, why).citing(["relatives"]).recheck_after(DEPENDENCY_RECHECK))
}

/// Applies when the health check fails and the container whose network it shares has restarted. Cause: its network
/// namespace is gone. Restart, because a new run joins the new network.
pub(super) fn network_gone(case: &Case<'_>) -> Option<Finding> {
    let failing = failing(case)?;
    let owner = &case.restarted_network_owner()?.name;
    let root_cause = format!("{failing}: it shares the network of {owner}, which has restarted since");
    let why = "the network that it uses is gone; a new run joins the new one";
    Some(sick(Remedy::Restart, 0.85, root_cause, why).citing(["relatives"]))
}

/// Applies when every failing check could not be executed (exit code 126 or 127, or no such file). Cause: the check's
/// command is wrong. Unclear, because nothing says that the container itself fails.
pub(super) fn check_broken(case: &Case<'_>) -> Option<Finding> {
    let failing = failing(case).filter(|_| case.has_broken_check())?;
    let check = case.failed_checks().last()?;
    let root_cause = format!("{failing} because the check itself cannot be run: {}", printed(check));
    let why = "nothing says that the container itself fails: correct the command of its health check";
    Some(unclear(0.8, root_cause, why).citing(["checks"]))
}

/// Applies when the check gets 401, 403, 404 or 405, asks a port other than the one the container listens on, or reads
/// an old line in a log file. Cause: the check asks for the wrong thing. Unclear, because a restart does not change that.
pub(super) fn check_misdirected(case: &Case<'_>) -> Option<Finding> {
    let failing = failing(case).filter(|_| case.has_misdirected_check())?;
    let check = case.failed_checks().last()?;
    let root_cause = format!("{failing} because it asks for the wrong thing: {}", printed(check));
    let why = "the check asks for a path that does not exist or needs a login, asks a port where nothing listens, or finds \
               an old line in a log; a restart does not change that: correct the check";
    Some(unclear(0.7, root_cause, why).citing(["checks"]))
}

/// Applies when the health check alternates between passing and failing. Cause: usually a time limit that is too short
/// for the load. No remedy, because the container recovers by itself each time; restart only if part of it hangs and a
/// restart helped before.
pub(super) fn flapping(case: &Case<'_>) -> Option<Finding> {
    let active = case.active_symptoms.get(&Symptom::Flapping).filter(|_| case.has_symptom(Symptom::Flapping))?;
    let root_cause = match &active.evidence {
        Evidence::Flips { count, within } => {
            format!("its health check changed its result {count} times within {within}")
        }
        _ => "its health check changes its result again and again".to_owned(),
    };
    if case.hangs_as_before() {
        let why = "part of it hangs: it is idle, answers only now and then, and a restart helped the last time";
        return Some(sick(Remedy::Restart, 0.75, root_cause, why).citing(["checks", "samples"]));
    }
    let why = match case.checks_time_out() {
        true => {
            "its check times out now and then: give the check more time, or the container more CPU; a restart changes \
             neither"
        }
        false => {
            "it recovers by itself each time, so a restart would only add an interruption: look at what the check asks for"
        }
    };
    Some(sick(None, 0.75, root_cause, why).citing(["checks"]))
}

/// Applies when the check or the log names a failure outside the container: a service that is unreachable, refused
/// credentials, an expired certificate, a full or read-only disk, a lock. Cause: that failure. No remedy, because a
/// restart does not change it.
pub(super) fn elsewhere(case: &Case<'_>) -> Option<Finding> {
    let failing = failing(case)?;
    let found = case.external_failure()?;
    let root_cause = format!("{failing}: {}", found.description());
    let why = format!("a restart would not change that: {}", found.failure.advice());
    Some(sick(None, 0.75, root_cause, why).citing_match(Some(found)))
}

/// Applies when the container says that it is loading, recovering or shutting down, or is young and busy, and its check
/// has not passed in this run. Cause: it is still starting (or stopping). Unclear, because a restart would begin that
/// again.
pub(super) fn still_begins(case: &Case<'_>) -> Option<Finding> {
    let failing = failing(case)?;
    let left = case.startup_time_left()?;
    let (found, age) = (case.not_ready_message(), case.run_age());
    let root_cause = match (found, age) {
        (Some(found), _) => format!("{failing}: {}", found.description()),
        (None, Some(age)) => format!("{failing}, and has not passed since the run began {age} ago"),
        (None, None) => failing,
    };
    let why = match found {
        Some(found) if found.failure == KnownFailure::ShuttingDown => {
            format!("a restart would interrupt its shutdown and undo the request to stop: HemoStat waits {left} more")
        }
        _ => format!("it is still starting, and a restart would start that again: HemoStat waits {left} more"),
    };
    Some(unclear(0.6, root_cause, why).citing(["checks", "samples"]).citing_match(found).recheck_after(left))
}

/// Applies when the check still fails although a dependency has recovered or restarted since. Cause: stale connections
/// or addresses. Restart, because a new run connects again.
pub(super) fn left_behind(case: &Case<'_>) -> Option<Finding> {
    // A failure that needs an operator is still there after a restart.
    let failing =
        failing(case).filter(|_| case.external_failure().is_none_or(|found| !found.failure.needs_a_person()))?;
    let other = &case.recovered_dependency()?.name;
    let root_cause = format!("{failing} although its dependency {other} has recovered or restarted since");
    let why = "it still uses what it got from the earlier run of that container: connections, addresses";
    Some(sick(Remedy::Restart, 0.8, root_cause, why).citing(["relatives", "checks"]))
}

/// Applies when checks time out, CPU is at 70 % or more, and the container has printed nothing since they began to fail.
/// Cause: a loop that does not end. Restart, because it answers nothing.
pub(super) fn spinning(case: &Case<'_>) -> Option<Finding> {
    let failing = failing(case).filter(|_| case.checks_time_out() && case.has_fallen_silent())?;
    let vitals = case.current_vitals().filter(|vitals| vitals.cpu.get() >= BUSY)?;
    let root_cause = format!("{failing}: it times out while the container uses {} of its CPU", vitals.cpu);
    let why = "it is busy with something that does not end: it has printed nothing since, and answers no request";
    Some(sick(Remedy::Restart, 0.8, root_cause, why).citing(["checks", "samples"]))
}

/// Applies when checks time out while the container is busy or answers requests. Cause: overload. Unclear at first,
/// because it may catch up; restart when it has not after five minutes.
pub(super) fn slow(case: &Case<'_>) -> Option<Finding> {
    let failing = failing(case).filter(|_| case.checks_time_out())?;
    let busy = case.current_vitals().is_some_and(|vitals| vitals.cpu.get() >= BUSY);
    let does = match (busy, case.served_while_failing()) {
        (_, true) => "although the container answers requests",
        (true, false) => "while the container is busy",
        (false, false) => return None,
    };
    let root_cause = format!("{failing}: it times out, {does}");
    let finding = match case.patience_left() {
        Some(left) => {
            let why = format!("it is slow, not dead, so HemoStat waits {left} more before it restarts it");
            unclear(0.5, root_cause, why).recheck_after(left)
        }
        None => {
            let why = format!("it has not caught up with its work in {PATIENCE}");
            sick(Remedy::Restart, 0.75, root_cause, why)
        }
    };
    Some(finding.citing(["checks", "samples"]))
}

/// Applies when checks time out, CPU is at 5 % or less, and the container answers no request. Cause: a hang, such as a
/// deadlock. Restart, because it does not recover by itself.
pub(super) fn hung(case: &Case<'_>) -> Option<Finding> {
    let failing = failing(case).filter(|_| case.checks_time_out() && !case.served_while_failing())?;
    let vitals = case.current_vitals().filter(|vitals| vitals.cpu.get() <= IDLE)?;
    let root_cause = format!("{failing}: it times out while the container uses {} of its CPU", vitals.cpu);
    let why = "it runs and does nothing, as in a deadlock";
    Some(sick(Remedy::Restart, 0.85, root_cause, why).citing(["checks", "samples"]))
}

/// Applies when the check's connection to the container itself is refused. Cause: nothing listens on the port. Restart,
/// because the process runs without doing its work.
pub(super) fn not_listening(case: &Case<'_>) -> Option<Finding> {
    let failing = failing(case).filter(|_| case.refuses_connections())?;
    let check = case.failed_checks().last()?;
    let root_cause = format!("{failing}: nothing listens on its port ({})", printed(check));
    let why = "its main process runs without doing its work";
    Some(sick(Remedy::Restart, 0.85, root_cause, why).citing(["checks", "processes"]))
}

/// Applies when the backlog or lag in the check's output falls from check to check. Cause: the container is behind and
/// catches up. Unclear, because a restart would throw it back.
pub(super) fn catching_up(case: &Case<'_>) -> Option<Finding> {
    let failing = failing(case).filter(|_| case.is_catching_up())?;
    let check = case.failed_checks().last()?;
    let root_cause = format!("{failing}, and the backlog that it reports falls ({})", printed(check));
    let why = "it is catching up, and a restart would throw it back: HemoStat checks again later";
    Some(unclear(0.65, root_cause, why).citing(["checks"]).recheck_after(PATIENCE))
}

/// Applies when the check fails although the container answers requests, or a container that depends on it is healthy.
/// Cause: a part of it, or of what it needs. Unclear, because a restart would cut off its clients.
pub(super) fn serving(case: &Case<'_>) -> Option<Finding> {
    let failing = failing(case).filter(|_| case.serves_others())?;
    let check = case.failed_checks().last()?;
    let root_cause = format!("{failing} ({}), although it serves its clients", printed(check));
    let why = "only a part of it fails, or of what it needs; a restart would cut off its clients: look at what the check \
               asks for";
    Some(unclear(0.6, root_cause, why).citing(["checks", "relatives"]).recheck_after(PATIENCE))
}

/// Applies when the health check fails and no rule above explains why. Cause: what its log or its check says. Restart,
/// because the container does not do its work.
pub(super) fn unhealthy(case: &Case<'_>) -> Option<Finding> {
    let failing = failing(case)?;
    let found = case.current_examination().and_then(log_patterns::in_output);
    let check = case.failed_checks().last();
    let root_cause = match (found, check) {
        (Some(found), _) => format!("{failing}: {}", found.description()),
        (None, Some(check)) => format!("{failing}: {}", printed(check)),
        (None, None) => failing,
    };
    let why = "it runs but does not do its work, according to its own health check";
    Some(sick(Remedy::Restart, 0.8, root_cause, why).citing(["checks"]).citing_match(found))
}
