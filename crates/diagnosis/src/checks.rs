//! What a container's health check tells, and what its output says beside it.

use hemostat_schema::{
    Span, Timestamp,
    container::{Health, Vitals},
    examination::{Change, Changed, Check, Relation},
    observation::{Symptom, Trend},
};

use super::{
    Case, Clue,
    clues::{self, Trouble},
    report, ward,
};

/// For so long a container is given time, where there is reason to think that it gets well by itself.
pub(super) const PATIENCE: Span = Span::from_secs(300);
/// A run that is younger than this may still be beginning, where it seems to be at work on that.
const BEGINNING: Span = Span::from_secs(300);
/// A run that has never been well may be beginning for so long while its output counts up.
const BEGINNING_AT_WORK: Span = Span::from_secs(3600);
/// What was printed so lately is a sign of life.
const SIGN_OF_LIFE: Span = Span::from_secs(30);
/// What was printed so soon after a run began says only that it began.
const FIRST_WORDS: Span = Span::from_secs(20);
/// What says that it is not ready is believed for so long, and longer only while it gets on.
const READY_WITHIN: Span = Span::from_secs(900);
/// What was printed so many lines ago may be over.
const STILL_TRUE: usize = 5;
/// CPU below this is none.
pub(super) const IDLE: f64 = 5.0;
/// CPU above this is work.
pub(super) const BUSY: f64 = 70.0;
/// Memory above this is nearly all that there is.
const FULL: f64 = 80.0;
/// Memory that has risen by so many points has filled.
const FILLED: f64 = 10.0;

