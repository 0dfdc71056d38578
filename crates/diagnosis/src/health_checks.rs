//! What a container's health check says, together with its log and its usage.

use hemostat_schema::{
    Span, Timestamp,
    container::{Health, Vitals},
    examination::{Change, Changed, Check, Relation},
    observation::{Symptom, Trend},
};

use crate::{
    case::Case,
    health_report, host_health,
    known_failure::KnownFailure,
    log_patterns::{self, LogMatch},
};

/// How long HemoStat waits before a restart if the container may recover by itself.
pub(super) const PATIENCE: Span = Span::from_secs(300);
/// How long a run that is busy or prints may take to start.
const STARTUP: Span = Span::from_secs(300);
/// How long a run may take to start while its output shows progress.
const STARTUP_WITH_PROGRESS: Span = Span::from_secs(3600);
/// How recent a log line must be to show that the container is alive.
const RECENT_OUTPUT: Span = Span::from_secs(30);
/// How long after the start of a run its log lines only show that it started.
const FIRST_OUTPUT: Span = Span::from_secs(20);
/// How long a container that says it is not ready gets; longer only while it makes progress.
const READY_WITHIN: Span = Span::from_secs(900);
/// How many of the last log lines describe the current state.
const CURRENT_LINES: usize = 5;
/// CPU percent up to which a container is idle.
pub(super) const IDLE: f64 = 5.0;
/// CPU percent from which a container is busy.
pub(super) const BUSY: f64 = 70.0;
/// Memory percent from which the heap is nearly full.
const FULL: f64 = 80.0;
/// Percentage points by which memory must have risen to count as filled.
const FILLED: f64 = 10.0;

