//! Which files make up the store now.
//!
//! # The problem
//!
//! Flushes, compactions, seals and merges replace files by other files. Readers, and whoever opens the store after a crash, must see all of
//! such a change or none of it, and no file may be deleted that somebody still needs, nor kept that nobody knows. The manifest is the
//! one place that says which tables, value files, checkpoints and announced files there are: a log of edits with a snapshot in front.
//!
//! # The picture
//!
//! ```text
//! file     EPOCH-NUMBER.manifest: header, snapshot frame, promise, then for each commit an edits frame and a promise
//!
//! header    0  common header     64   codec::FileHeader, kind 4, version 1, header length 80
//!          64  salt              u64  random: no frame of another file is valid here
//!          72  reserved          u32  0
//!          76  checksum          u32  masked CRC of bytes 0..76
//!
//! frame     0  payload length    u32  without padding; at most 1 GiB
//!           4  kind              u8   1 snapshot, 2 edits, 3 promise
//!           5  head check        3    low 24 bits of the masked CRC of salt, own offset, payload length, kind, number, synced and
//!                                 predecessor, each as u64
//!           8  number            u64  of the commit; of the last one in a snapshot and before a promise
//!          16  synced            u64  everything before this offset was durable when the frame was written
//!          24  predecessor       u32  checksum of the frame before, or of the header
//!          28  checksum          u32  masked CRC of salt, the frame's own offset (u64), bytes 0..28, payload and padding
//!          32  payload                edits, one after the other (see `edit.rs`); none in a promise
//!              padding                zeros up to a multiple of 8
//! ```
//!
//! Behind the last frame there may be zeros (reserved space). All numbers are little-endian.
//!
//! # Invariants
//!
//! 1. **A commit is visible only when it is durable**: reserve space, write the frame, sync, then publish the state. A full disk refuses a
//!    commit before anything was written; any other failure latches the manifest, and a failed sync is never retried.
//! 2. **A torn tail is told from damage.** Only the last commit and the promise before it can be in flight. A frame at X that is not valid is
//!    damage if a valid frame behind it says `synced` > X, or if its own header (which has a check of its own) leaves bytes behind it; else the file ends at X. As the
//!    promise follows each commit without a sync, only damage to the very last commit within seconds of it can pass for a torn tail.
//!    Commits that are *missing* from the end, cut off where a frame begins, leave no trace here: a file with a number that is not given out gives
//!    them away (`ahead.rs`), and so does the log, which knows more changes than the manifest; holders and marks have no second witness.
//! 3. **A file that does not end in a promise is never written on**: its state goes into a new file.
//! 4. **While an older manifest file is there, the newest holds its snapshot and nothing else**: a rewrite writes and syncs the new file and
//!    the directory, removes the old file and syncs the directory again before the first commit. So the newest whole file counts, and
//!    where the newest was not finished the older one says the same.
//! 5. **The rules of [`invariants`] hold** before a frame is written and when it is read.
//! 6. **A file number is never used twice**: numbers are reserved in blocks; an open skips the rest of the block and every number that it
//!    sees in the directory.
//! 7. **A file is deleted only if** its removal is durable and nobody has it open ([`Files`]), or if it was announced and never installed.
//!    The state lists removed files as obsolete until their names are durably gone.
//! 8. **What nobody knows is moved to `lost/`**, never deleted; foreign files are left alone; segments that are not in the state
//!    belong to the log's recovery.
//!
//! # Rejected
//!
//! - *A `CURRENT` file that names the manifest*: one more file to sync and to lose. Numbers order the manifests already.
//! - *Deleting whatever the manifest does not name*: one wrong manifest would delete the store.
//! - *Appending behind a torn tail*: the bytes behind it could become valid again.
//! - *A trailer or clean-close mark instead of promises*: it does not protect the commits of a process that crashed later.
//!
//! Tests: `tests/format.rs` (2), `tests/crash.rs` (1, 3, 4, 6, 7), `tests/apply.rs` and `tests/invariants.rs` (5), `tests/files.rs`
//! and `tests/classify.rs` (7, 8), `tests/open.rs` (3, 4), `tests/model.rs` (all that is committed is read back).

mod ahead;
mod apply;
mod commit;
mod dissect;
mod edit;
mod fields;
mod files;
mod frame;
pub mod invariants;
mod lock;
mod log;
mod lost;
mod open;
mod replay;
mod scan;
mod settle;
mod snapshot;
mod state;

pub(crate) use ahead::refuse_if_behind;
pub use commit::Manifest;
pub use dissect::{ManifestFrame, ManifestItem, ManifestSurvey, dissect_manifest};
pub use edit::Edit;
pub use fields::{EditField, edit_fields};
pub use files::{FileHandle, Files};
pub use lock::{LOCK_FILE, StoreLock};
pub use lost::{LOST_DIR, LostLimits, LostStats};
pub use open::{OpenMode, Opened, prepare_dir, read_state};
pub use replay::Cut;
pub use scan::{Contents, Missing, classify};
pub use settle::Settled;
pub use state::{Holder, PackedEnd, State, TableInfo, ValueFileInfo};

#[cfg(test)]
mod tests;