impl<'a> Case<'a> {
    /// The last of what its health check said, where that was a failure.
    pub(super) fn failing_checks(&self) -> &'a [Check] {
        let checks = self.examined_now().map_or(&[][..], |examined| &examined.checks);
        let passed = checks.iter().rposition(|check| check.code == 0).map_or(0, |passed| passed + 1);
        &checks[passed..]
    }

    /// Whether its health check has passed in the run that stands, as far as that is known.
    pub(super) fn was_well(&self) -> Option<bool> {
        let changes = self.examined_now().map_or(&[][..], |examined| &examined.changes);
        let began = changes.iter().rposition(|change| change.what == Changed::Started);
        let passed =
            |changes: &[Change]| changes.iter().any(|change| change.what == Changed::Health { to: Health::Healthy });
        self.was_well.or_else(|| began.map(|began| passed(&changes[began..])))
    }

    /// How much longer it may take to begin, where it says that it is not ready, or is young and at work on it.
    pub(super) fn still_begins(&self) -> Option<Span> {
        let left = |within: Span, so_far: Span| {
            let left = within.as_millis().saturating_sub(so_far.as_millis());
            (left > 0).then(|| Span::from_millis(left))
        };
        if !self.is_failing() {
            return None;
        }
        if self.says_not_ready().is_some() {
            let left = left(READY_WITHIN, self.stood(Symptom::Unhealthy));
            let busy = self.vitals_now().is_some_and(|vitals| vitals.cpu.get() >= BUSY) && self.speaks();
            return left.or_else(|| (busy || self.gets_on()).then_some(PATIENCE));
        }
        let printed = self.silent_since().zip(self.facts.started_at).is_some_and(|(at, began)| {
            Span::between(at, self.now) <= SIGN_OF_LIFE && Span::between(began, at) >= FIRST_WORDS
        });
        let busy = self.vitals_now().is_some_and(|vitals| vitals.cpu.get() >= BUSY);
        let (begins, age) = (self.was_well() == Some(false), self.run_age());
        let young = age.and_then(|age| left(BEGINNING, age)).filter(|_| printed || busy);
        let at_work = || age.and_then(|age| left(BEGINNING_AT_WORK, age)).filter(|_| self.gets_on());
        young.or_else(at_work).map(|left| left.min(PATIENCE)).filter(|_| self.examined_now().is_some() && begins)
    }

    /// What says that it is loading or repairing its data, or is about to end.
    pub(super) fn says_not_ready(&self) -> Option<Clue<'a>> {
        let examined = self.examined_now()?;
        let is_true = |clue: &Clue<'_>| clue.is_among_the_last(STILL_TRUE, examined.output.len());
        let begins = self.clue_of(Trouble::NotReady).filter(is_true);
        begins.or_else(|| clues::leaving(examined).filter(is_true))
    }

    /// When its present run printed something, last.
    fn silent_since(&self) -> Option<Timestamp> {
        self.examined_now().and_then(|examined| examined.output.last()).and_then(|line| line.at)
    }

    /// Whether its health check fails in the run that stands.
    pub(super) fn is_failing(&self) -> bool {
        self.is_ill_of(Symptom::Unhealthy) && self.runs() && self.facts.health == Health::Unhealthy
    }

    /// How much longer it is given, of the time in which a failing container may get well by itself.
    pub(super) fn patience(&self) -> Option<Span> {
        let left = PATIENCE.as_millis().saturating_sub(self.stood(Symptom::Unhealthy).as_millis());
        (left > 0).then(|| Span::from_millis(left))
    }

    /// Whether all checks that failed since the last that passed got no answer in time.
    pub(super) fn is_late(&self) -> bool {
        let checks = self.failing_checks();
        !checks.is_empty() && checks.iter().all(is_late)
    }

    /// Whether it has answered requests since its check began to fail.
    pub(super) fn serves(&self) -> bool {
        let since = self.standing.get(&Symptom::Unhealthy).map(|standing| standing.since);
        let lines = self.examined_now().map_or(&[][..], |examined| &examined.output);
        lines.iter().any(|line| line.at.is_some() && line.at >= since && clues::is_of_a_request(&line.text))
    }

    /// Whether it had been printing, and has fallen silent since before its check began to fail.
    pub(super) fn has_fallen_silent(&self) -> bool {
        let since = self.standing.get(&Symptom::Unhealthy).map(|standing| standing.since);
        self.silent_since().zip(since).is_some_and(|(silent, since)| silent < since)
    }

    /// Whether its health check reaches it, and asks for what is not there or not for everybody.
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
        let Some(check) = self.failing_checks().last() else { return false };
        // What was there before in this run is missing for another reason.
        let absent = self.was_well() != Some(true) && (says(check, &ABSENT) || self.listens_elsewhere(check));
        // What stands in a log stands there after a restart, too.
        absent || says(check, &[".log:"])
    }

    /// Whether its check finds nobody at a port, and it says that it listens at others.
    fn listens_elsewhere(&self, check: &Check) -> bool {
        let lines = self.examined_now().map_or(&[][..], |examined| &examined.output);
        let listens = lines.iter().filter(|line| {
            let text = line.text.to_lowercase();
            text.contains("listening on") && !text.contains("debugger")
        });
        let (asked, at): (Vec<u16>, Vec<u16>) =
            (ports(&check.output), listens.flat_map(|line| ports(&line.text)).collect());
        self.is_refused() && !asked.is_empty() && !at.is_empty() && !asked.iter().any(|port| at.contains(port))
    }

    /// What its check, or else its output, says that goes wrong elsewhere.
    pub(super) fn trouble_elsewhere(&self) -> Option<Clue<'a>> {
        let elsewhere = |clue: &Clue<'_>| match clue.trouble {
            Trouble::Unreachable
            | Trouble::Credentials
            | Trouble::Licence
            | Trouble::Certificate
            | Trouble::ReadOnly
            | Trouble::Data
            | Trouble::Unmounted
            | Trouble::DiskFull
            | Trouble::Sealed
            | Trouble::Standby
            | Trouble::Locked => true,
            Trouble::NotReady
            | Trouble::Leaving
            | Trouble::Unrunnable
            | Trouble::PortTaken
            | Trouble::OwnLock
            | Trouble::Pool
            | Trouble::Rows
            | Trouble::Unset
            | Trouble::Misconfigured
            | Trouble::Forbidden
            | Trouble::Missing
            | Trouble::Heap
            | Trouble::Files => false,
        };
        // Its output tells of many things. Who nothing can reach is ill of itself, unless it waits for others; and
        // whose names and passwords are refused there may be anybody's.
        let waits = |clue: &Clue<'_>| !self.is_refused() || clue.trouble.passes();
        let printed = |clue: &Clue<'_>| elsewhere(clue) && waits(clue) && clue.trouble != Trouble::Credentials;
        let check = self.failing_checks().last().filter(|check| !is_of_itself(check));
        let checked = check.and_then(clues::in_check).filter(elsewhere);
        let reported = || check.filter(|_| self.reports_others()).map(clues::of_a_part);
        checked.or_else(reported).or_else(|| self.examined_now().and_then(clues::in_output).filter(printed))
    }

    /// Whether its check reports that parts are not well which are others', and of which no container is seen to be well:
    /// of one that is, this container may only have lost hold. Nor are they others' where the check says that it is for
    /// want of what this container has used up itself.
    pub(super) fn reports_others(&self) -> bool {
        let relatives = self.examined_now().map_or(&[][..], |examined| &examined.relatives);
        let well = |part: &String| {
            relatives.iter().any(|other| {
                let name = other.name.to_string().to_lowercase();
                let same = name.contains(part.as_str())
                    || name.split(['-', '_']).any(|word| word.len() > 1 && part.contains(word));
                same && ward::ails(other.state, other.health, None).is_none()
            })
        };
        let used_up = |check: &&Check| clues::in_check(check).is_some_and(|clue| clue.trouble.is_used_up());
        let check = self.failing_checks().last().filter(|check| !used_up(check));
        let parts = check.map(|check| report::others(&check.output)).unwrap_or_default();
        !parts.is_empty() && !parts.iter().any(well)
    }

    /// Whether it says now that it cannot reach something, and that is none of the containers that it is known to need and
    /// that are well.
    pub(super) fn is_cut_off_now(&self) -> bool {
        let Some(examined) = self.examined_now() else { return false };
        let lately = self.silent_since().is_some_and(|at| Span::between(at, self.now) <= SIGN_OF_LIFE);
        let well = examined.relatives.iter().any(|other| {
            other.relation == Relation::Dependency && ward::ails(other.state, other.health, None).is_none()
        });
        let clue = self.trouble_elsewhere().filter(|clue| clue.trouble == Trouble::Unreachable);
        lately
            && !well
            && self.lost_network().is_none()
            && clue.is_some_and(|clue| clue.is_among_the_last(STILL_TRUE, examined.output.len()))
    }

    /// Whether its check changes its mind as part of it hangs: it is late though it does nothing, and not for want of
    /// a CPU or a disk, or while it is busy with nothing but its memory, which is full; and a restart has healed that
    /// before.
    pub(super) fn hangs_again(&self) -> bool {
        let idle = self.vitals_now().is_some_and(|vitals| vitals.cpu.get() <= IDLE || self.only_collects(vitals));
        let flaps = self.is_only_ill_of(&[Symptom::Flapping, Symptom::Unhealthy]) && self.is_ill_of(Symptom::Flapping);
        // Docker itself says so of a check; the container cannot print it.
        let late = self.is_late() && self.failing_checks().iter().all(|check| check.code == -1);
        flaps && idle && late && self.trouble_elsewhere().is_none() && self.was_healed_by_a_restart()
    }

    /// Whether it is busy, answers nobody, tells of no work, and its memory has filled since: as one whose heap is full
    /// and who collects garbage without end.
    fn only_collects(&self, vitals: &Vitals) -> bool {
        let full = vitals.memory.get() >= FULL && self.trend(|used| used.memory.get(), FILLED) == Trend::Rising;
        vitals.cpu.get() >= BUSY && full && !self.serves() && !self.gets_on() && !self.names_its_work()
    }

    /// Whether the check did not reach the container itself, as nothing listens there.
    pub(super) fn is_refused(&self) -> bool {
        const REFUSED: [&str; 5] =
            ["connection refused", "econnrefused", "failed to connect", "couldn't connect", "can't connect"];
        self.failing_checks().last().is_some_and(|check| is_of_itself(check) && says(check, &REFUSED))
    }

    /// Whether its health check fails because it cannot be run at all.
    pub(super) fn has_broken_check(&self) -> bool {
        const ABSENT: [&str; 3] = ["executable file not found", "no such file or directory", "exec format error"];
        let checks = self.failing_checks();
        let broken = |check: &Check| matches!(check.code, 126 | 127) || (check.code == -1 && says(check, &ABSENT));
        !checks.is_empty() && checks.iter().all(broken)
    }
}

/// The ports that a text names: `:8080`, `port 8080`.
fn ports(text: &str) -> Vec<u16> {
    let text = text.to_lowercase();
    let after = |mark: &'static str| {
        text.match_indices(mark).filter_map(|(at, mark)| {
            let rest = &text[at + mark.len()..];
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            // `07:59:41` and `::1` are none.
            rest[..end].parse().ok().filter(|port| *port >= 80 && !rest[end..].starts_with(':'))
        })
    };
    after("port ").chain(after(":")).collect()
}

fn says(check: &Check, words: &[&str]) -> bool {
    let said = check.output.to_lowercase();
    words.iter().any(|word| said.contains(word))
}

fn is_late(check: &Check) -> bool {
    const LATE: [&str; 4] = ["exceeded timeout", "timed out", "timeout was reached", "deadline exceeded"];
    (check.code == -1 && check.output.is_empty()) || says(check, &LATE)
}

/// Whether the check speaks of the container itself, which it reached or did not reach.
fn is_of_itself(check: &Check) -> bool {
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
    says(check, &ITSELF)
}
