//! Rules about health checks that fail, and about what a container needs to be well.

use hemostat_schema::{
    Span,
    action::Remedy,
    container::ExitBy,
    examination::Check,
    observation::{Evidence, Symptom},
};

use super::{Finding, sick, unclear};
use crate::{
    Case,
    checks::{BUSY, IDLE, PATIENCE},
    clues::{self, Trouble},
    opinion::plain,
    words,
};

/// After so long it is looked again whether what it needs is well.
const LOOK_AGAIN: Span = Span::from_secs(60);
/// Of what a check printed, so much is quoted.
const QUOTED: usize = 120;

/// That its health check fails, and since when.
fn failing(case: &Case<'_>) -> Option<String> {
    let standing = case.standing.get(&Symptom::Unhealthy).filter(|_| case.is_failing())?;
    let failing = match (&standing.evidence, standing.target == case.facts.target()) {
        (Evidence::Health { .. }, true) => words::failing(Span::between(standing.since, case.now)),
        _ => "has failed in this run, too".to_owned(),
    };
    Some(format!("its health check {failing}"))
}

fn said(check: &Check) -> String {
    let words = plain(&check.output, QUOTED);
    if words.is_empty() { "it printed nothing".to_owned() } else { format!("it printed “{words}”") }
}

pub(super) fn dependency_down(case: &Case<'_>) -> Option<Finding> {
    let roots: Vec<_> = case.roots().collect();
    let root = roots.first()?;
    let by = [Symptom::Unhealthy, Symptom::Exited, Symptom::RestartLoop, Symptom::Flapping];
    let crashed = case.last_end().is_none_or(|exit| exit.by != ExitBy::Oom);
    if !crashed || case.is_ill_of_a_level() || !by.iter().any(|symptom| case.is_ill_of(*symptom)) {
        return None;
    }
    let own = match (failing(case), case.last_end()) {
        (Some(failing), _) => failing,
        (None, Some(exit)) => format!("it ended with {}", words::code(exit.code)),
        (None, None) => format!("it is ill ({})", words::symptoms(case.standing.keys())),
    };
    let needs: Vec<String> = roots.iter().map(|root| format!("{} {}", root.relative.name, root.how)).collect();
    let root_cause = format!("{own} because of what it needs: {}", needs.join(", "));
    let why = format!("no restart of this one helps before {} is well; it is looked at again then", root.relative.name);
    Some(sick(None, 0.85, root_cause, why).citing(["relatives"]).again(LOOK_AGAIN))
}

pub(super) fn network_gone(case: &Case<'_>) -> Option<Finding> {
    let failing = failing(case)?;
    let owner = &case.lost_network()?.name;
    let root_cause = format!("{failing}: it lives in the network of {owner}, which was started anew since");
    let why = "the network that it has is gone; it gets the new one when its own run begins anew";
    Some(sick(Remedy::Restart, 0.85, root_cause, why).citing(["relatives"]))
}

pub(super) fn check_broken(case: &Case<'_>) -> Option<Finding> {
    let failing = failing(case).filter(|_| case.has_broken_check())?;
    let check = case.failing_checks().last()?;
    let root_cause = format!("{failing}, as it cannot be run at all: {}", said(check));
    let why = "nothing says that the container itself is ill: correct the command of its health check";
    Some(unclear(0.8, root_cause, why).citing(["checks"]))
}

pub(super) fn check_misdirected(case: &Case<'_>) -> Option<Finding> {
    let failing = failing(case).filter(|_| case.has_misdirected_check())?;
    let check = case.failing_checks().last()?;
    let root_cause = format!("{failing}, as that asks for the wrong thing: {}", said(check));
    let why = "its health check asks for what is not there or not for everybody, at a port where nobody listens, or a log for \
               what is past, which a restart does not change: correct the check, or what it asks for";
    Some(unclear(0.7, root_cause, why).citing(["checks"]))
}

pub(super) fn flapping(case: &Case<'_>) -> Option<Finding> {
    let standing = case.standing.get(&Symptom::Flapping).filter(|_| case.is_ill_of(Symptom::Flapping))?;
    let root_cause = match &standing.evidence {
        Evidence::Flips { count, within } => format!("its health check changed its mind {count} times within {within}"),
        _ => "its health check changes its mind again and again".to_owned(),
    };
    if case.hangs_again() {
        let why =
            "some of it hangs: it does nothing, answers only now and then, and a restart made that well the last time";
        return Some(sick(Remedy::Restart, 0.75, root_cause, why).citing(["checks", "samples"]));
    }
    let why = match case.is_late() {
        true => "it answers too late now and then: give its check more time, or it more CPU; a restart changes neither",
        false => "it gets well each time by itself, so a restart would only add to it: look at what its check asks for",
    };
    Some(sick(None, 0.75, root_cause, why).citing(["checks"]))
}

pub(super) fn elsewhere(case: &Case<'_>) -> Option<Finding> {
    let failing = failing(case)?;
    let clue = case.trouble_elsewhere()?;
    let root_cause = format!("{failing}: {}", clue.told());
    let why = format!("a restart would not change that: {}", clue.trouble.advice());
    Some(sick(None, 0.75, root_cause, why).by(Some(clue)))
}

