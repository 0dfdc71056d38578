//! Everything that a diagnosis of one container may rest on, at one instant, and the first questions that are asked of it;
//! `signs`, `checks` and `relatives` ask more.
//!
//! A case is plain data: triage makes it of what it has folded, an evaluation makes it of a labelled example. What was
//! found by an examination counts for the run that was examined; what the container printed counts for the whole
//! illness, as a run that has just begun has printed nothing yet.

use std::collections::BTreeMap;

use hemostat_schema::{
    EventId, Percent, Span, Timestamp,
    action::{Outcome, Remedy},
    container::{Exit, ExitBy, Facts, Health, State, Vitals},
    examination::{Changed, Examined},
    observation::{Evidence, Severity, Symptom, Trend},
};
use serde::{Deserialize, Serialize};

use super::ward::Ward;
use hemostat_core::condition::{Halted, Standing};

/// A level that moved so many points since it was raised is not steady.
const MOVED: f64 = 2.0;
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
            max_retries: hemostat_core::policy::Care::default().max_retries,
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

    /// What was found out about the run that stands now.
    pub(super) fn examined_now(&self) -> Option<&'a Examined> {
        self.examined.filter(|examined| examined.target == self.facts.target())
    }

    /// How old the run that stands is.
    pub(super) fn run_age(&self) -> Option<Span> {
        self.facts.started_at.filter(|_| self.runs()).map(|began| Span::between(began, self.now))
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
        if samples.len() < 3 {
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
