//! The head of an entity as the write path sees it.

use super::prepare::{PreparedWhat, PreparedWrite};
use crate::index::annotations::Purge;
use crate::limits::REVISION_NUMBER_MAX;
use crate::model::{ContentRef, Digest, Entity, Expect, HeadState, RevisionKind, Row};
use crate::{Error, Result};

/// What a write needs to know of the revision before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeadInfo {
    /// Sequence number of the newest revision, or of the purge that ended them; 0 if there is neither.
    pub(crate) sequence: u64,
    /// Sequence number of the last change of the entity that is known here: of that revision, or of an annotation behind it. What is in
    /// flight is in flight until this is published.
    pub(crate) until: u64,
    /// Its number; the last one used if it was purged; 0 if there is none.
    pub(crate) number: u64,
    /// Its kind; `None` if there is no revision, or none any more.
    pub(crate) kind: Option<RevisionKind>,
    /// Its effective time, µs.
    pub(crate) effective_time: i64,
    /// Its main content.
    pub(crate) content: Option<ContentRef>,
    /// The digest of that, where it was needed and looked up.
    pub(crate) digest: Option<Digest>,
}

impl HeadInfo {
    pub(crate) const ABSENT: Self = Self {
        sequence: 0,
        until: 0,
        number: 0,
        kind: None,
        effective_time: i64::MIN,
        content: None,
        digest: None,
    };

    /// Nothing is left, and numbers and times go on.
    pub(crate) fn purged(purge: Purge) -> Self {
        Self {
            sequence: purge.sequence,
            until: purge.sequence,
            number: if planted!("numbers begin again after a purge") { 0 } else { purge.last },
            effective_time: match planted!("time begins again after a purge") {
                true => i64::MIN,
                false => purge.effective_time,
            },
            ..Self::ABSENT
        }
    }

    /// Whether it was purged and not used again.
    pub(crate) fn is_purged(&self) -> bool {
        self.kind.is_none() && self.number > 0
    }

    pub(crate) fn of(row: &Row) -> Self {
        Self {
            sequence: row.sequence,
            until: row.sequence,
            number: row.number,
            kind: Some(row.kind),
            effective_time: row.effective_time,
            content: row.content,
            digest: None,
        }
    }

    pub(crate) fn state(&self) -> HeadState {
        match self.kind {
            None if self.is_purged() => HeadState::Purged(self.number),
            None => HeadState::Absent,
            Some(RevisionKind::Delete) => HeadState::Deleted(self.number),
            Some(RevisionKind::Put) => HeadState::Live(self.number),
        }
    }

    pub(crate) fn meets(&self, expect: Expect) -> bool {
        match expect {
            // A purged entity had revisions: whoever takes it for a new one is told.
            Expect::Absent => self.kind.is_none() && !self.is_purged(),
            // Nor does it stand for the revision that somebody read before: what he would write behind it is the old text.
            Expect::Head(number) => self.kind.is_some() && self.number == number,
            Expect::Any => true,
        }
    }

    /// Whether a step of a batch may go on top of this head.
    pub(crate) fn admit(&self, entity: &Entity, what: &PreparedWhat) -> Result<()> {
        let (expect, read) = match what {
            PreparedWhat::Guard { expect, sequence } => (*expect, *sequence),
            PreparedWhat::Write(write) => (write.expect, None),
            PreparedWhat::Annotate(_) if self.kind.is_none() => {
                return Err(Error::invalid(format!(
                    "{entity} has no revisions to hide, show, forget or purge"
                )));
            }
            PreparedWhat::Annotate(_) => return Ok(()),
        };
        let holds = match read {
            // What was read at a sequence number is still so, be it that the entity was purged.
            Some(sequence) => sequence == self.sequence,
            None => self.meets(expect),
        };
        if !holds {
            return Err(Error::Conflict { entity: entity.clone(), expected: expect, actual: self.state() });
        }
        Ok(())
    }

    /// The number of a revision on top of this head.
    pub(crate) fn next_number(&self, entity: &Entity, write: &PreparedWrite) -> Result<u64> {
        let number = write.number.unwrap_or(self.number.saturating_add(1));
        if number <= self.number || number > REVISION_NUMBER_MAX {
            return Err(Error::invalid(format!(
                "{entity}: revision number {number} must be above the head's, {}, and at most {REVISION_NUMBER_MAX}",
                self.number
            )));
        }
        Ok(number)
    }
}
