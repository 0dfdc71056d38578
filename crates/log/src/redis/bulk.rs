//! Pages of a stream, read at the speed of the wire.
//!
//! A page of a thousand entries is some ten thousand small parts, and the client makes several allocations of each. Whoever
//! walks through history needs none of that: here a page is one buffer, of which the entries are slices. The connection can
//! do nothing else, and it is only a short cut: whatever goes wrong with it, a server that moved or a password that was
//! changed, is found out and told by asking once more through the client.

use std::{
    fmt, io,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::{Buf as _, Bytes, BytesMut};
use fred::types::config::{Config, ServerConfig, TlsConnector};
use hemostat_schema::{EventId, Family, Partition};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
    time::timeout,
};

use super::{connection::Arg, packed::usual};
use crate::{Options, RawEntry, options::Place};

/// How much is read from the socket at once.
const READ: usize = 1 << 17;
/// One that was not used for so long is closed.
const IDLE: Duration = Duration::from_secs(10);
/// So many are kept at most: a scan reads its families at once.
const KEPT: usize = 8;

/// Connections that are not in use just now.
#[derive(Debug, Default)]
pub(super) struct Spare(Mutex<Vec<(Instant, Bulk)>>);

impl Spare {
    /// One to the server at `place`.
    pub async fn take(&self, options: &Options, place: &Place) -> io::Result<Bulk> {
        let found = {
            let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            spare.retain(|(since, _)| since.elapsed() < IDLE);
            spare.iter().position(|(_, bulk)| bulk.place == *place).map(|at| spare.swap_remove(at).1)
        };
        match found {
            Some(bulk) => Ok(bulk),
            None => Bulk::open(options, place).await,
        }
    }

    /// Gives one back of which every answer was read.
    pub fn keep(&self, bulk: Bulk) {
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < KEPT {
            spare.push((Instant::now(), bulk));
        }
    }
}

/// One connection.
pub(super) struct Bulk {
    place: Place,
    stream: Box<dyn Stream>,
    buffer: BytesMut,
    limit: Duration,
}

/// What can be read and written: a socket of some kind, with or without TLS.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send + Sync {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + Sync> Stream for T {}

impl Bulk {
    async fn open(options: &Options, place: &Place) -> io::Result<Self> {
        let config = options.config(place).map_err(io::Error::other)?;
        let limit = options.limit();
        let stream = within(limit, connect(&config)).await?;
        let mut bulk = Self { place: place.clone(), stream, buffer: BytesMut::new(), limit };
        if let Some(password) = config.password {
            let user = config.username.unwrap_or_else(|| "default".to_owned());
            bulk.answer(&["AUTH".into(), user.into(), password.into()]).await?;
        }
        if let Some(database) = config.database.filter(|database| *database > 0) {
            bulk.answer(&["SELECT".into(), database.to_string().into()]).await?;
        }
        Ok(bulk)
    }

    /// The entries that `command`, an XRANGE or XREVRANGE, gives.
    pub async fn entries(
        &mut self,
        command: &[Arg],
        partition: Partition,
        family: Family,
    ) -> io::Result<Vec<RawEntry>> {
        let answer = self.answer(command).await?;
        let malformed = || io::Error::new(io::ErrorKind::InvalidData, "the answer has no entries");
        Answer { bytes: answer, at: 0 }.entries(partition, family).ok_or_else(malformed)
    }

