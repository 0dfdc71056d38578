//! What people are told, before a channel gives it its own form: pure code from an alert event.

use hemostat_schema::{
    Alert, Event, Recorded, Timestamp,
    alert::{Escalated, Raised, Resolution, Resolved, Tested},
    observation::Severity,
};

/// What people are told about an incident.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Notification {
    /// Where the alert stands.
    pub(crate) stage: Stage,
    /// How severe the incident was when its alert was raised; none for a test, and if that is no longer on the log.
    pub(crate) severity: Option<Severity>,
    /// When it happened: in the past, if the channel was down.
    pub(crate) at: Timestamp,
    /// One line: the container and what is wrong.
    pub(crate) title: String,
    /// Names and values: container, host, severity, outcome.
    pub(crate) facts: Vec<(&'static str, String)>,
    /// A few lines: the symptoms, the diagnosis and the next step; may be empty.
    pub(crate) evidence: String,
    /// Where the API knows more.
    pub(crate) links: Vec<Link>,
}

/// Where an alert stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// HemoStat deals with a sick container.
    Raised,
    /// A person is needed.
    Escalated,
    /// It is over.
    Resolved,
    /// An operator tests the channel.
    Test,
}

/// By which id the API knows something: `GET /incidents/{id}`, `GET /events/{id}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    /// `incident` or `event`.
    pub(crate) name: &'static str,
    pub(crate) id: String,
}

impl Notification {
    /// What an alert tells; none if `event` is not an alert that is sent to people. `raised` is the severity of the alert
    /// that `event` escalates or resolves, if known.
    pub(crate) fn of(event: &Recorded, raised: Option<Severity>) -> Option<Self> {
        let Some(Event::Alert(alert)) = event.event() else { return None };
        let (stage, severity, title, evidence, fact) = match alert {
            Alert::Raised(Raised { severity, title, text }) => {
                (Stage::Raised, Some(*severity), title, text.as_str(), vec![("Severity", severity.name().to_owned())])
            }
            Alert::Escalated(Escalated { title, text, .. }) => {
                (Stage::Escalated, raised, title, text.as_str(), vec![("Action needed", "by an operator".to_owned())])
            }
            Alert::Resolved(Resolved { how, title, text, took, .. }) => {
                let facts = vec![("Outcome", outcome(*how).to_owned()), ("Duration", took.to_string())];
                (Stage::Resolved, raised, title, text.as_str(), facts)
            }
            Alert::Tested(Tested { by }) => (
                Stage::Test,
                None,
                &"Test alert from HemoStat".to_owned(),
                "Alerts arrive in this channel. This is a test; nothing is wrong.",
                vec![("Requested by", by.clone())],
            ),
            Alert::Suppressed(_) | Alert::Delivered(_) | Alert::Undelivered(_) => return None,
        };
        let container = event.subject.container.as_ref().map(|name| ("Container", name.to_string()));
        let host = ("Host", event.subject.host.to_string());
        let incident = event.incident.as_ref().map(|id| Link { name: "incident", id: id.to_string() });
        Some(Self {
            stage,
            severity,
            at: event.at,
            title: title.clone(),
            facts: container.into_iter().chain([host]).chain(fact).collect(),
            evidence: evidence.to_owned(),
            links: incident.into_iter().chain([Link { name: "event", id: event.id.to_string() }]).collect(),
        })
    }
}

fn outcome(how: Resolution) -> &'static str {
    match how {
        Resolution::Healed => "healed by HemoStat",
        Resolution::Passed => "recovered without HemoStat",
        Resolution::Stopped => "stopped, paused or no longer monitored",
        Resolution::Removed => "container removed",
    }
}
