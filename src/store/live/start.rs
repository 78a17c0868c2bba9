//! Where the log begins behind what is sealed, and what value files there are.

use std::path::Path;

use super::cursor::Link;
use crate::Result;
use crate::codec::{FileId, FileKind};
use crate::env::Env;
use crate::error::IoContext;
use crate::manifest::State;

/// What the first segment behind the sealed ones follows.
pub(super) fn log_start(state: &State) -> Link {
    let segments = state.value_files.values().filter(|info| info.kind == FileKind::Segment);
    let sealed = segments.max_by_key(|info| info.sequence_last).map(|info| Link {
        id: info.id,
        sequence: info.sequence_last,
        checksum: info.last_checksum,
    });
    let packed =
        state.packed_end.map(|end| Link { id: end.id, sequence: end.sequence, checksum: end.checksum });
    let none = Link { id: FileId { epoch: 0, number: 0 }, sequence: 0, checksum: 0 };
    sealed.into_iter().chain(packed).max_by_key(|link| link.sequence).unwrap_or(none)
}

/// The names of segments and packs.
pub(super) fn value_file_names(env: &Env, dir: &Path) -> Result<Vec<String>> {
    let entries = env.fs.read_dir(dir).context("list", dir)?;
    let kinds = [FileKind::Segment, FileKind::Pack];
    let named = |name: &str| FileId::parse(name).is_some_and(|(_, kind)| kinds.contains(&kind));
    let mut names: Vec<String> =
        entries.into_iter().map(|entry| entry.name).filter(|name| named(name)).collect();
    names.sort_unstable();
    Ok(names)
}
