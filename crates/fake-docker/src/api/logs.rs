//! `docker logs`: what a container has said lately, in Docker's multiplexed frames. It is not followed.

use bytes::{BufMut, Bytes, BytesMut};
use hyper::StatusCode;

use super::{ApiError, Query, Reply, whole};
use crate::{UnixNanos, engine::LogLine, server::Shared};

pub(super) fn logs(shared: &Shared, key: &str, query: &Query) -> Result<Reply, ApiError> {
    let (stdout, stderr) = (query.flag("stdout", false), query.flag("stderr", false));
    if !stdout && !stderr {
        return Err(ApiError::invalid("Bad parameters: you must choose at least one stream"));
    }
    let timestamps = query.flag("timestamps", false);
    let since = query.time("since")?;
    // Clients write 0 for no end (moby's ContainerLogs).
    let until = if query.get("until") == Some("0") { None } else { query.time("until")? };
    let tail = match query.get("tail") {
        None | Some("all") => usize::MAX,
        // What cannot be read is all of it, too.
        Some(count) => count.parse().unwrap_or(usize::MAX),
    };
    let filter = |output: &&LogLine| {
        (if output.on_stderr { stderr } else { stdout })
            && since.is_none_or(|since| output.at >= since)
            && until.is_none_or(|until| output.at <= until)
    };
    shared.look(|engine, _| {
        let output: Vec<&LogLine> = engine.container(key)?.output.iter().filter(filter).collect();
        let mut frames = BytesMut::new();
        for output in &output[output.len().saturating_sub(tail)..] {
            frame(&mut frames, output, timestamps.then_some(output.at));
        }
        Ok(whole(StatusCode::OK, Some("application/vnd.docker.raw-stream"), Bytes::from(frames)))
    })
}

/// A line with its header: which stream, three zeros, how long (four bytes, the biggest first).
fn frame(frames: &mut BytesMut, output: &LogLine, at: Option<UnixNanos>) {
    let text = match at {
        Some(at) => format!("{at} {}\n", output.text),
        None => format!("{}\n", output.text),
    };
    frames.put_u8(if output.on_stderr { 2 } else { 1 });
    frames.put_bytes(0, 3);
    frames.put_u32(u32::try_from(text.len()).unwrap_or(u32::MAX));
    frames.put_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_framed_as_docker_does() {
        let mut frames = BytesMut::new();
        let output = LogLine { at: UnixNanos::from_nanos(0), on_stderr: true, text: "no".into() };
        frame(&mut frames, &output, None);
        assert_eq!(&frames[..], b"\x02\0\0\0\0\0\0\x03no\n");
        frames.clear();
        frame(&mut frames, &output, Some(output.at));
        assert_eq!(&frames[8..], b"1970-01-01T00:00:00Z no\n");
    }
}
