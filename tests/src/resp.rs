//! A minimal blocking Redis client: the baseline that the log's bench is compared with.
//!
//! It copies no value out of its buffer and sends several commands in one write, so that no client could cost less.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
};

use anyhow::{Context, bail, ensure};
use redis_protocol::resp2::decode::decode_range;
pub use redis_protocol::resp2::types::RangeFrame;

/// Free bytes in the buffer before each read from the socket.
const READ: usize = 1 << 18;

/// A connection to a Redis server's unix socket.
#[derive(Debug)]
pub struct RespConnection {
    stream: UnixStream,
    out: Vec<u8>,
    buffer: Vec<u8>,
    /// The length of the last response in the buffer.
    consumed: usize,
    /// The number of bytes received into the buffer.
    filled: usize,
}

impl RespConnection {
    /// Connects.
    ///
    /// # Errors
    /// When no server listens.
    pub fn connect(socket: &Path) -> anyhow::Result<Self> {
        let stream =
            UnixStream::connect(socket).with_context(|| format!("could not connect to {}", socket.display()))?;
        Ok(Self { stream, out: vec![], buffer: vec![], consumed: 0, filled: 0 })
    }

    /// Queues a command, which the next [`receive`](Self::receive) sends.
    pub fn send<P: AsRef<[u8]>>(&mut self, command: impl IntoIterator<Item = P, IntoIter: ExactSizeIterator>) {
        let parts = command.into_iter();
        self.out.extend_from_slice(format!("*{}\r\n", parts.len()).as_bytes());
        for part in parts {
            let part = part.as_ref();
            self.out.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
            self.out.extend_from_slice(part);
            self.out.extend_from_slice(b"\r\n");
        }
    }

    /// The response to the oldest command without one. Its ranges are valid until the next response is received.
    ///
    /// # Errors
    /// When the connection fails, or Redis responds with an error.
    pub fn receive(&mut self) -> anyhow::Result<RangeFrame> {
        self.stream.write_all(&self.out)?;
        self.out.clear();
        self.buffer.copy_within(self.consumed..self.filled, 0);
        self.filled -= std::mem::take(&mut self.consumed);
        loop {
            if let Some((frame, length)) = decode_range(&self.buffer[..self.filled])? {
                self.consumed = length;
                if let RangeFrame::Error((start, end)) = frame {
                    bail!("Redis responded: {}", String::from_utf8_lossy(&self.buffer[start..end]));
                }
                return Ok(frame);
            }
            if self.buffer.len() < self.filled + READ {
                self.buffer.resize(self.filled + READ, 0);
            }
            let length = self.stream.read(&mut self.buffer[self.filled..])?;
            ensure!(length > 0, "Redis closed the connection");
            self.filled += length;
        }
    }

    /// Sends one command and receives its response.
    ///
    /// # Errors
    /// See [`receive`](Self::receive).
    pub fn call<P: AsRef<[u8]>>(
        &mut self,
        command: impl IntoIterator<Item = P, IntoIter: ExactSizeIterator>,
    ) -> anyhow::Result<RangeFrame> {
        self.send(command);
        self.receive()
    }

    /// The bytes of a string in the last response.
    ///
    /// # Errors
    /// When it is not a string.
    pub fn bytes(&self, frame: &RangeFrame) -> anyhow::Result<&[u8]> {
        match frame {
            RangeFrame::SimpleString((start, end)) | RangeFrame::BulkString((start, end)) => {
                Ok(&self.buffer[*start..*end])
            }
            other => bail!("{other:?} is not a string"),
        }
    }

    /// The same as text.
    ///
    /// # Errors
    /// When it is not a string, or not UTF-8.
    pub fn text(&self, frame: &RangeFrame) -> anyhow::Result<&str> {
        Ok(std::str::from_utf8(self.bytes(frame)?)?)
    }
}

/// The elements of an array; none if it is null.
///
/// # Errors
/// When it is not an array.
pub fn array(frame: &RangeFrame) -> anyhow::Result<&[RangeFrame]> {
    match frame {
        RangeFrame::Null => Ok(&[]),
        RangeFrame::Array(elements) => Ok(elements),
        other => bail!("{other:?} is not an array"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Fsync, RedisServer};

    #[tokio::test]
    async fn pipelined_and_large_responses_are_received_in_order() {
        let server = RedisServer::with_fsync(Fsync::Never).await;
        let mut redis = RespConnection::connect(&server.socket()).unwrap();
        let large = "x".repeat(3 * READ);
        redis.send(["SET", "key", &large]);
        redis.send(["MGET", "key", "missing", "key"]);
        redis.send(["INCR", "number"]);
        let set = redis.receive().unwrap();
        assert_eq!(redis.text(&set).unwrap(), "OK");
        let values = redis.receive().unwrap();
        let [first, RangeFrame::Null, second] = array(&values).unwrap() else { panic!("three values") };
        assert!([first, second].iter().all(|value| redis.text(value).unwrap() == large));
        assert_eq!(redis.receive().unwrap(), RangeFrame::Integer(1));
        let error = redis.call(["INCR", "key"]).unwrap_err();
        assert!(error.to_string().contains("not an integer"), "{error}");
    }
}