impl<'a> Case<'a> {
    /// The checks that failed since the last one that passed.
    pub(super) fn failed_checks(&self) -> &'a [Check] {
        let checks = self.current_examination().map_or(&[][..], |examined| &examined.checks);
        let passed = checks.iter().rposition(|check| check.code == 0).map_or(0, |passed| passed + 1);
        &checks[passed..]
    }

    /// Whether its health check has passed in the current run; `None`: unknown.
    pub(super) fn was_healthy(&self) -> Option<bool> {
        let changes = self.current_examination().map_or(&[][..], |examined| &examined.changes);
        let began = changes.iter().rposition(|change| change.what == Changed::Started);
        let passed =
            |changes: &[Change]| changes.iter().any(|change| change.what == Changed::Health { to: Health::Healthy });
        self.was_healthy.or_else(|| began.map(|began| passed(&changes[began..])))
    }

    /// How much longer it may take to start, if it says that it is not ready, or is young and busy.
    pub(super) fn startup_time_left(&self) -> Option<Span> {
        let left = |within: Span, elapsed: Span| {
            let left = within.as_millis().saturating_sub(elapsed.as_millis());
            (left > 0).then(|| Span::from_millis(left))
        };
        if !self.fails_health_check() {
            return None;
        }
        if self.not_ready_message().is_some() {
            let left = left(READY_WITHIN, self.symptom_age(Symptom::Unhealthy));
            let busy =
                self.current_vitals().is_some_and(|vitals| vitals.cpu.get() >= BUSY) && self.printed_without_errors();
            return left.or_else(|| (busy || self.makes_progress()).then_some(PATIENCE));
        }
        let printed = self.last_output_at().zip(self.facts.started_at).is_some_and(|(at, began)| {
            Span::between(at, self.now) <= RECENT_OUTPUT && Span::between(began, at) >= FIRST_OUTPUT
        });
        let busy = self.current_vitals().is_some_and(|vitals| vitals.cpu.get() >= BUSY);
        let (never_healthy, age) = (self.was_healthy() == Some(false), self.run_age());
        let young = age.and_then(|age| left(STARTUP, age)).filter(|_| printed || busy);
        let progressing = || age.and_then(|age| left(STARTUP_WITH_PROGRESS, age)).filter(|_| self.makes_progress());
        young
            .or_else(progressing)
            .map(|left| left.min(PATIENCE))
            .filter(|_| self.current_examination().is_some() && never_healthy)
    }

    /// The line that says that it is loading or recovering its data, or shutting down.
    pub(super) fn not_ready_message(&self) -> Option<LogMatch<'a>> {
        let examined = self.current_examination()?;
        let is_current = |found: &LogMatch<'_>| found.is_among_the_last(CURRENT_LINES, examined.output.len());
        let not_ready = self.match_of(KnownFailure::NotReady).filter(is_current);
        not_ready.or_else(|| log_patterns::shutdown_message(examined).filter(is_current))
    }

    /// When the current run last printed a line.
    fn last_output_at(&self) -> Option<Timestamp> {
        self.current_examination().and_then(|examined| examined.output.last()).and_then(|line| line.at)
    }

    /// Whether its health check fails in the current run.
    pub(super) fn fails_health_check(&self) -> bool {
        self.has_symptom(Symptom::Unhealthy) && self.is_running() && self.facts.health == Health::Unhealthy
    }

    /// How much is left of the time in which a failing container may recover by itself.
    pub(super) fn patience_left(&self) -> Option<Span> {
        let left = PATIENCE.as_millis().saturating_sub(self.symptom_age(Symptom::Unhealthy).as_millis());
        (left > 0).then(|| Span::from_millis(left))
    }

    /// Whether all checks since the last that passed timed out.
    pub(super) fn checks_time_out(&self) -> bool {
        let checks = self.failed_checks();
        !checks.is_empty() && checks.iter().all(timed_out)
    }

    /// Whether it has answered requests since its check began to fail.
    pub(super) fn served_while_failing(&self) -> bool {
        let since = self.active_symptoms.get(&Symptom::Unhealthy).map(|active| active.since);
        let lines = self.current_examination().map_or(&[][..], |examined| &examined.output);
        lines.iter().any(|line| line.at.is_some() && line.at >= since && log_patterns::is_access_log(&line.text))
    }

    /// Whether it has printed nothing since its check began to fail, but did before.
    pub(super) fn has_fallen_silent(&self) -> bool {
        let since = self.active_symptoms.get(&Symptom::Unhealthy).map(|active| active.since);
        self.last_output_at().zip(since).is_some_and(|(silent, since)| silent < since)
    }

    /// Whether its check reaches it but asks for a path that does not exist, needs a login or is on another port.
    pub(super) fn has_misdirected_check(&self) -> bool {
        const ABSENT: [&str; 9] = [
            "error: 404",
            "404 not found",
            "status 404",
            "error: 401",
            "401 unauthorized",
            "status 401",
            "error: 403",
            "403 forbidden",
            "error: 405",
        ];
        let Some(check) = self.failed_checks().last() else { return false };
        // If the check passed before in this run, the path exists.
        let absent =
            self.was_healthy() != Some(true) && (mentions(check, &ABSENT) || self.listens_on_other_port(check));
        // A line in a log file is still there after a restart.
        absent || mentions(check, &[".log:"])
    }

    /// Whether its check is refused at a port, and its log says that it listens on others.
    fn listens_on_other_port(&self, check: &Check) -> bool {
        let lines = self.current_examination().map_or(&[][..], |examined| &examined.output);
        let listens = lines.iter().filter(|line| {
            let text = line.text.to_lowercase();
            text.contains("listening on") && !text.contains("debugger")
        });
        let (asked, open): (Vec<u16>, Vec<u16>) =
            (ports(&check.output), listens.flat_map(|line| ports(&line.text)).collect());
        self.refuses_connections()
            && !asked.is_empty()
            && !open.is_empty()
            && !asked.iter().any(|port| open.contains(port))
    }

    /// The failure outside the container that its check, or else its log, names.
    pub(super) fn external_failure(&self) -> Option<LogMatch<'a>> {
        let is_external = |found: &LogMatch<'_>| found.failure.is_external();
        // A log names many failures. A container that refuses connections has a problem of its own, unless it waits for
        // others; and credentials that its log reports as refused may be a client's.
        let waits = |found: &LogMatch<'_>| !self.refuses_connections() || found.failure.may_pass();
        let logged =
            |found: &LogMatch<'_>| is_external(found) && waits(found) && found.failure != KnownFailure::Credentials;
        let check = self.failed_checks().last().filter(|check| !is_about_the_container(check));
        let checked = check.and_then(log_patterns::in_check).filter(is_external);
        let reported = || check.filter(|_| self.reports_unhealthy_dependency()).map(log_patterns::unhealthy_component);
        checked
            .or_else(reported)
            .or_else(|| self.current_examination().and_then(log_patterns::in_output).filter(logged))
    }

    /// Whether its check reports unhealthy external components, and no container of that name is known to be healthy (if
    /// one is, this container may only have lost its connection). A component does not count as external if the check says
    /// that the container has exhausted a resource of its own.
    pub(super) fn reports_unhealthy_dependency(&self) -> bool {
        let relatives = self.current_examination().map_or(&[][..], |examined| &examined.relatives);
        let is_healthy = |component: &String| {
            relatives.iter().any(|other| {
                let name = other.name.to_string().to_lowercase();
                let same = name.contains(component.as_str())
                    || name.split(['-', '_']).any(|word| word.len() > 1 && component.contains(word));
                same && host_health::problem(other.state, other.health, None).is_none()
            })
        };
        let own_limit_reached =
            |check: &&Check| log_patterns::in_check(check).is_some_and(|found| found.failure.is_own_limit_reached());
        let check = self.failed_checks().last().filter(|check| !own_limit_reached(check));
        let components =
            check.map(|check| health_report::unhealthy_external_components(&check.output)).unwrap_or_default();
        !components.is_empty() && !components.iter().any(is_healthy)
    }

    /// Whether it reports in its last lines that it cannot reach something, and no dependency is known to be healthy.
    pub(super) fn reports_unreachable_now(&self) -> bool {
        let Some(examined) = self.current_examination() else { return false };
        let recent = self.last_output_at().is_some_and(|at| Span::between(at, self.now) <= RECENT_OUTPUT);
        let healthy_dependency = examined.relatives.iter().any(|other| {
            other.relation == Relation::Dependency && host_health::problem(other.state, other.health, None).is_none()
        });
        let found = self.external_failure().filter(|found| found.failure == KnownFailure::Unreachable);
        recent
            && !healthy_dependency
            && self.restarted_network_owner().is_none()
            && found.is_some_and(|found| found.is_among_the_last(CURRENT_LINES, examined.output.len()))
    }

    /// Whether its check flaps because part of it hangs: the check times out although the container is idle, or busy only
    /// with collecting garbage in a full heap; and a restart helped before.
    pub(super) fn hangs_as_before(&self) -> bool {
        let idle =
            self.current_vitals().is_some_and(|vitals| vitals.cpu.get() <= IDLE || self.is_collecting_garbage(vitals));
        let flaps = self.has_only(&[Symptom::Flapping, Symptom::Unhealthy]) && self.has_symptom(Symptom::Flapping);
        // Docker sets the code -1 itself; the container cannot forge it.
        let late = self.checks_time_out() && self.failed_checks().iter().all(|check| check.code == -1);
        flaps && idle && late && self.external_failure().is_none() && self.restart_helped_before()
    }

    /// Whether it is busy, answers no request, reports no work and its memory has filled: like a program that collects
    /// garbage in a full heap all the time.
    fn is_collecting_garbage(&self, vitals: &Vitals) -> bool {
        let full = vitals.memory.get() >= FULL && self.trend(|used| used.memory.get(), FILLED) == Trend::Rising;
        vitals.cpu.get() >= BUSY
            && full
            && !self.served_while_failing()
            && !self.makes_progress()
            && !self.reports_finite_work()
    }

    /// Whether the check's connection to the container itself was refused, because nothing listens there.
    pub(super) fn refuses_connections(&self) -> bool {
        const REFUSED: [&str; 5] =
            ["connection refused", "econnrefused", "failed to connect", "couldn't connect", "can't connect"];
        self.failed_checks().last().is_some_and(|check| is_about_the_container(check) && mentions(check, &REFUSED))
    }

    /// Whether its health check fails because the check cannot be executed.
    pub(super) fn has_broken_check(&self) -> bool {
        const ABSENT: [&str; 3] = ["executable file not found", "no such file or directory", "exec format error"];
        let checks = self.failed_checks();
        let broken = |check: &Check| matches!(check.code, 126 | 127) || (check.code == -1 && mentions(check, &ABSENT));
        !checks.is_empty() && checks.iter().all(broken)
    }
}

