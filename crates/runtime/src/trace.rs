//! Which trace an event belongs to: its cause's, or a new one.

use hemostat_schema::{NewEvent, TraceParent};

/// Puts `event` into a trace, where it is in none: a child of `parent`, or the beginning of a new one.
pub(crate) fn stamp(event: &mut NewEvent, parent: Option<TraceParent>) {
    if event.trace.is_none() {
        let span = fastrand::u64(1..);
        event.trace = Some(match parent {
            Some(parent) => parent.child(span),
            None => TraceParent { trace: fastrand::u128(1..), span, sampled: true },
        });
    }
}
