//! The trace of an event, in the format of W3C Trace Context.

use std::{fmt, str::FromStr};

#[cfg(feature = "json-schema")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{InvalidId, id::as_text};

/// A `traceparent` of version 00 (W3C Trace Context, section 3.2): one trace runs from the sample to the Slack message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceParent {
    /// Shared by all events of one causal chain; never zero.
    pub trace: u128,
    /// The span of this event; never zero.
    pub span: u64,
    /// Whether the trace is recorded by a tracing backend.
    pub sampled: bool,
}

impl TraceParent {
    /// The same trace with another span.
    pub fn child(self, span: u64) -> Self {
        Self { span: span.max(1), ..self }
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

impl FromStr for TraceParent {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let parse = || {
            let hex = |part: &str, len: usize| {
                part.len() == len && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            };
            let mut parts = text.split('-');
            let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
            if version != "00" || parts.next().is_some() || !hex(trace, 32) || !hex(span, 16) || !hex(flags, 2) {
                return None;
            }
            let trace = u128::from_str_radix(trace, 16).ok().filter(|id| *id != 0)?;
            let span = u64::from_str_radix(span, 16).ok().filter(|id| *id != 0)?;
            Some(Self { trace, span, sampled: u8::from_str_radix(flags, 16).ok()? & 1 == 1 })
        };
        parse().ok_or_else(|| InvalidId::new(text, "a traceparent"))
    }
}

as_text!(TraceParent, "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_parsed_as_it_is_written_and_others_are_refused() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(text.parse::<TraceParent>().unwrap().to_string(), text);
        for bad in [
            "",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            assert!(bad.parse::<TraceParent>().is_err(), "{bad}");
        }
    }
}