/// The ports in a text: `:8080`, `port 8080`.
fn ports(text: &str) -> Vec<u16> {
    let text = text.to_lowercase();
    let after = |mark: &'static str| {
        text.match_indices(mark).filter_map(|(at, mark)| {
            let rest = &text[at + mark.len()..];
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            // `07:59:41` and `::1` are no ports.
            rest[..end].parse().ok().filter(|port| *port >= 80 && !rest[end..].starts_with(':'))
        })
    };
    after("port ").chain(after(":")).collect()
}

fn mentions(check: &Check, phrases: &[&str]) -> bool {
    let output = check.output.to_lowercase();
    phrases.iter().any(|phrase| output.contains(phrase))
}

fn timed_out(check: &Check) -> bool {
    const LATE: [&str; 4] = ["exceeded timeout", "timed out", "timeout was reached", "deadline exceeded"];
    (check.code == -1 && check.output.is_empty()) || mentions(check, &LATE)
}

/// Whether the check's output is about the container itself, which it reached or not.
fn is_about_the_container(check: &Check) -> bool {
    const ITSELF: [&str; 8] = [
        "localhost",
        "127.0.0.1",
        "0.0.0.0",
        "[::1]",
        "::1",
        "failed to connect to",
        "couldn't connect to server",
        "can't connect to remote host",
    ];
    mentions(check, &ITSELF)
}
