//! What can go wrong, and whether reading goes on.

use std::fmt;
use std::io;

use super::record::{Place, entity_shown};

/// A record could not be read.
#[derive(Debug)]
pub enum ReadError {
    /// This record is bad; the next call gives the one behind it.
    Reject(Reject),
    /// The stream is broken: nothing further can be read.
    Fatal(Fatal),
}

/// A bad record. Reading goes on behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// Where the fault is; its ordinal is that of the record.
    pub place: Place,
    /// The entity, if it could be read.
    pub entity: Option<Vec<u8>>,
    /// What is wrong, for people.
    pub reason: String,
}

/// A broken stream.
#[derive(Debug)]
pub struct Fatal {
    /// How far it could be read.
    pub place: Place,
    /// What is wrong, for people.
    pub reason: String,
    /// The cause, if it was one of input or output.
    pub source: Option<io::Error>,
}

impl Fatal {
    /// From an error of the input.
    pub fn io(place: Place, error: io::Error) -> Self {
        Self { place, reason: error.to_string(), source: Some(error) }
    }

    /// From words.
    pub fn new(place: Place, reason: impl Into<String>) -> Self {
        Self { place, reason: reason.into(), source: None }
    }
}

impl From<Reject> for ReadError {
    fn from(reject: Reject) -> Self {
        Self::Reject(reject)
    }
}

impl From<Fatal> for ReadError {
    fn from(fatal: Fatal) -> Self {
        Self::Fatal(fatal)
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if let Some(entity) = &self.entity {
            write!(f, "{}: ", entity_shown(entity))?;
        }
        f.write_str(&self.reason)
    }
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (offset {}): {}", self.place, self.place.offset, self.reason)
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reject(reject) => reject.fmt(f),
            Self::Fatal(fatal) => fatal.fmt(f),
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Reject(_) => None,
            Self::Fatal(fatal) => fatal.source.as_ref().map(|error| error as _),
        }
    }
}

/// A record that the output format cannot hold. Nothing of it was written; the writer can go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The entity.
    pub entity: Vec<u8>,
    /// Its revision number, if it has one.
    pub rev: Option<u64>,
    /// What cannot be held, for people.
    pub what: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&entity_shown(&self.entity))?;
        if let Some(rev) = self.rev {
            write!(f, " revision {rev}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// A record could not be written.
#[derive(Debug)]
pub enum WriteError {
    /// The format cannot hold it; the writer can go on.
    Refused(Refusal),
    /// The output failed.
    Io(io::Error),
}

impl From<io::Error> for WriteError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for WriteError {}
