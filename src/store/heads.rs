//! The head of an entity as the write path sees it.

use crate::model::{ContentRef, Digest, Expect, HeadState, RevisionKind, Row};

/// What a write needs to know of the revision before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeadInfo {
    /// Sequence number of the newest revision; 0 if there is none.
    pub(crate) sequence: u64,
    /// Its number; 0 if there is none.
    pub(crate) number: u64,
    /// Its kind; `None` if there is no revision.
    pub(crate) kind: Option<RevisionKind>,
    /// Its effective time, µs.
    pub(crate) effective_time: i64,
    /// Its main content.
    pub(crate) content: Option<ContentRef>,
    /// The digest of that, where it was needed and looked up.
    pub(crate) digest: Option<Digest>,
}

impl HeadInfo {
    pub(crate) const ABSENT: Self =
        Self { sequence: 0, number: 0, kind: None, effective_time: i64::MIN, content: None, digest: None };

    pub(crate) fn of(row: &Row) -> Self {
        Self {
            sequence: row.sequence,
            number: row.number,
            kind: Some(row.kind),
            effective_time: row.effective_time,
            content: row.content,
            digest: None,
        }
    }

    pub(crate) fn state(&self) -> HeadState {
        match self.kind {
            None => HeadState::Absent,
            Some(RevisionKind::Delete) => HeadState::Deleted(self.number),
            Some(RevisionKind::Put) => HeadState::Live(self.number),
        }
    }

    pub(crate) fn meets(&self, expect: Expect) -> bool {
        match expect {
            Expect::Absent => self.kind.is_none(),
            Expect::Head(number) => self.kind.is_some() && self.number == number,
            Expect::Any => true,
        }
    }
}
