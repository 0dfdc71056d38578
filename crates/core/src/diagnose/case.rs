//! Everything that a diagnosis of one container may rest on, at one instant, and the questions that are asked of it.
//!
//! A case is plain data: triage makes it of what it has folded, an evaluation makes it of a labelled example. What was
//! found by an examination counts for the run that was examined; what the container printed counts for the whole
//! illness, as a run that has just begun has printed nothing yet.

use std::collections::BTreeMap;

use hemostat_schema::{
    EventId, Percent, Span, Timestamp,
    action::{Outcome, Remedy},
    container::{Exit, ExitBy, Facts, Health, State, Vitals},
    examination::{Changed, Check, Examined, Relation, Relative},
    observation::{Evidence, Severity, Symptom, Trend},
};
use serde::{Deserialize, Serialize};

use super::{
    clues::{self, Clue},
    ward::Ward,
};
use crate::condition::{Halted, Standing};

/// A level that moved so many points since it was raised is not steady.
const MOVED: f64 = 2.0;
/// A run that ended so soon after it began ended at its start.
const AT_START: Span = Span::from_secs(60);
/// A run that is younger than this may still be beginning, where it seems to be at work on that.
const BEGINNING: Span = Span::from_secs(300);
/// What was printed so lately is a sign of life.
const SIGN_OF_LIFE: Span = Span::from_secs(30);
/// CPU above this is work.
const BUSY: f64 = 70.0;
/// What says that it is not ready is believed for so long.
const READY_WITHIN: Span = Span::from_secs(900);
/// What changed so long ago still may be why it is ill.
const LATELY: Span = Span::from_secs(1800);

/// One container at one instant.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// What is known of it.
    pub facts: &'a Facts,
    /// The symptoms that stand.
    pub standing: &'a BTreeMap<Symptom, Standing>,
    /// What the present run used last.
    pub vitals: Option<&'a Vitals>,
    /// What was found out about it in this illness, last.
    pub examined: Option<&'a Examined>,
    /// The event that says so.
    pub examination: Option<EventId>,
    /// What has been tried in this illness, oldest first.
    pub tried: &'a [Tried],
    /// Earlier illnesses, oldest first.
    pub past: &'a [Past],
    /// The other containers of the host; none where nothing is known but what the examination says.
    pub ward: Option<&'a Ward>,
    /// An operator's hand.
    pub halted: Option<Halted>,
    /// Whether its health check has passed in the run that stands; none where that is not known.
    pub was_well: Option<bool>,
    /// So many attempts are made in a rolling hour.
    pub max_retries: u32,
    /// When it is looked at.
    pub now: Timestamp,
}

/// A remedy that was tried in this illness.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// The authority for it.
    pub action: EventId,
    /// When.
    pub at: Timestamp,
    /// What.
    pub remedy: Remedy,
    /// The code with which the run had ended that it was to heal; none where that ran.
    pub code: Option<i64>,
    /// What came of it; none where that is not known yet.
    pub outcome: Option<Outcome>,
}

/// An earlier illness.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Past {
    /// When it was over.
    pub at: Timestamp,
    /// Of what.
    pub symptoms: Vec<Symptom>,
    /// What was diagnosed, last.
    pub root_cause: Option<String>,
    /// What was tried, last, and what came of it.
    pub tried: Option<Tried>,
}

/// A high level as it is now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Level {
    pub(super) symptom: Symptom,
    pub(super) value: Percent,
    pub(super) threshold: Percent,
    pub(super) held: Span,
    pub(super) trend: Trend,
    pub(super) severity: Severity,
}

/// A container without which this one cannot be well, and which is not well itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Root<'a> {
    pub(super) relative: &'a Relative,
    pub(super) how: &'static str,
}

impl<'a> Case<'a> {
    /// Of which nothing is known but this.
    pub fn new(facts: &'a Facts, standing: &'a BTreeMap<Symptom, Standing>, now: Timestamp) -> Self {
        Self {
            facts,
            standing,
            vitals: None,
            examined: None,
            examination: None,
            tried: &[],
            past: &[],
            ward: None,
            halted: None,
            was_well: None,
            max_retries: crate::policy::Care::default().max_retries,
            now,
        }
    }

    /// The symptoms that need healing; one of low severity alone is only worth knowing.
    pub fn ills(&self) -> impl Iterator<Item = Symptom> {
        self.standing.iter().filter(|(_, standing)| standing.severity > Severity::Low).map(|(symptom, _)| *symptom)
    }

