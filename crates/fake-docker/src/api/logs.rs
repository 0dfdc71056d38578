//! `docker logs`: what a container has said lately, in Docker's multiplexed frames. It is not followed.

use bytes::{BufMut, Bytes, BytesMut};
use hyper::StatusCode;

use super::{Problem, Query, Reply, whole};
use crate::{Moment, server::Shared, world::Said};

pub(super) fn logs(shared: &Shared, key: &str, query: &Query) -> Result<Reply, Problem> {
    let (stdout, stderr) = (query.flag("stdout", false), query.flag("stderr", false));
    if !stdout && !stderr {
        return Err(Problem::invalid("Bad parameters: you must choose at least one stream"));
    }
    let timestamps = query.flag("timestamps", false);
    let since = query.moment("since")?;
    // Clients write 0 for no end (moby's ContainerLogs).
    let until = if query.get("until") == Some("0") { None } else { query.moment("until")? };
    let tail = match query.get("tail") {
        None | Some("all") => usize::MAX,
        // What cannot be read is all of it, too.
        Some(count) => count.parse().unwrap_or(usize::MAX),
    };
    let wanted = |said: &&Said| {
        (if said.on_stderr { stderr } else { stdout })
            && since.is_none_or(|since| said.at >= since)
            && until.is_none_or(|until| said.at <= until)
    };
    shared.look(|world, _| {
        let said: Vec<&Said> = world.container(key)?.said.iter().filter(wanted).collect();
        let mut frames = BytesMut::new();
        for said in &said[said.len().saturating_sub(tail)..] {
            frame(&mut frames, said, timestamps.then_some(said.at));
        }
        Ok(whole(StatusCode::OK, Some("application/vnd.docker.raw-stream"), Bytes::from(frames)))
    })
}

/// A line with its header: which stream, three zeros, how long (four bytes, the biggest first).
fn frame(frames: &mut BytesMut, said: &Said, at: Option<Moment>) {
    let text = match at {
        Some(at) => format!("{at} {}\n", said.text),
        None => format!("{}\n", said.text),
    };
    frames.put_u8(if said.on_stderr { 2 } else { 1 });
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
        let said = Said { at: Moment::from_nanos(0), on_stderr: true, text: "no".into() };
        frame(&mut frames, &said, None);
        assert_eq!(&frames[..], b"\x02\0\0\0\0\0\0\x03no\n");
        frames.clear();
        frame(&mut frames, &said, Some(said.at));
        assert_eq!(&frames[8..], b"1970-01-01T00:00:00Z no\n");
    }
}