pub(super) fn still_begins(case: &Case<'_>) -> Option<Finding> {
    let failing = failing(case)?;
    let left = case.still_begins()?;
    let (clue, age) = (case.says_not_ready(), case.run_age());
    let root_cause = match (clue, age) {
        (Some(clue), _) => format!("{failing}: {}", clue.told()),
        (None, Some(age)) => format!("{failing}, and it has not passed since its run began {age} ago"),
        (None, None) => failing,
    };
    let why = match clue {
        Some(clue) if clue.trouble == Trouble::Leaving => {
            format!("a restart would break off what it finishes, and undo what it was told: it is given {left} more")
        }
        _ => format!("it is at work on its beginning, and a restart would begin that anew: it is given {left} more"),
    };
    Some(unclear(0.6, root_cause, why).citing(["checks", "samples"]).by(clue).again(left))
}

pub(super) fn left_behind(case: &Case<'_>) -> Option<Finding> {
    // What only people mend it would not find otherwise after a restart.
    let failing = failing(case).filter(|_| case.trouble_elsewhere().is_none_or(|clue| !clue.trouble.stays()))?;
    let other = &case.left_behind_by()?.name;
    let root_cause = format!("{failing} though {other}, which it needs, has got well or begun anew since");
    let why = "it holds on to what it had of the run before: connections, addresses";
    Some(sick(Remedy::Restart, 0.8, root_cause, why).citing(["relatives", "checks"]))
}

pub(super) fn spinning(case: &Case<'_>) -> Option<Finding> {
    let failing = failing(case).filter(|_| case.is_late() && case.has_fallen_silent())?;
    let vitals = case.vitals_now().filter(|vitals| vitals.cpu.get() >= BUSY)?;
    let root_cause = format!("{failing}, as it gets no answer in time, while it uses {} of its CPU", vitals.cpu);
    let why = "it is at work on something that does not end: it has printed nothing since, and answers nobody";
    Some(sick(Remedy::Restart, 0.8, root_cause, why).citing(["checks", "samples"]))
}

pub(super) fn slow(case: &Case<'_>) -> Option<Finding> {
    let failing = failing(case).filter(|_| case.is_late())?;
    let busy = case.vitals_now().is_some_and(|vitals| vitals.cpu.get() >= BUSY);
    let does = match (busy, case.serves()) {
        (_, true) => "though it answers requests",
        (true, false) => "while it is at work",
        (false, false) => return None,
    };
    let root_cause = format!("{failing}, as it gets no answer in time, {does}");
    let finding = match case.patience() {
        Some(left) => {
            let why = format!("it is slow rather than dead, so it is given {left} more before it is restarted");
            unclear(0.5, root_cause, why).again(left)
        }
        None => {
            let why = format!("in {PATIENCE} it has not caught up with its work");
            sick(Remedy::Restart, 0.75, root_cause, why)
        }
    };
    Some(finding.citing(["checks", "samples"]))
}

pub(super) fn hung(case: &Case<'_>) -> Option<Finding> {
    let failing = failing(case).filter(|_| case.is_late() && !case.serves())?;
    let vitals = case.vitals_now().filter(|vitals| vitals.cpu.get() <= IDLE)?;
    let root_cause = format!("{failing}, as it gets no answer in time, while it uses {} of its CPU", vitals.cpu);
    let why = "it runs and does nothing, as what waits for itself does";
    Some(sick(Remedy::Restart, 0.85, root_cause, why).citing(["checks", "samples"]))
}

pub(super) fn not_listening(case: &Case<'_>) -> Option<Finding> {
    let failing = failing(case).filter(|_| case.is_refused())?;
    let check = case.failing_checks().last()?;
    let root_cause = format!("{failing}: nothing listens where it should ({})", said(check));
    let why = "its main process runs on without doing its work";
    Some(sick(Remedy::Restart, 0.85, root_cause, why).citing(["checks", "processes"]))
}

pub(super) fn catching_up(case: &Case<'_>) -> Option<Finding> {
    let failing = failing(case).filter(|_| case.catches_up())?;
    let check = case.failing_checks().last()?;
    let root_cause = format!("{failing}, and what it finds wrong is ever less ({})", said(check));
    let why = "it catches up, and a restart would throw it back: it is looked at again";
    Some(unclear(0.65, root_cause, why).citing(["checks"]).again(PATIENCE))
}

pub(super) fn serving(case: &Case<'_>) -> Option<Finding> {
    let failing = failing(case).filter(|_| case.serves_others())?;
    let check = case.failing_checks().last()?;
    let root_cause = format!("{failing} ({}), though it serves others", said(check));
    let why = "a part of it fails, or of what it needs; a restart would cut off those who are served: look at what its check \
               asks for";
    Some(unclear(0.6, root_cause, why).citing(["checks", "relatives"]).again(PATIENCE))
}

pub(super) fn unhealthy(case: &Case<'_>) -> Option<Finding> {
    let failing = failing(case)?;
    let clue = case.examined_now().and_then(clues::in_output);
    let check = case.failing_checks().last();
    let root_cause = match (clue, check) {
        (Some(clue), _) => format!("{failing}: {}", clue.told()),
        (None, Some(check)) => format!("{failing}: {}", said(check)),
        (None, None) => failing,
    };
    let why = "it runs but does not do its work, as its own check says";
    Some(sick(Remedy::Restart, 0.8, root_cause, why).citing(["checks"]).by(clue))
}
