//! Journeys: the real HemoStat on a real Docker engine and a real Redis, from the symptom to the alert message.
//!
//! Every test has a deployment of its own, so that all can run at once.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly, in its helpers, too")]

mod alerts;
mod healing;
mod hosts;
mod models;
mod old_events;
mod old_log;
mod outages;
mod policy;
mod secrets;
mod setup;
mod takeover;
mod tampering;

use hemostat_patient::{Illness, illness::Unhealthy, stage::Patient};

/// Makes a patient fail its health check until it is restarted.
async fn make_unhealthy(patient: &Patient) {
    patient.fall_ill(Illness::Unhealthy(Unhealthy::default())).await.unwrap_or_else(|error| panic!("{error:#}"));
}
