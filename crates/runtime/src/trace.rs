//! Trace context of events: an event joins the trace of its cause or starts a new one.

use hemostat_schema::{Cause, NewEvent, TraceParent};

/// Gives `event` a trace context if it has none: a child span of `parent`, or the root of a new trace.
pub fn stamp(event: &mut NewEvent, parent: Option<TraceParent>) {
    if event.trace.is_none() {
        let span = fastrand::u64(1..);
        event.trace = Some(match parent {
            Some(parent) => parent.child(span),
            None => TraceParent { trace: fastrand::u128(1..), span, sampled: true },
        });
    }
}

/// Gives the events of one commit trace contexts; an event caused by an earlier one of them joins its trace.
pub fn stamp_all(events: &mut [NewEvent]) {
    for index in 0..events.len() {
        let parent = match events[index].cause {
            Some(Cause::Sibling(cause)) if cause < index => events[cause].trace,
            _ => None,
        };
        stamp(&mut events[index], parent);
    }
}
