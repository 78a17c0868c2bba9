//! The change feed: every change in commit order, from any cursor, read from the log and never from contents.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::cursor::Cursor;
use super::inner::Inner;
use super::revision::Revision;
use crate::log::{Change as Logged, ChangeIter, LoggedChange};
use crate::model::{Annotation, Timestamp};
use crate::{Error, Result};

/// One change.
#[derive(Clone, Debug)]
pub struct Change {
    /// Its sequence number: the cursor to resume behind it.
    pub sequence: u64,
    /// How many changes of the same commit follow. The commit ends where this is 0.
    pub commit_rest: u32,
    /// When it was committed.
    pub commit_time: Timestamp,
    /// What changed.
    pub kind: ChangeKind,
}

/// What changed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ChangeKind {
    /// A new revision, live or a tombstone.
    Revision(Revision),
    /// Something was hidden, shown, forgotten or purged.
    Annotation(Annotation),
    /// A change of an entity that was purged since: nothing is left of it but its place in the order.
    Purged,
}

/// Changes behind a cursor, in commit order, up to the durable watermark. As an iterator it ends there, and goes on when called
/// again after more was committed; [`Changes::wait`] and [`Changes::next_async`] wait for more.
pub struct Changes {
    inner: Arc<Inner>,
    /// The last sequence number given out.
    cursor: u64,
    /// The present file, read up to `until`.
    reader: Option<ChangeIter>,
    until: u64,
    failed: bool,
}

impl Changes {
    pub(crate) fn new(inner: &Arc<Inner>, after: u64) -> Result<Self> {
        let last = inner.durable();
        if after > last {
            return Err(Error::CursorLost { cursor: after, last });
        }
        Ok(Self { inner: inner.clone(), cursor: after, reader: None, until: after, failed: false })
    }

    /// The sequence number to pass as `after` to go on behind what was given out.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// The same place as something that can be kept outside: it also says which line of the store it is of. See [`super::Store::resume`].
    ///
    /// # Errors
    /// `Corrupt` or `Io` if the change that it stands behind cannot be read.
    pub fn position(&self) -> Result<Cursor> {
        self.inner.cursor_at(self.cursor)
    }

    /// The next change, waiting for it for `timeout` at most (`None`: for ever). `Ok(None)` after the timeout, or when the store
    /// was closed.
    ///
    /// # Errors
    /// `Corrupt` or `Io` if the log cannot be read; the feed ends then.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<Option<Change>> {
        loop {
            // Asked first: what was committed before the store was closed is still given out.
            let over = self.is_over();
            if let Some(change) = self.next() {
                return change.map(Some);
            }
            if self.failed || over {
                return Ok(None);
            }
            let (inner, cursor) = (&self.inner, self.cursor);
            if !inner.watch.wait(&*inner.env.clock, timeout, || inner.durable() > cursor || is_over(inner)) {
                return Ok(None);
            }
        }
    }

    /// The next change, awaited on any executor; `None` when the store was closed.
    ///
    /// # Errors
    /// `Corrupt` or `Io` if the log cannot be read; the feed ends then.
    pub async fn next_async(&mut self) -> Result<Option<Change>> {
        poll_fn(|context| {
            for registered in [false, true] {
                let over = self.is_over();
                if let Some(change) = self.next() {
                    return Poll::Ready(change.map(Some));
                }
                if self.failed || over {
                    return Poll::Ready(Ok(None));
                }
                if !registered {
                    self.inner.watch.register(context.waker());
                }
            }
            Poll::Pending
        })
        .await
    }

    fn is_over(&self) -> bool {
        is_over(&self.inner)
    }

    fn read(&mut self) -> Result<Option<LoggedChange>> {
        loop {
            if let Some(reader) = &mut self.reader {
                match reader.next() {
                    Some(change) => return change.map(Some),
                    None if self.cursor < self.until => {
                        return Err(Error::corrupt(
                            self.inner.path(),
                            0,
                            format!("changes up to {}", self.until),
                            format!("an end behind {}", self.cursor),
                            "the change feed",
                        ));
                    }
                    None => self.reader = None,
                }
            }
            let durable = match planted!("feed shows what is not durable") {
                true => self.inner.published(),
                false => self.inner.durable(),
            };
            if self.cursor >= durable {
                return Ok(None);
            }
            let values = self.inner.values();
            let next = self.cursor.saturating_add(1);
            let Some(column) = values.find(next) else {
                return Err(Error::corrupt(
                    self.inner.path(),
                    0,
                    format!("a value file for sequence {next}"),
                    "none",
                    "the change feed",
                ));
            };
            self.until = column.last.min(durable);
            self.reader = Some(column.changes(self.cursor, self.until));
        }
    }
}

fn is_over(inner: &Inner) -> bool {
    // Nothing more comes from a store that takes no writes.
    inner.read_only || inner.latch.get().is_some() || inner.closed.load(std::sync::atomic::Ordering::Acquire)
}

impl Iterator for Changes {
    type Item = Result<Change>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let change = self.read().and_then(|logged| match logged {
            None => Ok(None),
            Some(logged) => {
                let kind = match logged.change {
                    Logged::Annotation(annotation) => {
                        let purge = self.inner.purge(annotation.entity.as_bytes())?;
                        let purged = purge.is_some_and(|purge| purge.sequence > logged.sequence);
                        match purged && !planted!("purge not asked by the feed") {
                            true => ChangeKind::Purged,
                            false => ChangeKind::Annotation(annotation),
                        }
                    }
                    Logged::Revision { entity, row, .. } => Revision::new(&self.inner, entity, row)?
                        .map_or(ChangeKind::Purged, ChangeKind::Revision),
                    Logged::Erased { .. } => ChangeKind::Purged,
                };
                let commit_time = Timestamp(logged.commit_time);
                // Not before: whoever goes on behind an error must meet this change again.
                self.cursor = logged.sequence;
                Ok(Some(Change {
                    sequence: logged.sequence,
                    commit_rest: logged.commit_rest,
                    commit_time,
                    kind,
                }))
            }
        });
        self.failed = change.is_err();
        change.transpose()
    }
}
