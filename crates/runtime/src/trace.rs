//! Which trace an event belongs to: its cause's, or a new one.

use hemostat_schema::{Cause, NewEvent, TraceParent};

/// Puts `event` into a trace, where it is in none: a child of `parent`, or the beginning of a new one.
pub fn stamp(event: &mut NewEvent, parent: Option<TraceParent>) {
    if event.trace.is_none() {
        let span = fastrand::u64(1..);
        event.trace = Some(match parent {
            Some(parent) => parent.child(span),
            None => TraceParent { trace: fastrand::u128(1..), span, sampled: true },
        });
    }
}

/// Puts the events of one commit into traces, where they are in none: those that one of them led to into its trace.
pub fn stamp_all(events: &mut [NewEvent]) {
    for index in 0..events.len() {
        let parent = match events[index].cause {
            Some(Cause::Sibling(cause)) if cause < index => events[cause].trace,
            _ => None,
        };
        stamp(&mut events[index], parent);
    }
}
