//! Remembers which optional parts of a request a server rejects, and leaves them out of later requests.

use std::sync::{Mutex, PoisonError};

use hemostat_schema::diagnosis::Trouble;

use super::{
    chat::{ProviderError, Retry},
    error_body::ErrorBody,
    http_client::HttpError,
};

/// The form of a request: one of several, the preferred one first.
pub(super) trait RequestShape: Copy + PartialEq {
    /// Statuses by which the server rejects the form of a request.
    const REJECTED: &'static [u16];

    /// The next form to try after the server rejected this one with this error; none if there is none.
    fn fallback(self, error: &ErrorBody) -> Option<Self>;
}

/// The form of requests that one server accepts.
#[derive(Debug)]
pub(super) struct ServerQuirks<S> {
    preferred: S,
    current: Mutex<S>,
}

impl<S: RequestShape> ServerQuirks<S> {
    /// Starts with the preferred form.
    pub fn new(preferred: S) -> Self {
        Self { preferred, current: Mutex::new(preferred) }
    }

    /// The form of the next request.
    pub fn current(&self) -> S {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The error of a failed request of the form `tried`. If the server rejected the form, the next request uses the
    /// fallback, if there is one.
    pub fn on_error(&self, tried: S, error: HttpError) -> ProviderError {
        let next = match &error {
            HttpError::Status { status, body, .. } if S::REJECTED.contains(&status.as_u16()) => {
                Some(tried.fallback(body))
            }
            HttpError::Status { .. } | HttpError::NoAnswer(_) => None,
        };
        let error = error.into_provider_error();
        let Some(next) = next else { return error };
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if *current == tried {
            // Without a fallback the form was not the reason, so the next question starts with the preferred one again.
            *current = next.unwrap_or(self.preferred);
        }
        match next {
            Some(_) => ProviderError { retry: Retry::Reshaped, ..error },
            None => ProviderError { trouble: Trouble::Refused, retry: Retry::Never, ..error },
        }
    }
}
