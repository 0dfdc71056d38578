//! The evidence about one container at one instant, and basic questions about it. Other modules add questions.
//!
//! A case is plain data: triage builds it from its folded state, `hemostat eval` from a labelled example. The findings
//! of an examination count for the run that was examined. Log output counts for the whole incident, because a run that
//! has just started has printed nothing yet.

use std::collections::BTreeMap;

use hemostat_schema::{
    EventId, Percent, Span, Timestamp,
    action::{Outcome, Remedy},
    container::{Exit, ExitBy, Facts, Health, State, Vitals},
    examination::{Changed, Examined},
    observation::{Evidence, Severity, Symptom, Trend},
};
use serde::{Deserialize, Serialize};

use crate::host_health::HostHealth;
use hemostat_core::observe::condition::{ActiveSymptom, OperatorHalt};

/// Percentage points by which a usage level must move to count as rising or falling.
const MOVED: f64 = 2.0;
/// How recent an image change must be to count as a possible cause.
const RECENT_CHANGE: Span = Span::from_secs(1800);

/// The evidence about one container at one instant.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// State, limits, restart policy and the like.
    pub facts: &'a Facts,
    /// The active symptoms.
    pub active_symptoms: &'a BTreeMap<Symptom, ActiveSymptom>,
    /// The last sample of the current run.
    pub vitals: Option<&'a Vitals>,
    /// The last examination of this incident.
    pub examined: Option<&'a Examined>,
    /// The event of that examination.
    pub examination: Option<EventId>,
    /// The remedies attempted in this incident, oldest first.
    pub attempts: &'a [Attempt],
    /// Earlier incidents, oldest first.
    pub past_incidents: &'a [PastIncident],
    /// Which other containers of the host are unhealthy; `None`: only the examination knows about them.
    pub host: Option<&'a HostHealth>,
    /// Whether an operator stopped or paused it.
    pub operator_halt: Option<OperatorHalt>,
    /// Whether its health check has passed in the current run; `None`: unknown.
    pub was_healthy: Option<bool>,
    /// Maximum attempts within the policy's time window.
    pub max_attempts: u32,
    /// The instant of the evaluation.
    pub now: Timestamp,
}

/// A remedy that was attempted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// The event that authorised it.
    pub action: EventId,
    /// When it was authorised.
    pub at: Timestamp,
    /// The remedy.
    pub remedy: Remedy,
    /// The exit code of the run before it; `None`: the container was running.
    pub code: Option<i64>,
    /// Its outcome; `None`: not known yet.
    pub outcome: Option<Outcome>,
}

/// An earlier incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PastIncident {
    /// When it ended.
    pub at: Timestamp,
    /// Its symptoms.
    pub symptoms: Vec<Symptom>,
    /// The root cause in its last diagnosis.
    pub root_cause: Option<String>,
    /// The last remedy attempted, with its outcome.
    #[serde(rename = "tried")]
    pub attempt: Option<Attempt>,
}

/// A high CPU or memory usage, as of now.
#[derive(Debug, Clone, Copy)]
pub(super) struct UsageLevel {
    pub(super) symptom: Symptom,
    pub(super) value: Percent,
    pub(super) threshold: Percent,
    pub(super) held: Span,
    pub(super) trend: Trend,
    pub(super) severity: Severity,
}

impl<'a> Case<'a> {
    /// A case with facts and symptoms only.
    pub fn new(facts: &'a Facts, active_symptoms: &'a BTreeMap<Symptom, ActiveSymptom>, now: Timestamp) -> Self {
        Self {
            facts,
            active_symptoms,
            vitals: None,
            examined: None,
            examination: None,
            attempts: &[],
            past_incidents: &[],
            host: None,
            operator_halt: None,
            was_healthy: None,
            max_attempts: hemostat_core::policy::ContainerPolicy::default().max_attempts,
            now,
        }
    }

    /// The active symptoms that need a remedy: all but those of low severity.
    pub fn serious_symptoms(&self) -> impl Iterator<Item = Symptom> {
        self.active_symptoms.iter().filter(|(_, active)| active.severity > Severity::Low).map(|(symptom, _)| *symptom)
    }

    pub(super) fn has_symptom(&self, symptom: Symptom) -> bool {
        self.serious_symptoms().any(|active| active == symptom)
    }

    /// Whether it has at least one serious symptom, and none but these.
    pub(super) fn has_only(&self, symptoms: &[Symptom]) -> bool {
        self.serious_symptoms().next().is_some() && self.serious_symptoms().all(|active| symptoms.contains(&active))
    }

    pub(super) fn is_running(&self) -> bool {
        self.facts.state == State::Running
    }

