//! Looking at files and whole stores from outside, believing nothing. `sst-dump`, `Store::check` and the crash harness all look through this.
//!
//! ```text
//!  dissect_segment, dissect_pack, dissect_table, dissect_manifest      one for each format, in its module
//!        └──────────────┴───────┬──────┴───────────────┘
//!                             walk ──► items: parts, changes, rows, edits
//!        ┌──────────────┬───────┴──────┬──────────────┐
//!      names          diff          verify         whoever else
//! ```
//! | module | what |
//! |---|---|
//! | `walk`, `item` | one way through a file of any kind |
//! | `files` | the files of a directory, and what the manifest says of them |
//! | `tables` | opening tables and value files without the lock |
//! | `names` | which revisions are behind damaged parts, wherever they are still said |
//! | `diff`, `erased` | the index as the value files say that it must be, against the one on disk; what was forgotten may be gone from one of them |
//! | `verify` | everything that can be checked of a file and of a store |
//!
//! Nothing here takes a lock or writes, and damage is never an error: it is what is looked for.

mod diff;
mod erased;
mod files;
mod item;
mod names;
mod tables;
mod verify;
mod walk;

pub use diff::{Difference, Found, Report, WINDOW, diff};
pub use files::{StoreFiles, own_files};
pub use item::{Fact, Item, Summary, is_finding, kind_name, who};
pub use names::{Names, findings, name};
pub use tables::ReadTables;
pub use verify::{Finding, Totals, Verified, Verifier, verify_file, verify_store};
pub use walk::{is_gone, manifest_bytes, read_unit, walk, walk_file, walk_listed};
