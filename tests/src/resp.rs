//! The least that speaks to Redis: what a bench measures the log against, and what looks at it from outside.
//!
//! It blocks, copies no value out of its buffer, and sends several commands in one write: nothing that stands between
//! HemoStat and Redis could be cheaper.

use std::{
    io::{Read, Write},
    ops::Range,
    os::unix::net::UnixStream,
    path::Path,
};

use anyhow::{Context, bail, ensure};

/// How much is read from the socket at once.
const READ: usize = 1 << 18;

/// A connection to a redis-server's socket.
#[derive(Debug)]
pub struct Resp {
    stream: UnixStream,
    out: Vec<u8>,
    buffer: Vec<u8>,
    /// Up to where the answers in the buffer have been given out, and up to where it is filled.
    read: usize,
    filled: usize,
}

/// An answer; its texts lie in the connection's buffer until the next one is received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    Nil,
    /// A whole number.
    Number(i64),
    /// See [`Resp::text`].
    Text(Range<usize>),
    /// A list of answers.
    List(Vec<Value>),
}

impl Value {
    /// Its elements; none where it is nil.
    ///
    /// # Errors
    /// When it is no list.
    pub fn list(&self) -> anyhow::Result<&[Value]> {
        match self {
            Self::Nil => Ok(&[]),
            Self::List(list) => Ok(list),
            other => bail!("{other:?} is no list"),
        }
    }
}

impl Resp {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn connect(socket: &Path) -> anyhow::Result<Self> {
        let stream =
            UnixStream::connect(socket).with_context(|| format!("could not connect to {}", socket.display()))?;
        Ok(Self { stream, out: vec![], buffer: vec![0; READ], read: 0, filled: 0 })
    }

    /// Adds a command to those that the next [`receive`](Self::receive) sends.
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

    /// The answer to the oldest command that has not been answered yet.
    ///
    /// # Errors
    /// When the connection fails, or Redis answers with an error.
    pub fn receive(&mut self) -> anyhow::Result<Value> {
        if !self.out.is_empty() {
            self.stream.write_all(&self.out)?;
            self.out.clear();
        }
        self.buffer.copy_within(self.read..self.filled, 0);
        self.filled -= self.read;
        self.read = 0;
        self.value()
    }

    /// One command and its answer.
    ///
    /// # Errors
    /// See [`receive`](Self::receive).
    pub fn call<P: AsRef<[u8]>>(
        &mut self,
        command: impl IntoIterator<Item = P, IntoIter: ExactSizeIterator>,
    ) -> anyhow::Result<Value> {
        self.send(command);
        self.receive()
    }

    /// The bytes of a text of the last answer.
    ///
    /// # Errors
    /// When it is no text.
    pub fn bytes(&self, value: &Value) -> anyhow::Result<&[u8]> {
        match value {
            Value::Text(range) => Ok(&self.buffer[range.clone()]),
            other => bail!("{other:?} is no text"),
        }
    }

    /// The same as text.
    ///
    /// # Errors
    /// When it is none.
    pub fn text(&self, value: &Value) -> anyhow::Result<&str> {
        Ok(std::str::from_utf8(self.bytes(value)?)?)
    }

    fn value(&mut self) -> anyhow::Result<Value> {
        let line = self.line()?;
        let (kind, rest) = (self.buffer[line.start], line.start + 1..line.end);
        let number = |this: &Self| Ok::<i64, anyhow::Error>(std::str::from_utf8(&this.buffer[rest.clone()])?.parse()?);
        match kind {
            b'+' => Ok(Value::Text(rest)),
            b'-' => bail!("Redis answered: {}", String::from_utf8_lossy(&self.buffer[rest])),
            b':' => Ok(Value::Number(number(self)?)),
            b'$' => match usize::try_from(number(self)?) {
                Err(_) => Ok(Value::Nil),
                Ok(length) => {
                    let begin = self.read;
                    self.fill(begin + length + 2)?;
                    self.read = begin + length + 2;
                    Ok(Value::Text(begin..begin + length))
                }
            },
            b'*' => match usize::try_from(number(self)?) {
                Err(_) => Ok(Value::Nil),
                Ok(length) => (0..length).map(|_| self.value()).collect::<Result<_, _>>().map(Value::List),
            },
            other => bail!("{:?} begins no answer", char::from(other)),
        }
    }

    /// The next line, without its end.
    fn line(&mut self) -> anyhow::Result<Range<usize>> {
        let begin = self.read;
        let mut looked = begin;
        loop {
            if let Some(at) = self.buffer[looked..self.filled].iter().position(|byte| *byte == b'\n') {
                self.read = looked + at + 1;
                ensure!(self.read >= begin + 3, "an empty line is no answer");
                return Ok(begin..self.read - 2);
            }
            looked = self.filled;
            self.fill(self.filled + 1)?;
        }
    }

    /// Reads until the buffer is filled up to `end`.
    fn fill(&mut self, end: usize) -> anyhow::Result<()> {
        while self.filled < end {
            if self.buffer.len() < end.max(self.filled + READ / 2) {
                self.buffer.resize(end.max(self.filled) + READ, 0);
            }
            let length = self.stream.read(&mut self.buffer[self.filled..])?;
            ensure!(length > 0, "Redis closed the connection");
            self.filled += length;
        }
        Ok(())
    }
}
