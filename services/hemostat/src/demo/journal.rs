//! The incident of each patient, folded from its events: for the final table, and to know when the demo is done.

use std::collections::BTreeMap;

use hemostat_schema::{
    Action, Alert, ContainerName, Diagnosis, Event, Observation, Recorded, Span, Timestamp, action::Outcome,
    container::ExitBy, diagnosis::Method,
};

/// The story of every patient, by container name.
#[derive(Debug, Default)]
pub struct Journal(BTreeMap<String, Story>);

/// The story of one patient.
#[derive(Debug, Default, Clone)]
pub struct Story {
    /// When it was made ill.
    pub made_ill: Option<Timestamp>,
    /// The first symptom, and when it was on the log.
    pub symptom: Option<(String, Timestamp)>,
    /// The first diagnosis: its rule or model, and its confidence.
    pub diagnosis: Option<String>,
    /// The remedy.
    pub remedy: Option<&'static str>,
    /// When each attempt was authorised.
    pub attempts: Vec<Timestamp>,
    /// When Docker was first called.
    pub acted: Option<Timestamp>,
    /// When its recovery was verified.
    pub recovered: Option<Timestamp>,
    /// When HemoStat gave up.
    pub given_up: Option<Timestamp>,
    /// When an operator stopped it.
    pub stopped: Option<Timestamp>,
    /// Its alerts.
    pub alerts: Alerts,
}

/// The alerts about one patient.
#[derive(Debug, Default, Clone, Copy)]
pub struct Alerts {
    /// Alerts raised.
    pub raised: u32,
    /// Messages to deliver: raised, escalated, resolved.
    pub messages: u32,
    /// Messages that were delivered.
    pub delivered: u32,
}

impl Journal {
    /// Records when `name` was made ill.
    pub fn made_ill(&mut self, name: &str, at: Timestamp) {
        self.0.entry(name.to_owned()).or_default().made_ill = Some(at);
    }

    /// The story of `name`; empty if there is none yet.
    pub fn story(&self, name: &str) -> Story {
        self.0.get(name).cloned().unwrap_or_default()
    }

    /// Folds an event.
    pub fn evolve(&mut self, recorded: &Recorded) {
        let Some((name, event)) = recorded.subject.container.as_ref().map(ContainerName::as_str).zip(recorded.event())
        else {
            return;
        };
        let story = self.0.entry(name.to_owned()).or_default();
        match event {
            Event::Observation(observation) => story.observed(recorded.at, observation),
            Event::Diagnosis(Diagnosis::Reached(reached)) => {
                let by = match &reached.method {
                    Method::Rule { rule } => rule.clone(),
                    Method::Model { model, .. } => model.clone(),
                };
                story.diagnosis.get_or_insert_with(|| format!("{by} ({})", reached.confidence));
            }
            Event::Action(action) => story.acted(recorded.at, action),
            Event::Alert(alert) => story.told(alert),
            Event::Diagnosis(Diagnosis::OpinionSought(_) | Diagnosis::Opined(_) | Diagnosis::Failed(_))
            | Event::Sample(_) => {}
        }
    }
}

impl Story {
    /// Time to detect: from falling ill to the symptom.
    pub fn to_detect(&self) -> Option<Span> {
        Some(Span::between(self.made_ill?, self.symptom.as_ref()?.1))
    }

    /// Time to act: from the symptom to the call of Docker.
    pub fn to_act(&self) -> Option<Span> {
        Some(Span::between(self.symptom.as_ref()?.1, self.acted?))
    }

    /// Time to recover: from the symptom to the verified recovery.
    pub fn to_recover(&self) -> Option<Span> {
        Some(Span::between(self.symptom.as_ref()?.1, self.recovered?))
    }

    /// The pauses between attempts.
    pub fn gaps(&self) -> Vec<Span> {
        self.attempts.windows(2).map(|pair| Span::between(pair[0], pair[1])).collect()
    }

    fn observed(&mut self, at: Timestamp, observation: &Observation) {
        match observation {
            Observation::SymptomRaised(raised) => {
                self.symptom.get_or_insert_with(|| (raised.symptom.to_string(), at));
            }
            Observation::Exited(exited) if exited.exit.by == ExitBy::Operator => {
                self.stopped.get_or_insert(at);
            }
            _ => {}
        }
    }

    fn acted(&mut self, at: Timestamp, action: &Action) {
        match action {
            Action::Authorised(authorised) => {
                self.remedy.get_or_insert(authorised.remedy.name());
                self.attempts.push(at);
            }
            Action::Succeeded(succeeded) if self.acted.is_none() => self.acted = succeeded.called_at,
            Action::Verified(verified) if verified.outcome == Outcome::Recovered => {
                self.recovered.get_or_insert(at);
            }
            Action::GaveUp(_) => {
                self.given_up.get_or_insert(at);
            }
            _ => {}
        }
    }

    fn told(&mut self, alert: &Alert) {
        match alert {
            Alert::Raised(_) => {
                self.alerts.raised += 1;
                self.alerts.messages += 1;
            }
            Alert::Escalated(_) | Alert::Resolved(_) => self.alerts.messages += 1,
            Alert::Delivered(_) => self.alerts.delivered += 1,
            Alert::Suppressed(_) | Alert::Tested(_) | Alert::Undelivered(_) => {}
        }
    }
}
