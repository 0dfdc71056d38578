//! The real HemoStat on every way to run Redis: a cluster, a master behind sentinels, TLS with a user of its own. The
//! masters die in the middle.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly, in its helpers, too")]

mod durable;
mod failover;
mod tls;

use hemostat_patient::{Illness, illness::Unhealthy, stage::Patient};

/// Makes a patient fail its health check until it is restarted.
async fn sicken(patient: &Patient) {
    patient.fall_ill(Illness::Unhealthy(Unhealthy::default())).await.unwrap_or_else(|error| panic!("{error:#}"));
}