    /// The whole answer to a command, as it stands on the wire. An error of the server is an error.
    async fn answer(&mut self, command: &[Arg]) -> io::Result<Bytes> {
        let mut request = format!("*{}\r\n", command.len()).into_bytes();
        for arg in command {
            request.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
            request.extend_from_slice(arg);
            request.extend_from_slice(b"\r\n");
        }
        within(self.limit, async {
            self.stream.write_all(&request).await?;
            let mut end = End::default();
            while !end.is_reached(&self.buffer)? {
                self.buffer.reserve(READ);
                if self.stream.read_buf(&mut self.buffer).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            Ok(self.buffer.split_to(end.at).freeze())
        })
        .await
    }
}

async fn connect(config: &Config) -> io::Result<Box<dyn Stream>> {
    let server = match &config.server {
        ServerConfig::Unix { path } => return Ok(Box::new(UnixStream::connect(path).await?)),
        ServerConfig::Centralized { server } => server,
        _ => return Err(io::ErrorKind::Unsupported.into()),
    };
    let stream = TcpStream::connect((&*server.host, server.port)).await?;
    stream.set_nodelay(true)?;
    match config.tls.as_ref().map(|tls| &tls.connector) {
        None => Ok(Box::new(stream)),
        Some(TlsConnector::Rustls(connector)) => {
            let name = ServerName::try_from(server.host.to_string()).map_err(io::Error::other)?;
            Ok(Box::new(connector.connect(name, stream).await?))
        }
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(limit, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

impl fmt::Debug for Bulk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bulk").field("place", &self.place).finish_non_exhaustive()
    }
}

/// Looks for the end of an answer in what has arrived of it, and goes on where it stopped when more has.
#[derive(Debug)]
struct End {
    /// What came before this is done with.
    at: usize,
    /// So many parts are missing.
    parts: usize,
}

impl Default for End {
    fn default() -> Self {
        Self { at: 0, parts: 1 }
    }
}

impl End {
    fn is_reached(&mut self, bytes: &[u8]) -> io::Result<bool> {
        while self.parts > 0 {
            let Some((marker, text, next)) = line(bytes, self.at) else { return Ok(false) };
            let length = || number(text).ok_or_else(malformed);
            let next = match marker {
                b'-' => return Err(io::Error::other(String::from_utf8_lossy(text).into_owned())),
                b'$' => match length()? {
                    -1 => next,
                    length => next + usize::try_from(length).map_err(|_| malformed())? + 2,
                },
                b'*' => {
                    // Nil is a list without parts.
                    self.parts += usize::try_from(length()?.max(0)).map_err(|_| malformed())?;
                    next
                }
                b'+' | b':' => next,
                _ => return Err(malformed()),
            };
            if next > bytes.len() {
                return Ok(false);
            }
            self.at = next;
            self.parts -= 1;
        }
        Ok(true)
    }
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not an answer of Redis")
}

/// The line at `at`: what it begins with, the rest of it, and where the next one begins.
fn line(bytes: &[u8], at: usize) -> Option<(u8, &[u8], usize)> {
    let rest = bytes.get(at..)?;
    let end = rest.iter().position(|byte| *byte == b'\n').filter(|end| *end >= 2)?;
    Some((rest[0], &rest[1..end - 1], at + end + 1))
}

fn number(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A whole answer, read from its front; nothing where something else stands there.
struct Answer {
    bytes: Bytes,
    at: usize,
}

impl Answer {
    fn entries(mut self, partition: Partition, family: Family) -> Option<Vec<RawEntry>> {
        let count = self.list()?;
        let mut entries = Vec::with_capacity(count.min(self.bytes.remaining()));
        for _ in 0..count {
            if self.list()? != 2 {
                return None;
            }
            let id = self.text()?;
            let id = EventId::from_entry(partition, std::str::from_utf8(&self.bytes[id]).ok()?).ok()?;
            let parts = self.list()?;
            let mut fields = Vec::with_capacity(parts / 2);
            for _ in 0..parts / 2 {
                let (name, value) = (self.text()?, self.text()?);
                let name = usual(&self.bytes[name.clone()]).unwrap_or_else(|| self.bytes.slice(name));
                fields.push((name, self.bytes.slice(value)));
            }
            entries.push(RawEntry { id, family, fields });
        }
        Some(entries)
    }

    fn list(&mut self) -> Option<usize> {
        let (marker, text, next) = line(&self.bytes, self.at)?;
        let length = number(text).filter(|_| marker == b'*')?;
        self.at = next;
        usize::try_from(length.max(0)).ok()
    }

    /// Where a text lies.
    fn text(&mut self) -> Option<std::ops::Range<usize>> {
        let (marker, text, next) = line(&self.bytes, self.at)?;
        let length = number(text).filter(|_| marker == b'$')?;
        let range = next..next + usize::try_from(length).ok()?;
        self.at = range.end + 2;
        (self.at <= self.bytes.len()).then_some(range)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const P: Partition = Partition(3);

    fn wire(entries: &[(u64, Vec<(String, String)>)]) -> Vec<u8> {
        let text = |text: &str| format!("${}\r\n{text}\r\n", text.len());
        let entry = |(ms, fields): &(u64, Vec<(String, String)>)| {
            let fields: String = fields.iter().map(|(name, value)| text(name) + &text(value)).collect();
            let parts = fields.matches('$').count();
            format!("*2\r\n{}*{parts}\r\n{fields}", text(&format!("{ms}-7")))
        };
        format!("*{}\r\n{}", entries.len(), entries.iter().map(entry).collect::<String>()).into_bytes()
    }

    proptest! {
        #[test]
        fn entries_are_read_as_they_came_however_they_are_cut(
            entries in prop::collection::vec(
                (any::<u64>(), prop::collection::vec(("[a-z]{1,3}", "[a-z\r\n*]{0,90}"), 0..5)), 0..20),
            cut in any::<prop::sample::Index>(),
        ) {
            let bytes = wire(&entries);
            let cut = cut.index(bytes.len());
            let mut end = End::default();
            prop_assert!(!end.is_reached(&bytes[..cut]).unwrap(), "{cut} of {}", bytes.len());
            prop_assert!(end.is_reached(&bytes).unwrap());
            prop_assert_eq!(end.at, bytes.len());
            let expected: Vec<RawEntry> = entries.iter().map(|(ms, fields)| RawEntry {
                id: EventId { partition: P, ms: *ms, seq: 7 },
                family: Family::Action,
                fields: fields.iter().map(|(name, value)| (name.clone().into(), value.clone().into())).collect(),
            }).collect();
            let read = Answer { bytes: bytes.clone().into(), at: 0 }.entries(P, Family::Action);
            prop_assert_eq!(read, Some(expected));
            let short = Answer { bytes: bytes[..cut].to_vec().into(), at: 0 }.entries(P, Family::Action);
            prop_assert_eq!(short, None);
        }
    }

    #[test]
    fn what_is_no_page_is_an_error_or_nothing() {
        for (answer, error) in [
            ("-NOAUTH Authentication required.\r\n", Some("NOAUTH Authentication required.")),
            ("-MOVED 3999 127.0.0.1:6381\r\n", Some("MOVED 3999 127.0.0.1:6381")),
            ("?x\r\n", Some("not an answer of Redis")),
            ("$-7\r\n", Some("not an answer of Redis")),
            ("*x\r\n", Some("not an answer of Redis")),
        ] {
            let found = End::default().is_reached(answer.as_bytes()).map_err(|error| error.to_string());
            assert_eq!(found.err().as_deref(), error, "{answer}");
        }
        for answer in ["+OK\r\n", ":1\r\n", "$3\r\nabc\r\n", "*1\r\n:1\r\n"] {
            assert!(End::default().is_reached(answer.as_bytes()).unwrap(), "{answer}");
            assert_eq!(Answer { bytes: answer.into(), at: 0 }.entries(P, Family::Action), None, "{answer}");
        }
        assert_eq!(Answer { bytes: "*-1\r\n".into(), at: 0 }.entries(P, Family::Action), Some(vec![]));
    }
}
