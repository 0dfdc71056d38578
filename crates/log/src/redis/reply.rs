//! Replies of Redis.

use std::collections::HashMap;

use bytes::Bytes;
use fred::interfaces::Resp3Frame;
use hemostat_schema::{EventId, Partition};

use crate::Error;

/// A reply of Redis, independent of the client's types.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Reply {
    Nil,
    Number(i64),
    Data(Bytes),
    List(Vec<Reply>),
    Error(String),
}

impl From<Resp3Frame> for Reply {
    fn from(frame: Resp3Frame) -> Self {
        match frame {
            Resp3Frame::Null => Self::Nil,
            Resp3Frame::Number { data, .. } => Self::Number(data),
            Resp3Frame::Boolean { data, .. } => Self::Number(i64::from(data)),
            Resp3Frame::Array { data, .. } | Resp3Frame::Push { data, .. } => {
                Self::List(data.into_iter().map(Self::from).collect())
            }
            Resp3Frame::SimpleError { data, .. } => Self::Error(data.to_string()),
            Resp3Frame::BlobError { data, .. } => Self::Error(String::from_utf8_lossy(&data).into_owned()),
            Resp3Frame::BlobString { data, .. }
            | Resp3Frame::SimpleString { data, .. }
            | Resp3Frame::VerbatimString { data, .. }
            | Resp3Frame::BigNumber { data, .. } => Self::Data(data),
            _ => Self::Error("ERR a reply of a type that RESP2 does not have".to_owned()),
        }
    }
}

impl Reply {
    /// A list; nil is the empty list.
    pub fn list(self, doing: &'static str) -> Result<Vec<Reply>, Error> {
        match self {
            Self::List(list) => Ok(list),
            Self::Nil => Ok(vec![]),
            other => Err(other.unexpected(doing, "a list")),
        }
    }

    /// A list of exactly `N` elements.
    pub fn exactly<const N: usize>(self, doing: &'static str) -> Result<[Reply; N], Error> {
        let list = self.list(doing)?;
        <[Reply; N]>::try_from(list).map_err(|list| Self::List(list).unexpected(doing, "a list of another length"))
    }

    /// A flat list of names and values, as pairs.
    pub fn pairs(self, doing: &'static str) -> Result<Vec<(Reply, Reply)>, Error> {
        let mut list = self.list(doing)?.into_iter();
        Ok(std::iter::from_fn(|| Some((list.next()?, list.next()?))).collect())
    }

    /// The same with each name as text.
    pub fn fields(self, doing: &'static str) -> Result<HashMap<String, Reply>, Error> {
        self.pairs(doing)?.into_iter().map(|(name, value)| Ok((name.text(doing)?, value))).collect()
    }

    /// Text; invalid UTF-8 is replaced.
    pub fn text(self, doing: &'static str) -> Result<String, Error> {
        match self {
            Self::Data(data) => Ok(String::from_utf8_lossy(&data).into_owned()),
            Self::Number(number) => Ok(number.to_string()),
            other => Err(other.unexpected(doing, "text")),
        }
    }

    /// A number that is not negative.
    pub fn number(self, doing: &'static str) -> Result<u64, Error> {
        let number = match &self {
            Self::Number(number) => u64::try_from(*number).ok(),
            Self::Data(data) => std::str::from_utf8(data).ok().and_then(|text| text.parse().ok()),
            _ => None,
        };
        number.ok_or_else(|| self.unexpected(doing, "a number"))
    }

    /// Bytes; none for nil.
    pub fn data(self, doing: &'static str) -> Result<Option<Bytes>, Error> {
        match self {
            Self::Data(data) => Ok(Some(data)),
            Self::Nil => Ok(None),
            other => Err(other.unexpected(doing, "data")),
        }
    }

    /// The id of an entry in `partition`.
    pub fn id(self, partition: Partition, doing: &'static str) -> Result<EventId, Error> {
        let text = self.text(doing)?;
        EventId::from_entry(partition, &text).map_err(|error| corrupt(doing, error.to_string()))
    }

    /// The clock of `partition`; its start if there is none yet.
    pub fn clock(self, partition: Partition, doing: &'static str) -> Result<EventId, Error> {
        match self {
            Self::Nil => Ok(EventId::start(partition)),
            reply => reply.id(partition, doing),
        }
    }

    fn unexpected(&self, doing: &'static str, wanted: &str) -> Error {
        corrupt(doing, format!("{wanted} was expected, not {}", self.shape()))
    }

    /// Its type and size, without its content.
    fn shape(&self) -> String {
        match self {
            Self::Nil => "nil".to_owned(),
            Self::Number(number) => format!("the number {number}"),
            Self::Data(data) => format!("{} bytes", data.len()),
            Self::List(list) => format!("a list of {}", list.len()),
            Self::Error(error) => format!("the error {error}"),
        }
    }
}

pub(super) fn corrupt(doing: &'static str, reason: String) -> Error {
    Error::Corrupt { doing, reason }
}
