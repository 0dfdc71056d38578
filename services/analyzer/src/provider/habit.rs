//! What of a request a server takes, as far as it was found out: what it refuses is left out the next time.

use std::sync::{Mutex, PoisonError};

use hemostat_schema::diagnosis::Trouble;

use super::{Again, Miss, complaint::Complaint, wire::Failure};

/// How a request looks: one of several ways, the best of them first.
pub(super) trait Shape: Copy + PartialEq {
    /// With these statuses the server says that it does not take a request as it looks.
    const REFUSED: &'static [u16];

    /// The next best where the server complains of this one; none where there is none.
    fn without(self, complaint: &Complaint) -> Option<Self>;
}

/// How requests to one server look at present.
#[derive(Debug)]
pub(super) struct Habit<S> {
    best: S,
    present: Mutex<S>,
}

impl<S: Shape> Habit<S> {
    /// Begins with the best.
    pub fn of(best: S) -> Self {
        Self { best, present: Mutex::new(best) }
    }

    /// How the next request is to look.
    pub fn present(&self) -> S {
        *self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be said of a request of this shape that was refused: the next one will look otherwise, if it can.
    pub fn refused(&self, tried: S, failure: Failure) -> Miss {
        let next = match &failure {
            Failure::Answered { status, complaint, .. } if S::REFUSED.contains(&status.as_u16()) => {
                Some(tried.without(complaint))
            }
            _ => None,
        };
        let miss = failure.miss();
        let Some(next) = next else { return miss };
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        if *present == tried {
            // At the end it was not the shape, so the next question begins with the best one again.
            *present = next.unwrap_or(self.best);
        }
        match next {
            Some(_) => Miss { again: Again::Otherwise, ..miss },
            None => Miss { trouble: Trouble::Refused, again: Again::Never, ..miss },
        }
    }
}
