//! Which events ask for an examination?

use hemostat_core::observe::State;
use hemostat_schema::{
    Cause, ContainerName, Event, EventId, IncidentId, NewEvent, Observation, Subject, Timestamp, TraceParent,
    container::Target,
    examination::Examined,
    observation::{Severity, Symptom},
};

/// An examination that is asked for by an event of a commit.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// Whose.
    pub subject: Subject,
    /// The same, as a name.
    pub name: ContainerName,
    /// The run that fell ill.
    pub target: Target,
    /// In which ways.
    pub symptoms: Vec<Symptom>,
    /// The place of the first event that asks, among those of the commit.
    pub by: usize,
    incident: Option<IncidentId>,
    trace: Option<TraceParent>,
}

impl Asked {
    /// One that is ill still; no event asks for it.
    pub fn still_ill(subject: Subject, name: ContainerName, state: &State) -> Option<Self> {
        let ills = state.standing().iter().filter(|(_, standing)| standing.is_illness());
        Some(Self {
            subject,
            name,
            target: state.facts()?.target(),
            symptoms: ills.map(|(symptom, _)| *symptom).collect(),
            by: 0,
            incident: state.incident().cloned(),
            trace: None,
        })
    }

    /// What was found out, as an event; `cause` is the event that asked, if any did.
    pub fn answer(self, examined: Examined, cause: Option<EventId>, now: Timestamp) -> NewEvent {
        let mut answer = NewEvent::new(self.subject, now, examined).in_incident(self.incident);
        answer.cause = cause.map(Cause::Event);
        hemostat_runtime::trace::stamp(&mut answer, self.trace);
        answer
    }
}

/// One examination for each container of which a commit says that it fell ill or worse. What is merely worth knowing
/// asks for none, as nothing is done about it.
pub fn asked(events: &[NewEvent]) -> Vec<Asked> {
    let mut all: Vec<Asked> = vec![];
    for (by, event) in events.iter().enumerate() {
        let Event::Observation(observation) = &event.event else { continue };
        let (symptom, severity, target) = match observation {
            Observation::SymptomRaised(raised) => (raised.symptom, raised.severity, &raised.target),
            Observation::SymptomWorsened(worsened) => (worsened.symptom, worsened.severity, &worsened.target),
            _ => continue,
        };
        let Some(name) = event.subject.container.clone().filter(|_| severity > Severity::Low) else { continue };
        match all.iter_mut().find(|asked| asked.subject == event.subject && asked.target == *target) {
            Some(asked) if asked.symptoms.contains(&symptom) => {}
            Some(asked) => asked.symptoms.push(symptom),
            None => all.push(Asked {
                subject: event.subject.clone(),
                name,
                target: target.clone(),
                symptoms: vec![symptom],
                by,
                incident: event.incident.clone(),
                trace: event.trace,
            }),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use hemostat_schema::{
        Span,
        observation::{Evidence, Sampled, SymptomRaised, SymptomWorsened},
    };

    use super::*;
    use crate::examine::tests::{at, examined, facts, vitals};

    fn about(name: &str, event: impl Into<Event>) -> NewEvent {
        let subject = Subject::container("host".parse().unwrap(), name.parse().unwrap());
        NewEvent::new(subject, at(0), event)
    }

    fn raised(name: &str, symptom: Symptom, severity: Severity) -> NewEvent {
        let (target, evidence) = (facts(name).target(), Evidence::Health { held: Span::ZERO });
        about(name, SymptomRaised { symptom, severity, since: at(0), target, evidence })
    }

    #[test]
    fn each_container_is_examined_once_for_all_that_befell_it_in_a_commit() {
        let (target, evidence) = (facts("db").target(), Evidence::Health { held: Span::ZERO });
        let worsened = SymptomWorsened { symptom: Symptom::MemoryHigh, severity: Severity::Critical, target, evidence };
        let events = [
            about("api", Sampled { vitals: vitals() }),
            raised("api", Symptom::MemoryUnusual, Severity::Low),
            raised("api", Symptom::Unhealthy, Severity::Critical),
            about("db", worsened),
            raised("api", Symptom::CpuHigh, Severity::High),
        ];
        let asked = asked(&events);
        let short = |asked: &Asked| (asked.name.to_string(), asked.symptoms.clone(), asked.by);
        let expected = [
            ("api".to_owned(), vec![Symptom::Unhealthy, Symptom::CpuHigh], 2),
            ("db".to_owned(), vec![Symptom::MemoryHigh], 3),
        ];
        assert_eq!(asked.iter().map(short).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn an_answer_belongs_to_the_incident_and_the_trace_of_what_asked_for_it() {
        let mut event = raised("api", Symptom::Unhealthy, Severity::Critical);
        event.incident = Some(IncidentId::begun(&event.subject, at(0)));
        hemostat_runtime::trace::stamp(&mut event, None);
        let cause: EventId = "0.1795462000000-0".parse().unwrap();
        let asked = asked(std::slice::from_ref(&event)).remove(0);
        let answer = asked.answer(examined(), Some(cause), at(1));
        assert_eq!((answer.cause, answer.incident), (Some(Cause::Event(cause)), event.incident));
        let traces = [answer.trace, event.trace].map(|trace| trace.map(|trace| trace.trace));
        assert!(traces[0].is_some() && traces[0] == traces[1], "{traces:?}");
    }
}
