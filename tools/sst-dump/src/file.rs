//! The library's way through files and stores, for verbs that fail in the tool's way.

use std::path::Path;
use std::sync::Arc;

use recension::Error;
use recension::env::{Access, File, Fs};
pub use recension::inspect::{
    Fact, Item, StoreFiles, Summary, is_finding, kind_name, manifest_bytes, own_files, read_unit, who,
};
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
    if !fs.exists(path).map_err(|error| io("look for", path, error))? {
        return Err(Failure::NotFound("no_such_file", format!("there is nothing at {}", path.display())));
    }
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
