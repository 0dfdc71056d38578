//! `docker logs`: the last lines of a container, in Docker's multiplexed frames; `follow` is not supported.

use bytes::{BufMut, Bytes, BytesMut};
use hyper::StatusCode;

use super::{
    query::Query,
    reply::{ApiError, Reply, whole},
};
use crate::{engine::container::LogLine, server::shared::Shared, time::UnixNanos};

pub(super) fn logs(shared: &Shared, key: &str, query: &Query) -> Result<Reply, ApiError> {
    let (stdout, stderr) = (query.flag("stdout", false), query.flag("stderr", false));
    if !stdout && !stderr {
        return Err(ApiError::invalid("Bad parameters: you must choose at least one stream"));
    }
    let timestamps = query.flag("timestamps", false);
    let since = query.time("since")?;
    // Clients send 0 for "no end" (moby's ContainerLogs).
    let until = if query.get("until") == Some("0") { None } else { query.time("until")? };
    let tail = match query.get("tail") {
        None | Some("all") => usize::MAX,
        // Docker treats an invalid number as "all".
        Some(count) => count.parse().unwrap_or(usize::MAX),
    };
    let filter = |line: &&LogLine| {
        (if line.on_stderr { stderr } else { stdout })
            && since.is_none_or(|since| line.at >= since)
            && until.is_none_or(|until| line.at <= until)
    };
    shared.look(|engine, _| {
        let output: Vec<&LogLine> = engine.container(key)?.output.iter().filter(filter).collect();
        let mut frames = BytesMut::new();
        for line in &output[output.len().saturating_sub(tail)..] {
            frame(&mut frames, line, timestamps.then_some(line.at));
        }
        Ok(whole(StatusCode::OK, Some("application/vnd.docker.raw-stream"), Bytes::from(frames)))
    })
}

/// Appends a line with its header: stream, three zero bytes, length (four bytes, big endian).
fn frame(frames: &mut BytesMut, line: &LogLine, at: Option<UnixNanos>) {
    let text = match at {
        Some(at) => format!("{at} {}\n", line.text),
        None => format!("{}\n", line.text),
    };
    frames.put_u8(if line.on_stderr { 2 } else { 1 });
    frames.put_bytes(0, 3);
    frames.put_u32(u32::try_from(text.len()).unwrap_or(u32::MAX));
    frames.put_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_dockers_frame() {
        let mut frames = BytesMut::new();
        let line = LogLine { at: UnixNanos::from_nanos(0), on_stderr: true, text: "no".into() };
        frame(&mut frames, &line, None);
        assert_eq!(&frames[..], b"\x02\0\0\0\0\0\0\x03no\n");
        frames.clear();
        frame(&mut frames, &line, Some(line.at));
        assert_eq!(&frames[8..], b"1970-01-01T00:00:00Z no\n");
    }
}
