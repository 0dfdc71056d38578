//! Seven days of some containers, about 100,000 events, as commands for `redis-cli --pipe`: what `hemostat backtest` is
//! timed on (after `hemostat migrate` on an empty Redis).
#![allow(clippy::unwrap_used, reason = "a tool of the tests")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::io::{BufWriter, Write, stdout};

use hemostat_core::{Policy, policy::Care};
use hemostat_schema::{Body, Cause, NewEvent, Recorded, Span, codec};
use support::{Plan, history};

fn main() {
    let plan = Plan {
        containers: 10,
        length: Span::from_secs(7 * 86_400),
        sample_every: Span::from_secs(65),
        ill_every: Span::from_secs(5400),
    };
    let care = Care { cooldown: Span::from_secs(4 * 3600), ..Care::default() };
    let mut out = BufWriter::new(stdout());
    let mut last = String::new();
    for event in history(plan, &Policy { care, ..Policy::default() }) {
        last = event.id.entry().to_string();
        tell(&mut out, event);
    }
    command(&mut out, &[b"SET", b"hemostat:{0}:clock", last.as_bytes()]);
}

fn tell(out: &mut impl Write, event: Recorded) {
    let (stream, entry, cause) = (event.family().stream(), event.id.entry().to_string(), event.cause);
    let Body::Known(what) = event.body else { return };
    let new = NewEvent::new(event.subject, event.at, what).in_incident(event.incident);
    let new = cause.map_or(new.clone(), |cause| new.caused_by(Cause::Event(cause)));
    let encoded = codec::encode(&new).unwrap();
    let key = format!("hemostat:{{0}}:{stream}");
    let cause = cause.map(|cause| cause.to_string());
    let mut parts: Vec<&[u8]> = vec![b"XADD", key.as_bytes(), entry.as_bytes()];
    parts.extend([b"k" as &[u8], encoded.kind.as_bytes(), b"s", encoded.subject.as_bytes()]);
    if let Some(cause) = &cause {
        parts.extend([b"c" as &[u8], cause.as_bytes()]);
    }
    parts.extend([b"e" as &[u8], &encoded.envelope]);
    command(out, &parts);
}

fn command(out: &mut impl Write, parts: &[&[u8]]) {
    write!(out, "*{}\r\n", parts.len()).unwrap();
    for part in parts {
        write!(out, "${}\r\n", part.len()).unwrap();
        out.write_all(part).unwrap();
        out.write_all(b"\r\n").unwrap();
    }
}
