//! Patients that fall ill by themselves: now and then by chance, or again after every start.

use std::{sync::Arc, time::Duration};

use crate::{Illness, condition::Condition};

/// Falls ill by chance: after each interval, with this probability, for so many seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chance {
    /// Of what.
    pub illness: Illness,
    /// How often the dice are thrown.
    pub interval: Duration,
    /// 0 to 1.
    pub probability: f64,
    /// How long it lasts.
    pub seconds: u64,
}

/// Falls ill by chance, for ever.
pub async fn by_chance(condition: Arc<Condition>, chance: Chance) {
    loop {
        tokio::time::sleep(chance.interval).await;
        if fastrand::f64() < chance.probability {
            fall_ill(&condition, chance.illness.lasting(chance.seconds));
        }
    }
}

/// Falls ill a while after the start, as it does after every start: a restart does not help.
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