    pub(super) fn is_ill_of(&self, symptom: Symptom) -> bool {
        self.ills().any(|ill| ill == symptom)
    }

    /// Whether it is ill of these and of nothing else.
    pub(super) fn is_only_ill_of(&self, symptoms: &[Symptom]) -> bool {
        self.ills().next().is_some() && self.ills().all(|ill| symptoms.contains(&ill))
    }

    pub(super) fn runs(&self) -> bool {
        self.facts.state == State::Running
    }

    pub(super) fn is_down(&self) -> bool {
        matches!(self.facts.state, State::Exited | State::Dead)
    }

    pub(super) fn is_starting(&self) -> bool {
        self.runs() && self.facts.health == Health::Starting
    }

    /// How its last run ended, where an end is what it is ill of, it ended this way, and it is still down.
    pub(super) fn end(&self, by: ExitBy) -> Option<Exit> {
        let ill_of_it = self.is_ill_of(Symptom::Exited) || self.is_ill_of(Symptom::OomKilled);
        self.facts.exit.filter(|exit| ill_of_it && self.is_down() && exit.by == by)
    }

    /// How its last run ended, where it keeps ending: it is down of it, or Docker restarts it again and again.
    pub(super) fn last_end(&self) -> Option<Exit> {
        let looping = match self.standing.get(&Symptom::RestartLoop).map(|standing| &standing.evidence) {
            Some(Evidence::Restarts { last, .. }) => self.facts.exit.or(*last),
            _ => None,
        };
        self.end(ExitBy::Crash).or_else(|| self.end(ExitBy::Oom)).or(looping)
    }

    /// Whether its last run ended when it had hardly begun.
    pub(super) fn ended_at_start(&self) -> bool {
        let lasted = |exit: Exit| self.facts.started_at.map(|began| Span::between(began, exit.at));
        match self.last_end().filter(|_| !self.runs()).and_then(lasted).or_else(|| self.last_run_lasted()) {
            Some(lasted) => lasted <= AT_START,
            // What Docker restarts again and again within minutes ends at its start.
            None => self.is_ill_of(Symptom::RestartLoop),
        }
    }

    /// How long the last run lasted that was seen from its beginning to its end.
    fn last_run_lasted(&self) -> Option<Span> {
        let (mut began, mut lasted) = (None, None);
        for change in self.examined.iter().flat_map(|examined| &examined.changes) {
            match &change.what {
                Changed::Started => began = Some(change.at),
                Changed::Ended { exit } => lasted = began.take().map(|began| Span::between(began, exit.at)).or(lasted),
                Changed::Image { .. } | Changed::Recreated | Changed::Limits | Changed::Health { .. } => {}
            }
        }
        lasted
    }

    /// How often it was seen to be killed for want of memory when it had hardly begun.
    pub(super) fn killed_at_start(&self) -> usize {
        let last = self.last_end().is_some_and(|exit| exit.by == ExitBy::Oom) && self.ended_at_start();
        let (mut began, mut killed) = (None, 0);
        for change in self.examined.iter().flat_map(|examined| &examined.changes) {
            match &change.what {
                Changed::Started => began = Some(change.at),
                Changed::Ended { exit } => {
                    let short = began.take().is_some_and(|began| Span::between(began, exit.at) <= AT_START);
                    killed += usize::from(short && exit.by == ExitBy::Oom);
                }
                Changed::Image { .. } | Changed::Recreated | Changed::Limits | Changed::Health { .. } => {}
            }
        }
        let again = self.is_ill_of(Symptom::RestartLoop) || self.in_vain(Remedy::Start) > 0 || self.facts.restarts > 1;
        killed.max(if last { 1 + usize::from(again) } else { 0 })
    }

    /// How often this remedy did not help in this illness.
    pub(super) fn in_vain(&self, remedy: Remedy) -> usize {
        let vain = |tried: &&Tried| tried.remedy == remedy && tried.outcome == Some(Outcome::Relapsed);
        self.tried.iter().filter(vain).count()
    }

    /// How often it was started and ended with this very code again.
    pub(super) fn same_ends(&self, code: i64) -> usize {
        let vain = self.tried.iter().filter(|tried| tried.outcome == Some(Outcome::Relapsed));
        vain.rev().take_while(|tried| tried.remedy == Remedy::Start && tried.code == Some(code)).count()
    }

