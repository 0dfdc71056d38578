//! An incident as the API shows it: what happened, in which order, and how it ended.

use hemostat_core::view::incidents::Row;
use hemostat_schema::IncidentId;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Event,
    treatment::{Action, Diagnosis},
    words,
};

/// A page of incidents, the latest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct Incidents {
    /// The incidents.
    pub incidents: Vec<Incident>,
    /// The `cursor` of the next page; null at the end.
    #[schema(example = "inc-01jd9k3q2v8m4t7z")]
    pub next: Option<String>,
}

/// One illness of one container, from the first symptom to the end of the last.
#[derive(Debug, Serialize, ToSchema)]
pub struct Incident {
    /// Its id.
    #[schema(pattern = "^inc-[0-9a-z]{16}$")]
    pub id: String,
    /// Who is ill: `host/container`.
    #[schema(example = "docker-1/api-1")]
    pub subject: String,
    /// open, recovered, given_up, passed, stopped or removed.
    #[schema(value_type = String, example = "recovered")]
    pub state: &'static str,
    /// When it began.
    pub begun: Timestamp,
    /// When it ended; null while it is open.
    pub ended: Option<Timestamp>,
    /// Every way in which it was ill.
    pub symptoms: Vec<Suffered>,
    /// What was concluded.
    pub diagnoses: Vec<Diagnosis>,
    /// Why a remedy was not carried out, where that was so last.
    pub refused: Option<Refused>,
    /// What was tried, and what came of it.
    pub attempts: Vec<Action>,
    /// The events of its alert.
    pub alerts: Vec<String>,
}

/// An incident with the events that led from one to the next.
#[derive(Debug, Serialize, ToSchema)]
pub struct IncidentDetail {
    #[serde(flatten)]
    #[schema(inline)]
    pub incident: Incident,
    /// Its events in order, each with its `cause`; of a very long incident the first hundred and the last hundred.
    pub events: Vec<Event>,
    /// How many events between those are left out.
    pub omitted: u64,
    /// Events that the log no longer holds.
    pub trimmed: Vec<String>,
}

/// One way in which a container was ill.
#[derive(Debug, Serialize, ToSchema)]
pub struct Suffered {
    /// Which.
    #[schema(value_type = String, example = "unhealthy")]
    symptom: &'static str,
    /// How bad it was at worst.
    #[schema(value_type = String, example = "high")]
    severity: &'static str,
    /// Since when.
    since: Timestamp,
    /// When it was over; null while it stands.
    cleared: Option<Timestamp>,
}

/// Why a remedy was not carried out.
#[derive(Debug, Serialize, ToSchema)]
pub struct Refused {
    /// When.
    at: Timestamp,
    /// For programs, such as `cooling_down`.
    #[schema(value_type = String, example = "cooling_down")]
    reason: &'static str,
    /// For people.
    sentence: String,
}

impl Incident {
    /// What `row` says.
    pub fn new(id: &IncidentId, row: &Row) -> Self {
        Self {
            id: id.to_string(),
            subject: row.subject.to_string(),
            state: words::incident_state(row.state),
            begun: row.begun,
            ended: row.ended,
            symptoms: row
                .symptoms
                .iter()
                .map(|suffered| Suffered {
                    symptom: words::symptom(suffered.symptom),
                    severity: words::severity(suffered.severity),
                    since: suffered.since,
                    cleared: suffered.cleared,
                })
                .collect(),
            diagnoses: row.diagnoses.iter().map(Diagnosis::from).collect(),
            refused: row.refused.as_ref().map(|(at, refusal)| Refused {
                at: *at,
                reason: refusal.name(),
                sentence: refusal.to_string(),
            }),
            attempts: row.attempts.iter().map(Action::from).collect(),
            alerts: row.alerts.iter().map(ToString::to_string).collect(),
        }
    }
}
