//! A named future that runs as long as the process.

use std::{fmt, future::Future, pin::Pin};

/// Something that runs as long as the process.
pub struct Task {
    /// Its name, such as `responder/0`.
    pub name: String,
    /// What runs.
    pub future: Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>,
}

impl Task {
    /// A task by this name, such as `responder/0`. It ends when `Context::shutdown` is cancelled, having finished what
    /// was in hand; an error ends the whole process, so it returns one only for what no waiting mends.
    pub fn new(name: impl Into<String>, future: impl Future<Output = anyhow::Result<()>> + Send + 'static) -> Self {
        Self { name: name.into(), future: Box::pin(future) }
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("name", &self.name).finish_non_exhaustive()
    }
}