    /// What was found out about the run that stands now.
    pub(super) fn examined_now(&self) -> Option<&'a Examined> {
        self.examined.filter(|examined| examined.target == self.facts.target())
    }

    /// The last of what its health check said, where that was a failure.
    pub(super) fn failing_checks(&self) -> &'a [Check] {
        let checks = self.examined_now().map_or(&[][..], |examined| &examined.checks);
        let passed = checks.iter().rposition(|check| check.code == 0).map_or(0, |passed| passed + 1);
        &checks[passed..]
    }

    /// What its output says about why it ended, or why it does not work.
    pub(super) fn clue(&self) -> Option<Clue<'a>> {
        clues::in_output(self.examined?)
    }

    /// What its output or its health check says about a disk that is full, and no other clue.
    pub(super) fn clue_of(&self, trouble: clues::Trouble) -> Option<Clue<'a>> {
        let checks = self.failing_checks().last().and_then(clues::in_check);
        self.clue().filter(|clue| clue.trouble == trouble).or_else(|| checks.filter(|clue| clue.trouble == trouble))
    }

    /// How old the run that stands is.
    pub(super) fn run_age(&self) -> Option<Span> {
        self.facts.started_at.filter(|_| self.runs()).map(|began| Span::between(began, self.now))
    }

    /// Whether its health check has passed in the run that stands, as far as that is known.
    fn was_well(&self) -> bool {
        let since_it_began = || {
            let changes = self.examined_now().map_or(&[][..], |examined| &examined.changes);
            let began = changes.iter().rposition(|change| change.what == Changed::Started);
            // A run whose beginning was not seen has been there for longer than anybody looked.
            began.is_none_or(|began| {
                changes[began..].iter().any(|change| change.what == Changed::Health { to: Health::Healthy })
            })
        };
        self.was_well.unwrap_or_else(since_it_began)
    }

    /// How much longer it may take to begin, where it says that it is not ready, or is young and at work on it.
    pub(super) fn still_begins(&self) -> Option<Span> {
        let left = |within: Span, so_far: Span| {
            let left = within.as_millis().saturating_sub(so_far.as_millis());
            (left > 0).then(|| Span::from_millis(left))
        };
        let stood = self.stood(Symptom::Unhealthy);
        if self.clue_of(clues::Trouble::NotReady).is_some() {
            return left(READY_WITHIN, stood);
        }
        let lines = self.examined_now().map_or(&[][..], |examined| &examined.output);
        let printed =
            lines.last().and_then(|line| line.at).is_some_and(|at| Span::between(at, self.now) <= SIGN_OF_LIFE);
        let busy = self.vitals_now().is_some_and(|vitals| vitals.cpu.get() >= BUSY);
        let young = self.run_age().and_then(|age| left(BEGINNING, age));
        young.filter(|_| self.examined_now().is_some() && !self.was_well() && (printed || busy))
    }

    /// The containers that it needs and that are not well.
    pub(super) fn roots(&self) -> impl Iterator<Item = Root<'a>> {
        let relatives = self.examined.map_or(&[][..], |examined| &examined.relatives);
        // What another container was like when an earlier run was looked at is known only where the ward tells it.
        let told = self.examined_now().is_some() || self.ward.is_some();
        let (ward, now) = (self.ward, self.now);
        let needed = |relative: &&Relative| matches!(relative.relation, Relation::Dependency | Relation::Network);
        relatives.iter().filter(needed).filter(move |_| told).filter_map(move |relative| {
            let how = match ward {
                Some(ward) => ward.ails(&relative.name, now)?,
                None => super::ward::ails(relative.state, relative.health, None)?,
            };
            Some(Root { relative, how })
        })
    }

    /// The container whose network it lives in, where that was started anew since: its network is gone.
    pub(super) fn lost_network(&self) -> Option<&'a Relative> {
        let (examined, began) = self.examined_now().zip(self.facts.started_at)?;
        let newer = |relative: &&Relative| {
            relative.relation == Relation::Network
                && relative.state == State::Running
                && relative.since.is_some_and(|since| since > began)
        };
        examined.relatives.iter().find(newer)
    }

    /// A container that it needs and that got well only after this one had fallen ill, or was started anew since: what it
    /// held of it (connections, addresses) is no longer good.
    pub(super) fn left_behind_by(&self) -> Option<&'a Relative> {
        let (examined, began) = self.examined_now().zip(self.facts.started_at)?;
        let ailed = |other: &Relative| super::ward::ails(other.state, other.health, None).is_some();
        examined.relatives.iter().find(|other| {
            let fit = other.state == State::Running && matches!(other.health, Health::Healthy | Health::None);
            let anew = fit && other.since.is_some_and(|since| since > began);
            // The ward knows better than the examination how it is now; that it ails is another question.
            let healed = ailed(other) && self.ward.is_some();
            other.relation == Relation::Dependency && (anew || healed)
        })
    }

    /// The image that it had before, where it was made anew from another one lately.
    pub(crate) fn changed_image(&self) -> Option<&'a str> {
        let changes = &self.examined?.changes;
        changes.iter().rev().find_map(|change| match &change.what {
            Changed::Image { from, .. } if Span::between(change.at, self.now) <= LATELY => Some(from.as_str()),
            _ => None,
        })
    }

    /// What the present run uses: the last sample, or else the last of the examination.
    pub(super) fn vitals_now(&self) -> Option<&'a Vitals> {
        let last = || self.examined_now().and_then(|examined| examined.samples.last()).map(|sample| &sample.vitals);
        self.vitals.or_else(last).filter(|_| self.runs())
    }

    /// Where a figure of the samples of this run is going: the mean of the newer half against that of the older.
    pub(super) fn trend(&self, figure: fn(&Vitals) -> f64, moved: f64) -> Trend {
        let samples = self.examined_now().map_or(&[][..], |examined| &examined.samples);
        let half = samples.len() / 2;
        if half < 2 {
            return Trend::Unknown;
        }
        let mean = |samples: &[hemostat_schema::examination::Sample]| {
            let count = u32::try_from(samples.len()).map_or(f64::INFINITY, f64::from);
            samples.iter().map(|sample| figure(&sample.vitals)).sum::<f64>() / count
        };
        match mean(&samples[samples.len() - half..]) - mean(&samples[..half]) {
            by if by >= moved => Trend::Rising,
            by if by <= -moved => Trend::Falling,
            _ => Trend::Steady,
        }
    }

    /// A symptom that needs healing and was seen in the run that stands.
    pub(super) fn standing_now(&self, symptom: Symptom) -> Option<&'a Standing> {
        let ill = |standing: &&Standing| standing.severity > Severity::Low && standing.target == self.facts.target();
        self.standing.get(&symptom).filter(|_| self.runs()).filter(ill)
    }

    /// For how long a symptom has stood.
    pub(super) fn stood(&self, symptom: Symptom) -> Span {
        self.standing.get(&symptom).map_or(Span::ZERO, |standing| Span::between(standing.since, self.now))
    }

    /// The level that the symptom is about, as the present run has it; none where nothing of this run was measured, and
    /// while it is starting, as what it needs to begin says nothing about how it works.
    pub(super) fn level(&self, symptom: Symptom) -> Option<Level> {
        let ill = self.runs() && !self.is_starting() && self.is_ill_of(symptom);
        let standing = self.standing.get(&symptom).filter(|_| ill)?;
        let Evidence::Level { value: told, threshold, held, trend } = standing.evidence else { return None };
        let same_run = standing.target == self.facts.target();
        let level = Level { symptom, value: told, threshold, held, trend, severity: standing.severity };
        let Some(vitals) = self.vitals else { return same_run.then_some(level) };
        let value = match symptom {
            Symptom::CpuHigh => vitals.cpu,
            _ => vitals.memory,
        };
        let moved = value.get() - told.get();
        let trend = match (same_run, moved) {
            _ if value < threshold => Trend::Falling,
            (false, _) => Trend::Unknown,
            (true, moved) if moved >= MOVED => Trend::Rising,
            (true, moved) if moved <= -MOVED => Trend::Falling,
            (true, _) => trend,
        };
        Some(Level { value, trend, held: Span::between(standing.since, self.now), ..level })
    }

    pub(super) fn levels(&self) -> impl Iterator<Item = Level> {
        [Symptom::MemoryHigh, Symptom::CpuHigh].into_iter().filter_map(|symptom| self.level(symptom))
    }

    /// What the level is a share of.
    pub(super) fn whole(&self, symptom: Symptom) -> String {
        match (symptom, self.facts.limits.cpus, self.facts.limits.memory) {
            (Symptom::CpuHigh, Some(cpus), _) => format!("its limit of {cpus} CPUs"),
            (Symptom::CpuHigh, None, _) => "the host's CPUs".to_owned(),
            (_, _, Some(memory)) => format!("its limit of {memory}"),
            (_, _, None) => "the host's memory".to_owned(),
        }
    }
}
