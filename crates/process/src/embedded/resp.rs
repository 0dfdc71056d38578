//! Single commands to a Redis server on its socket, in RESP2: what starting, adopting and stopping a server takes.
//! Everything else goes through `hemostat-log`.

use std::{io, path::Path, time::Duration};

use redis_protocol::resp2::{
    decode::decode,
    encode::encode,
    types::{OwnedFrame, Resp2Frame as _},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time::timeout,
};

const TIMEOUT: Duration = Duration::from_secs(5);

/// The server's reply to `command`: its one text, or the texts of its list. Empty if the server hangs up instead, as it
/// does on SHUTDOWN.
pub(super) async fn call(socket: &Path, command: &[&str]) -> io::Result<Vec<String>> {
    let reply = timeout(TIMEOUT, exchange(socket, command)).await;
    match reply.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))? {
        None => Ok(vec![]),
        Some(OwnedFrame::Array(items)) => items.into_iter().map(text).collect(),
        Some(item) => Ok(vec![text(item)?]),
    }
}

async fn exchange(socket: &Path, command: &[&str]) -> io::Result<Option<OwnedFrame>> {
    let words = command.iter().map(|word| OwnedFrame::BulkString(word.as_bytes().to_vec()));
    let request = OwnedFrame::Array(words.collect());
    let mut bytes = vec![0; request.encode_len(false)];
    encode(&mut bytes, &request, false).map_err(io::Error::other)?;
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(&bytes).await?;

    let mut received = vec![];
    loop {
        if let Some((reply, _)) = decode(&received).map_err(io::Error::other)? {
            return Ok(Some(reply));
        }
        if stream.read_buf(&mut received).await? == 0 {
            return if received.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
    }
}

fn text(reply: OwnedFrame) -> io::Result<String> {
    match reply {
        OwnedFrame::SimpleString(text) | OwnedFrame::BulkString(text) => {
            String::from_utf8(text).map_err(io::Error::other)
        }
        OwnedFrame::Integer(number) => Ok(number.to_string()),
        OwnedFrame::Error(error) => Err(io::Error::other(error)),
        OwnedFrame::Null | OwnedFrame::Array(_) => Err(io::Error::other("the reply has no text")),
    }
}
