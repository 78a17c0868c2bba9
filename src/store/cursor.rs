//! A place in the change feed that can be kept outside: which store, which line of it, behind which change.
//!
//! A bare sequence number says too little. After a power cut that took `Buffered` commits, and in a store that was restored from a checkpoint,
//! sequence numbers are given out again for other changes: whoever goes on behind number 15 of the old line in the new one misses what
//! is new up to 15, and nothing tells. So a cursor also carries the incarnation, which is a new one from then on, and a mark of the change that it
//! stands behind.
//!
//! 1. Under the same incarnation a number is given out once: the number decides.
//! 2. Under another one the change at that number must be the same, or the cursor is lost. Most are not: only what is durable is fed, and a
//!    crash takes none of that.
//! 3. The mark is made of what forgetting and purging leave: sequence number and commit time. A name that was purged since does not lose a cursor.

use std::fmt;
use std::str::FromStr;

use xxhash_rust::xxh3::xxh3_64;

use super::feed::Changes;
use super::inner::Inner;
use crate::{Error, Result};

/// A place in the change feed of one store: behind a change. Keep it with what you made of the changes, as text for example, and go on with
/// [`super::Store::resume`].
///
/// ```
/// # use recension::{Cursor, Draft, Expect, Store};
/// # let dir = tempfile::tempdir()?;
/// # let store = Store::open(dir.path().join("wiki.db"))?;
/// # store.put("Main Page", Expect::Absent, Draft::new("hello"))?;
/// let mut feed = store.changes(0)?;
/// for change in feed.by_ref() {
///     println!("{}", change?.sequence);
/// }
/// let kept = feed.position()?.to_string();
/// // Later, perhaps after a crash, or in a store that was restored:
/// let feed = store.resume(&kept.parse()?)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cursor {
    store: [u8; 16],
    incarnation: u64,
    sequence: u64,
    mark: u64,
}

impl Cursor {
    /// The sequence number of the change that it stands behind; 0 for the start.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.store {
            write!(f, "{byte:02x}")?;
        }
        write!(f, "-{:016x}-{}-{:016x}", self.incarnation, self.sequence, self.mark)
    }
}

impl FromStr for Cursor {
    type Err = Error;

    /// What [`Cursor`]'s `Display` wrote.
    fn from_str(text: &str) -> Result<Self> {
        let bad = || Error::invalid(format!("{text:?} is not a cursor as `Cursor` writes it"));
        let hex = |part: &str| match part.len() == 16 && part.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            true => u64::from_str_radix(part, 16).map_err(|_| bad()),
            false => Err(bad()),
        };
        let mut parts = text.split('-');
        let mut next = || parts.next().ok_or_else(bad);
        let (store, incarnation, sequence, mark) = (next()?, next()?, next()?, next()?);
        let (high, low) = store.split_at_checked(16).ok_or_else(bad)?;
        let id = (u128::from(hex(high)?) << 64) | u128::from(hex(low)?);
        let sequence =
            sequence.bytes().all(|byte| byte.is_ascii_digit()).then(|| sequence.parse().ok()).flatten();
        let cursor = Self {
            store: id.to_be_bytes(),
            incarnation: hex(incarnation)?,
            sequence: sequence.ok_or_else(bad)?,
            mark: hex(mark)?,
        };
        if parts.next().is_some() { Err(bad()) } else { Ok(cursor) }
    }
}

impl Inner {
    /// The place behind a change that the feed gave out.
    pub(crate) fn cursor_at(&self, sequence: u64) -> Result<Cursor> {
        let mark = if sequence == 0 { 0 } else { self.mark(sequence)? };
        Ok(Cursor { store: self.store, incarnation: self.manifest.state().incarnation, sequence, mark })
    }

    /// The feed behind a cursor.
    pub(crate) fn resume(self: &std::sync::Arc<Self>, cursor: &Cursor) -> Result<Changes> {
        if cursor.store != self.store {
            return Err(Error::invalid("the cursor is one of another store: start there, or here from 0"));
        }
        let feed = Changes::new(self, cursor.sequence)?;
        let same_line = cursor.incarnation == self.manifest.state().incarnation || cursor.sequence == 0;
        if !same_line && self.mark(cursor.sequence)? != cursor.mark {
            // Where the two lines part is not known.
            return Err(Error::CursorLost { cursor: cursor.sequence, last: 0 });
        }
        Ok(feed)
    }

    /// A hash of what never changes of a change, forgetting included.
    fn mark(&self, sequence: u64) -> Result<u64> {
        let missing = || {
            let (expected, affected) = (format!("the change {sequence}"), "a cursor of the change feed");
            Error::corrupt(self.path(), 0, expected, "none", affected)
        };
        let values = self.values();
        let column = values.find(sequence).ok_or_else(missing)?;
        let before = sequence.saturating_sub(1);
        let change = column.changes(before, sequence).next().ok_or_else(missing)??;
        // Of a change of a purged entity nothing else is left.
        let mut told = Vec::with_capacity(24);
        for part in [sequence, change.commit_time.cast_unsigned(), u64::from(change.commit_rest)] {
            told.extend_from_slice(&part.to_le_bytes());
        }
        Ok(xxh3_64(&told))
    }
}
