//! An incident as the API shows it: its symptoms, diagnoses, attempts and outcome.

use hemostat_core::views::incidents::Row;
use hemostat_history::EventJson;
use hemostat_schema::IncidentId;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    enums::{IncidentState, RefusalReason, Severity, Symptom},
    treatment::{Action, Diagnosis},
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

/// An incident of one container: from its first symptom to the end of the last one.
#[derive(Debug, Serialize, ToSchema)]
pub struct Incident {
    /// Its id.
    #[schema(pattern = "^inc-[0-9a-z]{16}$")]
    pub id: String,
    /// The container: `host/name`.
    #[schema(example = "docker-1/api-1")]
    pub subject: String,
    /// Whether it is open, or how it ended.
    pub state: IncidentState,
    /// When it began.
    pub begun: Timestamp,
    /// When it ended; null while it is open.
    pub ended: Option<Timestamp>,
    /// Its symptoms.
    pub symptoms: Vec<IncidentSymptom>,
    /// Its diagnoses.
    pub diagnoses: Vec<Diagnosis>,
    /// Why HemoStat last refused a remedy.
    pub refused: Option<Refused>,
    /// The authorised remedies and their outcomes.
    pub attempts: Vec<Action>,
    /// The ids of its alert events.
    pub alerts: Vec<String>,
}

/// An incident with its chain of events.
#[derive(Debug, Serialize, ToSchema)]
pub struct IncidentDetail {
    #[serde(flatten)]
    #[schema(inline)]
    pub incident: Incident,
    /// Its events in order, each with its `cause`; of a long incident only the first and the last hundred.
    pub events: Vec<EventJson>,
    /// Number of events omitted in between.
    pub omitted: u64,
    /// Ids of events that are no longer in the log.
    pub trimmed: Vec<String>,
}

/// A symptom during an incident.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Suffered)]
pub struct IncidentSymptom {
    /// The symptom.
    symptom: Symptom,
    /// Its highest severity.
    severity: Severity,
    /// When it was raised.
    since: Timestamp,
    /// When it was cleared; null while it is active.
    cleared: Option<Timestamp>,
}

/// Why HemoStat refused a remedy.
#[derive(Debug, Serialize, ToSchema)]
pub struct Refused {
    /// When.
    at: Timestamp,
    /// The reason, for programs.
    reason: RefusalReason,
    /// The reason, for people.
    sentence: String,
}

impl Incident {
    /// From the read model's row.
    pub fn new(id: &IncidentId, row: &Row) -> Self {
        Self {
            id: id.to_string(),
            subject: row.subject.to_string(),
            state: (&row.state).into(),
            begun: row.begun,
            ended: row.ended,
            symptoms: row
                .symptoms
                .iter()
                .map(|row| IncidentSymptom {
                    symptom: Symptom(row.symptom),
                    severity: Severity(row.severity),
                    since: row.since,
                    cleared: row.cleared,
                })
                .collect(),
            diagnoses: row.diagnoses.iter().map(Diagnosis::from).collect(),
            refused: row.refused.as_ref().map(|(at, refusal)| Refused {
                at: *at,
                reason: RefusalReason::from(refusal),
                sentence: refusal.to_string(),
            }),
            attempts: row.attempts.iter().map(Action::from).collect(),
            alerts: row.alerts.iter().map(ToString::to_string).collect(),
        }
    }
}
