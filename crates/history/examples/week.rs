//! Prints seven days of ten containers, about 100,000 events, as commands for `redis-cli --pipe`, to time
//! `hemostat backtest` on (after `hemostat migrate` on an empty Redis).
#![allow(clippy::unwrap_used, reason = "a tool of the tests")]

use std::io::{BufWriter, Write, stdout};

use hemostat_core::{Policy, policy::ContainerPolicy};
use hemostat_history::testing::{Plan, history};
use hemostat_schema::{Body, Cause, NewEvent, Recorded, Span, codec};

fn main() {
    let plan = Plan {
        containers: 10,
        length: Span::from_secs(7 * 86_400),
        sample_every: Span::from_secs(65),
        ill_every: Span::from_secs(5400),
    };
    let care = ContainerPolicy { cooldown: Span::from_secs(4 * 3600), ..ContainerPolicy::default() };
    let mut out = BufWriter::new(stdout());
    let mut last = String::new();
    for event in history(plan, &Policy { container_defaults: care, ..hemostat_core::testing::policy() }) {
        last = event.id.entry().to_string();
        append(&mut out, event);
    }
    command(&mut out, &[b"SET", b"hemostat:{0}:clock", last.as_bytes()]);
}

fn append(out: &mut impl Write, event: Recorded) {
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
