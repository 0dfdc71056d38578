//! Which events request an examination.

use hemostat_core::observe::State;
use hemostat_schema::{
    Cause, ContainerName, Event, EventId, IncidentId, NewEvent, Observation, Subject, Timestamp, TraceParent,
    container::Run,
    examination::Examined,
    observation::{Severity, Symptom},
};

/// A request to examine one run of a container.
#[derive(Debug, Clone, PartialEq)]
pub struct ExaminationRequest {
    /// The container.
    pub subject: Subject,
    /// Its name.
    pub name: ContainerName,
    /// The run with the symptoms.
    pub target: Run,
    /// The symptoms.
    pub symptoms: Vec<Symptom>,
    /// The index of the event that requests it, among the events of the commit; the first one if several do.
    pub cause_index: usize,
    incident: Option<IncidentId>,
    trace: Option<TraceParent>,
}

impl ExaminationRequest {
    /// A request that no event causes; `None` if the subject is no container.
    pub fn new(subject: Subject, target: Run, symptoms: Vec<Symptom>) -> Option<Self> {
        let name = subject.container.clone()?;
        Some(Self { subject, name, target, symptoms, cause_index: 0, incident: None, trace: None })
    }

    /// A request to examine a container again whose symptoms persist.
    pub fn persisting(subject: Subject, state: &State) -> Option<Self> {
        let symptoms = state.active_symptoms().iter().filter(|(_, symptom)| symptom.opens_incident());
        let symptoms = symptoms.map(|(symptom, _)| *symptom).collect();
        let request = Self::new(subject, state.facts()?.target(), symptoms)?;
        Some(Self { incident: state.incident().cloned(), ..request })
    }

    /// The event with the result; `cause` is the event that requested the examination, if any.
    pub fn result(self, examined: Examined, cause: Option<EventId>, now: Timestamp) -> NewEvent {
        let mut answer = NewEvent::new(self.subject, now, examined).in_incident(self.incident);
        answer.cause = cause.map(Cause::Event);
        hemostat_runtime::trace::stamp(&mut answer, self.trace);
        answer
    }
}

/// One request for each container for which a commit raises or worsens a symptom. Symptoms of low severity request none,
/// as they lead to no remedy.
pub fn requested(events: &[NewEvent]) -> Vec<ExaminationRequest> {
    let mut requests: Vec<ExaminationRequest> = vec![];
    for (cause_index, event) in events.iter().enumerate() {
        let Event::Observation(observation) = &event.event else { continue };
        let (symptom, severity, target) = match observation {
            Observation::SymptomRaised(raised) => (raised.symptom, raised.severity, &raised.target),
            Observation::SymptomWorsened(worsened) => (worsened.symptom, worsened.severity, &worsened.target),
            Observation::Seen(_)
            | Observation::Removed(_)
            | Observation::Started(_)
            | Observation::Exited(_)
            | Observation::Paused(_)
            | Observation::Unpaused(_)
            | Observation::HealthChanged(_)
            | Observation::Sampled(_)
            | Observation::Stored(_)
            | Observation::SymptomCleared(_)
            | Observation::Examined(_)
            | Observation::DiskMeasured(_)
            | Observation::EngineLost(_)
            | Observation::EngineFound(_) => continue,
        };
        let Some(name) = event.subject.container.clone().filter(|_| severity > Severity::Low) else { continue };
        match requests.iter_mut().find(|it| it.subject == event.subject && it.target == *target) {
            Some(request) if request.symptoms.contains(&symptom) => {}
            Some(request) => request.symptoms.push(symptom),
            None => requests.push(ExaminationRequest {
                subject: event.subject.clone(),
                name,
                target: target.clone(),
                symptoms: vec![symptom],
                cause_index,
                incident: event.incident.clone(),
                trace: event.trace,
            }),
        }
    }
    requests
}

#[cfg(test)]
mod tests {
    use hemostat_schema::{
        Span,
        observation::{Evidence, SymptomRaised, SymptomWorsened},
        sample::Container,
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
    fn each_container_is_examined_once_for_all_its_symptoms_in_a_commit() {
        let (target, evidence) = (facts("db").target(), Evidence::Health { held: Span::ZERO });
        let worsened = SymptomWorsened { symptom: Symptom::MemoryHigh, severity: Severity::Critical, target, evidence };
        let events = [
            about("api", Container { vitals: vitals(), holds: Span::ZERO }),
            raised("api", Symptom::MemoryUnusual, Severity::Low),
            raised("api", Symptom::Unhealthy, Severity::Critical),
            about("db", worsened),
            raised("api", Symptom::CpuHigh, Severity::High),
        ];
        let requests = requested(&events);
        let short = |it: &ExaminationRequest| (it.name.to_string(), it.symptoms.clone(), it.cause_index);
        let expected = [
            ("api".to_owned(), vec![Symptom::Unhealthy, Symptom::CpuHigh], 2),
            ("db".to_owned(), vec![Symptom::MemoryHigh], 3),
        ];
        assert_eq!(requests.iter().map(short).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_result_has_the_incident_and_the_trace_of_the_event_that_requested_it() {
        let mut event = raised("api", Symptom::Unhealthy, Severity::Critical);
        event.incident = Some(IncidentId::begun(&event.subject, at(0)));
        hemostat_runtime::trace::stamp(&mut event, None);
        let cause: EventId = "0.1795462000000-0".parse().unwrap();
        let request = requested(std::slice::from_ref(&event)).remove(0);
        let answer = request.result(examined(), Some(cause), at(1));
        assert_eq!((answer.cause, answer.incident), (Some(Cause::Event(cause)), event.incident));
        let traces = [answer.trace, event.trace].map(|trace| trace.map(|trace| trace.trace));
        assert!(traces[0].is_some() && traces[0] == traces[1], "{traces:?}");
    }
}
