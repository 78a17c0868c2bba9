//! The store as seen from outside, without its lock: what `sst-dump verify` looks at, and every file decoded against the model.

use std::path::{Path, PathBuf};

use recension::env::Env;
use recension::inspect::{StoreFiles, verify_store};
use recension::limits::Limits;
use recension::manifest::State;
use recension::pack::Depth;

use crate::audit::{Audit, Met};
use crate::oracle::{Failure, failure};

/// With nothing going on and no faults, a verification from outside finds nothing.
///
/// # Errors
/// What it finds.
pub fn sound(env: &Env, dir: &str, limits: &Limits) -> Result<(), Failure> {
    match verify_store(env, Path::new(dir), Depth::Contents, limits) {
        Ok(verified) => match verified.found.first() {
            None => Ok(()),
            Some(finding) if finding.check == "pointers" => failure(POINTERS, finding.to_string()),
            Some(finding) => {
                failure("check finds nothing", format!("from outside: {}: {finding}", finding.check))
            }
        },
        Err(error) => failure("check finds nothing", format!("from outside: {error}")),
    }
}

const POINTERS: &str = "pointers lead there and back";

/// Every change, row and content in the files of the store is what was submitted; every content that a row names is in a value file. Answers
/// what was met.
///
/// # Errors
/// What is not.
pub fn audited(env: &Env, dir: &str, state: &State, audit: &Audit<'_>) -> Result<Met, Failure> {
    let files = match StoreFiles::read(&*env.fs, Path::new(dir)) {
        Ok(files) => files,
        Err(error) => return failure("files hold what was submitted", error.to_string()),
    };
    let gone = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        state.obsolete.iter().chain(&state.intents).any(|(id, kind)| id.file_name(*kind) == name)
    };
    let mut met = Met::default();
    for path in files.value_files().into_iter().chain(files.tables()).filter(|path| !gone(path)) {
        audit.file(env, &path, &mut met).or_else(|what| failure("files hold what was submitted", what))?;
    }
    match audit.dangling(&met) {
        Some(what) => failure(POINTERS, what),
        None => Ok(met),
    }
}
