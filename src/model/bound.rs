//! How far back a read looks.

use super::Row;

/// An upper bound on the rows of an entity: a row is inside if it meets every given condition. All conditions are monotone
/// along an entity's rows, so the rows inside are always a suffix of the newest-first run, and "the newest row inside" can be
/// found by binary search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Only commits that end at or before this sequence number.
    pub sequence: u64,
    /// Only revisions with at most this number.
    pub number: u64,
    /// Only revisions committed at or before this time, µs.
    pub commit_time: i64,
    /// Only revisions with at most this effective time, µs.
    pub effective_time: i64,
}

impl Bound {
    /// Everything.
    pub const ALL: Self =
        Self { sequence: u64::MAX, number: u64::MAX, commit_time: i64::MAX, effective_time: i64::MAX };

    /// Everything that was committed up to a sequence number.
    pub fn at(sequence: u64) -> Self {
        Self { sequence, ..Self::ALL }
    }

    /// Whether the row is inside.
    pub fn admits(&self, row: &Row) -> bool {
        let rest = if planted!("half a batch at a snapshot") { 0 } else { u64::from(row.commit_rest) };
        row.sequence.saturating_add(rest) <= self.sequence
            && row.number <= self.number
            && row.commit_time <= self.commit_time
            && row.effective_time <= self.effective_time
    }
}
