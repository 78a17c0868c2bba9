//! What a file says that it is, whatever somebody named it.

use std::path::{Path, PathBuf};

use crate::Result;
use crate::codec::{FILE_HEADER_LEN, FileHeader, FileId, FileKind};
use crate::env::{Access, Fs, read_at_most};
use crate::error::IoContext;

/// A file that is named like ours.
pub(super) struct Named {
    pub id: FileId,
    pub path: PathBuf,
    pub named: FileKind,
    /// What it says that it is, if it says so: somebody may have renamed it.
    pub kind: FileKind,
}

impl Named {
    pub fn of(fs: &dyn Fs, dir: &Path, id: FileId, named: FileKind) -> Result<Self> {
        let path = dir.join(id.file_name(named));
        let mut start = [0; FILE_HEADER_LEN];
        let file = fs.open(&path, Access::Read).context("open", &path)?;
        let n = read_at_most(&*file, &mut start, 0).context("read", &path)?;
        let said = FileHeader::decode(&path, start.get(..n).unwrap_or_default());
        let kind = said.map_or(named, |common| common.kind);
        Ok(Self { id, path, named, kind })
    }
}
