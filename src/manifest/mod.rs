//! Which files make up the store now.

mod state;

pub use state::{Holder, State, TableInfo, ValueFileInfo};
