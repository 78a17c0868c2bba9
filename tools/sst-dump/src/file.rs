//! The library's way through files and stores, for verbs that fail in the tool's way.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use recension::Error;
use recension::codec::{FileId, FileKind};
use recension::env::{Access, File, Fs};
pub use recension::inspect::{
    Fact, Item, StoreFiles, Summary, is_finding, kind_name, manifest_bytes, own_files, read_unit, who,
};
use recension::manifest::State;
use recension::pack::Depth;
use recension_cli::exit::{Failure, Outcome};

/// An error of a file that has nothing to do with what it holds.
pub fn io(action: &str, path: &Path, error: std::io::Error) -> Failure {
    Failure::Io(format!("cannot {action} {}", path.display()), error)
}

/// Opens a file for reading.
pub fn open(fs: &dyn Fs, path: &Path) -> Outcome<Arc<dyn File>> {
    fs.open(path, Access::Read).map_err(|error| io("open", path, error))
}

/// Something of the library that hands `T`s to a visitor, with one that fails in the tool's way.
fn adapted<T, R>(
    visit: &mut dyn FnMut(T) -> Outcome,
    run: impl FnOnce(&mut dyn FnMut(T) -> recension::Result<()>) -> recension::Result<R>,
) -> Outcome<R> {
    let mut stopped = None;
    let ran = run(&mut |item| {
        visit(item).map_err(|failure| {
            stopped = Some(failure);
            Error::Cancelled
        })
    });
    match (stopped, ran) {
        (Some(failure), _) => Err(failure),
        (None, ran) => Ok(ran?),
    }
}

/// [`recension::inspect::walk`].
pub fn walk(
    fs: &dyn Fs,
    path: &Path,
    depth: Depth,
    visit: &mut dyn FnMut(Item) -> Outcome,
) -> Outcome<Summary> {
    want_file(fs, path)?;
    adapted(visit, |visit| recension::inspect::walk(fs, path, depth, visit))
}

/// [`recension::inspect::walk_listed`].
pub fn walk_listed(
    fs: &dyn Fs,
    path: &Path,
    depth: Depth,
    visit: &mut dyn FnMut(Item) -> Outcome,
) -> Outcome<Summary> {
    adapted(visit, |visit| recension::inspect::walk_listed(fs, path, depth, visit))
}

/// The files of a store, for verbs that want the directory of one.
pub fn store_in(fs: &dyn Fs, dir: &Path) -> Outcome<StoreFiles> {
    if !is_dir(fs, dir)? {
        return Err(Failure::Usage(format!(
            "{} is a file: the directory of a store is wanted",
            dir.display()
        )));
    }
    let files = StoreFiles::read(fs, dir)?;
    match files.files.is_empty() {
        true => {
            Err(Failure::NotFound("no_store", format!("there are no files of a store in {}", dir.display())))
        }
        false => Ok(files),
    }
}

/// Paths of the segments and packs of a store; not of those that are announced and not whole yet, or replaced and not deleted yet.
pub fn value_files(files: &StoreFiles) -> Vec<PathBuf> {
    let values = files.files.iter().filter(|(id, kind, _)| {
        matches!(kind, FileKind::Segment | FileKind::Pack) && !files.is_aside(*id, *kind)
    });
    values.map(|(id, kind, _)| files.dir.join(id.file_name(*kind))).collect()
}

/// Says so if a path is not a file, for verbs that want one.
pub fn want_file(fs: &dyn Fs, path: &Path) -> Outcome {
    match is_dir(fs, path)? {
        true => Err(Failure::Usage(format!("{} is a directory: a file is wanted", path.display()))),
        false => Ok(()),
    }
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a path is a directory, asked through the seam.
pub fn is_dir(fs: &dyn Fs, path: &Path) -> Outcome<bool> {
    match fs.read_dir(path) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotADirectory) => Ok(false),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            // A simulated disk does not tell a file from nothing here.
            match fs.exists(path) {
                Ok(true) => Ok(false),
                _ => {
                    Err(Failure::NotFound("no_such_file", format!("there is nothing at {}", path.display())))
                }
            }
        }
        Err(error) => match fs.exists(path) {
            Ok(true) if error.kind() == std::io::ErrorKind::Other => Ok(false),
            _ => Err(io("list", path, error)),
        },
    }
}

/// Up to which change a table or pack leaves out what is forgotten, as the manifest says. A table does not say so itself.
pub fn erased_up_to(state: &State, id: FileId, kind: FileKind) -> Option<u64> {
    let table = state.tables.values().find(|table| table.id == id && table.kind() == kind);
    let value = state.value_files.get(&id).filter(|file| file.kind == kind);
    table.map(|table| table.erased_up_to).or(value.map(|file| file.annotation_watermark))
}

/// The same of a file by itself, if the manifest that names it stands beside it.
pub fn with_manifest(fs: &dyn Fs, summary: &mut Summary) {
    let dir = summary.path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (Some((id, kind)), false) = (summary.named, summary.kind == Some(FileKind::Manifest)) else { return };
    let state = StoreFiles::read(fs, dir).ok().and_then(|files| files.state);
    let of_it = |state: &Arc<State>| summary.common.is_none_or(|common| common.store == state.store);
    if let Some(up_to) = state.filter(of_it).and_then(|state| erased_up_to(&state, id, kind)) {
        summary.facts.push(("erased_up_to", Fact::Number(up_to)));
    }
}
