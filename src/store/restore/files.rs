//! The files of a checkpoint in another directory: links where it is on the same file system, else copies.

use std::io::{self, ErrorKind};
use std::path::Path;

use super::RestoreReport;
use crate::env::{Access, Env, read_at_most, write_all_at};
use crate::error::IoContext;
use crate::manifest::State;
use crate::store::Progress;
use crate::{Error, Result};

/// Copied at once.
const CHUNK: usize = 1 << 20;

/// Brings all files that a manifest names, durably.
pub(super) fn bring(
    env: &Env,
    from: &Path,
    to: &Path,
    state: &State,
    report: &mut RestoreReport,
    progress: &mut Progress<'_>,
) -> Result<()> {
    let fs = env.fs.as_ref();
    let values = state.value_files.values().map(|file| (file.id, file.kind, file.len, file.blake3));
    let tables = state.tables.values().map(|table| (table.id, table.kind(), table.len, table.blake3));
    let all: Vec<_> = values.chain(tables).collect();
    let (mut done, of) = (0, all.iter().map(|file| file.2).sum());
    for (id, kind, len, blake3) in all {
        progress.step("restore", done, of)?;
        let name = id.file_name(kind);
        let (source, target) = (from.join(&name), to.join(&name));
        // Once one could not be linked, no other can.
        let linked = match report.copied {
            0 => fs.hard_link(&source, &target),
            _ => Err(ErrorKind::CrossesDevices.into()),
        };
        match linked {
            Ok(()) => report.linked += 1,
            Err(error) if cannot_link(&error) => {
                if report.copied == 0 {
                    require_space(env, to, of - done)?;
                }
                copy(env, &source, &target, (len, blake3))?;
                report.copied += 1;
            }
            Err(error) => return Err(Error::io("link into the restored store", &source, error)),
        }
        done += len;
        report.bytes = done;
    }
    fs.sync_dir(to).context("sync the directory", to)
}

/// Another file system, or one that has no links or no more of them.
fn cannot_link(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::CrossesDevices
            | ErrorKind::Unsupported
            | ErrorKind::TooManyLinks
            | ErrorKind::PermissionDenied
    )
}

fn require_space(env: &Env, to: &Path, bytes: u64) -> Result<()> {
    match env.fs.free_space(to) {
        Ok(free) if free < bytes => {
            Err(Error::OutOfSpace { action: "copy the checkpoint into", path: to.to_path_buf() })
        }
        _ => Ok(()),
    }
}

fn copy(env: &Env, source: &Path, target: &Path, (len, blake3): (u64, [u8; 32])) -> Result<()> {
    let from = env.fs.open(source, Access::Read).context("open", source)?;
    let to = env.fs.open(target, Access::CreateNew).context("create", target)?;
    let (mut at, mut bytes, mut hash) = (0_u64, vec![0; CHUNK], blake3::Hasher::new());
    loop {
        let n = read_at_most(&*from, &mut bytes, at).context("read", source)?;
        let chunk = bytes.get(..n).unwrap_or_default();
        if chunk.is_empty() {
            break;
        }
        hash.update(chunk);
        write_all_at(&*to, chunk, at).context("write", target)?;
        at = at.saturating_add(n as u64);
    }
    // Of some segments no hash was taken.
    let found = *hash.finalize().as_bytes();
    if at != len || blake3 != [0; 32] && found != blake3 {
        let expected = format!("{len} bytes, as they were when the checkpoint was made");
        return Err(Error::corrupt(source, 0, expected, format!("{at} bytes, or others"), "the whole file"));
    }
    to.sync_data().context("sync", target)
}
