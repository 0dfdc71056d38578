//! The real HemoStat on every topology of Redis: a cluster, a master with sentinels, TLS with an ACL user; with failovers.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly, in its helpers, too")]

mod durable;
mod failover;
mod tls;

use hemostat_patient::{Illness, illness::Unhealthy, stage::Patient};

/// Makes a patient fail its health check until it is restarted.
async fn make_unhealthy(patient: &Patient) {
    patient.fall_ill(Illness::Unhealthy(Unhealthy::default())).await.unwrap_or_else(|error| panic!("{error:#}"));
}
