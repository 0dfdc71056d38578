//! Patients that fall ill without a request: at random, or after every start.

use std::{sync::Arc, time::Duration};

use crate::{Illness, condition::Condition};

/// Parameters of a random illness.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RandomIllness {
    /// The illness.
    pub illness: Illness,
    /// Time between two draws.
    pub interval: Duration,
    /// Probability per draw, 0 to 1.
    pub probability: f64,
    /// Its duration.
    pub seconds: u64,
}

/// Falls ill at random, for ever.
pub async fn at_random(condition: Arc<Condition>, random: RandomIllness) {
    loop {
        tokio::time::sleep(random.interval).await;
        if fastrand::f64() < random.probability {
            fall_ill(&condition, random.illness.with_duration(random.seconds));
        }
    }
}

/// Falls ill some time after every start, so that a restart does not help.
pub async fn stubbornly(condition: Arc<Condition>, illness: Illness, after: Duration) {
    tokio::time::sleep(after).await;
    fall_ill(&condition, illness);
}

#[expect(clippy::print_stderr, reason = "standard error is the patient's log")]
fn fall_ill(condition: &Condition, illness: Illness) {
    match condition.fall_ill(illness) {
        Ok(()) => eprintln!("patient: fell ill by itself ({})", illness.name()),
        Err(error) => eprintln!("patient: could not fall ill by itself: {error}"),
    }
}
