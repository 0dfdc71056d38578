//! A named future that runs until the process shuts down.

use std::{fmt, future::Future, pin::Pin};

/// A named future that runs until the process shuts down.
pub struct Task {
    /// Its name, such as `responder/0`.
    pub name: String,
    /// The future.
    pub future: Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>,
}

impl Task {
    /// The future ends, having drained, when `Context::shutdown` is cancelled. Its error ends the whole process, so it
    /// returns only errors that no retry mends.
    pub fn new(name: impl Into<String>, future: impl Future<Output = anyhow::Result<()>> + Send + 'static) -> Self {
        Self { name: name.into(), future: Box::pin(future) }
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("name", &self.name).finish_non_exhaustive()
    }
}
