//! Whether an event is news to a fold: the log may deliver the same event twice, and a fold takes each once.
//!
//! The runtime passes over what its rows already hold; this is the fold's own proof, so that no state depends on it.

use hemostat_schema::{EventId, Recorded};
use serde::{Deserialize, Serialize};

/// Up to where a fold has read its subject's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Once(Option<EventId>);

impl Once {
    /// Whether `event` is news; from now on it is not.
    ///
    /// Samples are not remembered (each would change the row of a container that nothing happens to), so what a fold
    /// keeps of a sample must be the same when it is taken in twice.
    pub fn is_news(&mut self, event: &Recorded) -> bool {
        let news = self.0.is_none_or(|through| through < event.id);
        if news && event.event().is_some_and(hemostat_schema::Event::moves_head) {
            self.0 = Some(event.id);
        }
        news
    }
}
