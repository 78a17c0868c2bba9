//! Files that a whole manifest would know of.

use std::path::Path;

use super::open::own_files;
use super::state::State;
use crate::codec::{FILE_HEADER_LEN, FileHeader, FileId, FileKind};
use crate::env::{Access, DirEntry, Fs, read_at_most};
use crate::error::IoContext;
use crate::{Error, Result};

/// As [`refuse`], for a directory that is looked at from outside.
///
/// # Errors
/// `Corrupt`, `Io`.
pub(crate) fn refuse_if_behind(fs: &dyn Fs, dir: &Path, manifest: FileId, state: &State) -> Result<()> {
    let entries = fs.read_dir(dir).context("list", dir)?;
    refuse(fs, dir, &entries, manifest, state)
}

/// A number is given out, durably, before there is a file of that number. So a file of this store with a number that the manifest has
/// not given out proves that the manifest's newest commits are gone, where nothing in it could tell.
///
/// # Errors
/// `Corrupt`, `Io`.
pub(super) fn refuse(
    fs: &dyn Fs,
    dir: &Path,
    entries: &[DirEntry],
    manifest: FileId,
    state: &State,
) -> Result<()> {
    for (id, kind) in own_files(entries) {
        if kind == FileKind::Manifest || id.number < state.next_file {
            continue;
        }
        let path = dir.join(id.file_name(kind));
        let file = fs.open(&path, Access::Read).context("open", &path)?;
        let mut bytes = [0; FILE_HEADER_LEN];
        let n = read_at_most(file.as_ref(), &mut bytes, 0).context("read", &path)?;
        let header = FileHeader::decode(&path, bytes.get(..n).unwrap_or_default());
        // What is not ours, or was never finished, proves nothing.
        if header.is_ok_and(|header| header.store == state.store && header.id == id) {
            return Err(Error::corrupt(
                &dir.join(manifest.file_name(FileKind::Manifest)),
                0,
                format!("a manifest that has given out the number of {}", id.file_name(kind)),
                format!("numbers below {:08x} only", state.next_file),
                "the newest commits of the manifest: which tables and value files make up the store",
            ));
        }
    }
    Ok(())
}