    pub(super) fn is_down(&self) -> bool {
        matches!(self.facts.state, State::Exited | State::Dead)
    }

    pub(super) fn is_starting(&self) -> bool {
        self.is_running() && self.facts.health == Health::Starting
    }

    /// The exit of its last run, if that is a symptom, happened this way, and the container is still down.
    pub(super) fn exit_by(&self, by: ExitBy) -> Option<Exit> {
        let is_symptom = self.has_symptom(Symptom::Exited) || self.has_symptom(Symptom::OomKilled);
        self.facts.exit.filter(|exit| is_symptom && self.is_down() && exit.by == by)
    }

    /// The examination, if it is of the current run.
    pub(super) fn current_examination(&self) -> Option<&'a Examined> {
        self.examined.filter(|examined| examined.target == self.facts.target())
    }

    /// The age of the current run.
    pub(super) fn run_age(&self) -> Option<Span> {
        self.facts.started_at.filter(|_| self.is_running()).map(|began| Span::between(began, self.now))
    }

    /// The previous image, if the container was recently recreated from another one.
    pub(crate) fn previous_image(&self) -> Option<&'a str> {
        let changes = &self.examined?.changes;
        changes.iter().rev().find_map(|change| match &change.what {
            Changed::Image { from, .. } if Span::between(change.at, self.now) <= RECENT_CHANGE => Some(from.as_str()),
            _ => None,
        })
    }

    /// What the current run uses: the last sample, or else the last sample of the examination.
    pub(super) fn current_vitals(&self) -> Option<&'a Vitals> {
        let last =
            || self.current_examination().and_then(|examined| examined.samples.last()).map(|sample| &sample.vitals);
        self.vitals.or_else(last).filter(|_| self.is_running())
    }

    /// The trend of a figure in this run's samples: the mean of the newer half compared with that of the older half.
    pub(super) fn trend(&self, figure: fn(&Vitals) -> f64, moved: f64) -> Trend {
        let samples = self.current_examination().map_or(&[][..], |examined| &examined.samples);
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

    /// A serious symptom that was observed in the current run.
    pub(super) fn current_symptom(&self, symptom: Symptom) -> Option<&'a ActiveSymptom> {
        let current = |active: &&ActiveSymptom| active.severity > Severity::Low && active.target == self.facts.target();
        self.active_symptoms.get(&symptom).filter(|_| self.is_running()).filter(current)
    }

    /// How long a symptom has been active.
    pub(super) fn symptom_age(&self, symptom: Symptom) -> Span {
        self.active_symptoms.get(&symptom).map_or(Span::ZERO, |active| Span::between(active.since, self.now))
    }

    /// The usage that the symptom is about, in the current run; `None` if this run was not measured, and while the
    /// container is starting, because start-up usage says nothing about normal operation.
    pub(super) fn level(&self, symptom: Symptom) -> Option<UsageLevel> {
        let applies = self.is_running() && !self.is_starting() && self.has_symptom(symptom);
        let active = self.active_symptoms.get(&symptom).filter(|_| applies)?;
        let Evidence::Level { value: reported, threshold, held, trend } = active.evidence else { return None };
        let same_run = active.target == self.facts.target();
        let level = UsageLevel { symptom, value: reported, threshold, held, trend, severity: active.severity };
        let Some(vitals) = self.vitals else { return same_run.then_some(level) };
        let value = match symptom {
            Symptom::CpuHigh => vitals.cpu,
            _ => vitals.memory,
        };
        let moved = value.get() - reported.get();
        let trend = match (same_run, moved) {
            _ if value < threshold => Trend::Falling,
            (false, _) => Trend::Unknown,
            (true, moved) if moved >= MOVED => Trend::Rising,
            (true, moved) if moved <= -MOVED => Trend::Falling,
            (true, _) => trend,
        };
        Some(UsageLevel { value, trend, held: Span::between(active.since, self.now), ..level })
    }

    pub(super) fn levels(&self) -> impl Iterator<Item = UsageLevel> {
        [Symptom::MemoryHigh, Symptom::CpuHigh].into_iter().filter_map(|symptom| self.level(symptom))
    }

    /// What the usage is a percentage of.
    pub(super) fn limit_text(&self, symptom: Symptom) -> String {
        match (symptom, self.facts.limits.cpus, self.facts.limits.memory) {
            (Symptom::CpuHigh, Some(cpus), _) => format!("its limit of {cpus} CPUs"),
            (Symptom::CpuHigh, None, _) => "the host's CPUs".to_owned(),
            (_, _, Some(memory)) => format!("its limit of {memory}"),
            (_, _, None) => "the host's memory".to_owned(),
        }
    }
}
