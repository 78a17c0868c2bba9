//! Writing tables: flushes of memtables, and merges of tables down the levels.
//!
//! ```text
//!  pick ──► CompactionJob ──► run ──► TableEdit ──► manifest ──► Levels::apply
//!  pure     claims a range    streams  removed, moved, added
//! ```
//!
//! 1. **Nothing is dropped** but what was purged: as many rows come out as went in, each checked on its way (order within the entity, level
//!    order between the inputs). A mismatch is an error and the job is void. Rows of purged entities and fields that are forgotten
//!    are left out ([`crate::index::annotations::Erasures`]); the table says up to which annotation.
//! 2. **An input that cannot be read aborts the job**; it is never skipped, so it is never deleted unread.
//! 3. **`Interrupted` is not `Done`**: a cancelled job has no edit to install. Its files are announced as intents and belong to nobody.
//! 4. **A job out of a level takes every older overlapping table of that level**: all tables of level 0 go at once (so
//!    none older is left behind); in the other levels tables do not overlap.
//! 5. **One job owns an (entity range, levels) rectangle** ([`Claim`]): two jobs never write one range of one level.
//! 6. Outputs are split between entities only, when a table has reached its size.
//! 7. Memory does not grow with histories: a merge holds one row and what the cursors hold.
//!
//! All of it is a pure function of the levels, the limits and the claims: the simulator replays it.

mod flush;
mod job;
mod output;
mod pick;
mod run;

pub use flush::{FlushOutcome, flush};
pub use job::{Claim, CompactionJob};
pub use output::{BuildTables, PlainOutput, RevisionOutput};
pub use pick::{level_target, pick, pick_full, pressure};
pub use run::{CompactionOutcome, Progress, run};

#[cfg(test)]
mod tests;
