//! Which files make up the store now.
//!
//! (docs below)

mod apply;
mod commit;
mod edit;
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

pub use commit::Manifest;
pub use edit::Edit;
pub use files::{FileHandle, Files};
pub use lock::{LOCK_FILE, StoreLock};
pub use lost::{LOST_DIR, LostLimits, LostStats};
pub use open::{OpenMode, Opened, prepare_dir, read_state};
pub use replay::Cut;
pub use scan::{Contents, Missing, classify};
pub use settle::Settled;
pub use state::{Holder, State, TableInfo, ValueFileInfo};

#[cfg(test)]
mod tests;
