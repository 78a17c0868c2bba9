//! One writer, or any number of readers: who may open a store.
//!
//! Two locks, because each misses something: the file lock keeps other processes out (and on some systems not this one), the
//! registry keeps this process from opening a store twice.
//!
//! A store that was dropped without being closed keeps its lock until its last background job has ended. Whoever opens it in the same process
//! meanwhile waits for that, up to [`LEAVING_WAIT`]: only this process can know that the lock is about to be given up.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::env::{Access, Env, FileLock, Fs, LockMode, read_at_most};
use crate::error::IoContext;
use crate::{Error, Result};

/// The lock file's name.
pub const LOCK_FILE: &str = "LOCK";

/// Stores that are open in this process, by file system and directory. Every [`Fs`] instance is a world of its own (the
/// simulator makes many); two instances of the real one meet at the file lock. The value: how many read it, 0 if it is open for writing.
static OPEN: Mutex<BTreeMap<(usize, PathBuf), u64>> = Mutex::new(BTreeMap::new());

/// Directories whose stores were dropped and whose last jobs are ending, on threads.
static LEAVING: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
/// One of them has ended.
static LEFT: Condvar = Condvar::new();
/// How long an opening waits for them. Jobs look every few hundred rows whether they should end.
const LEAVING_WAIT: Duration = Duration::from_secs(10);

/// The right to use a store. Dropping it gives it up.
pub struct StoreLock {
    key: (usize, PathBuf),
    leaving: AtomicBool,
    /// Keeps the address in `key` from being given to another file system.
    _fs: Arc<dyn Fs>,
    /// `None` only while dropping.
    file: Option<Box<dyn FileLock>>,
}

impl StoreLock {
    /// Takes the lock of the store in `dir`, which must be there, to write (`Exclusive`) or only to read. Waits only for a store that was
    /// dropped in this process and is [`StoreLock::leave`]-ing.
    ///
    /// # Errors
    /// `Locked`, naming the owner as far as can be told; `Io`.
    pub fn acquire(env: &Env, dir: &Path, mode: LockMode) -> Result<Self> {
        let canonical = env.fs.canonical(dir).context("find", dir)?;
        wait_for_leaving(env, &canonical);
        let key = (Arc::as_ptr(&env.fs).cast::<()>() as usize, canonical);
        // Held throughout: two threads that open the same store must not both pass.
        let mut open = OPEN.lock();
        let holders = open.entry(key.clone());
        if let Entry::Occupied(held) = &holders
            && (mode == LockMode::Exclusive || *held.get() == 0)
        {
            return Err(locked(dir, "this process"));
        }
        let path = dir.join(LOCK_FILE);
        let fs = env.fs.as_ref();
        let Some(file) = fs.try_lock(&path, mode).context("lock", &path)? else {
            // Readers leave no name.
            let readers = mode == LockMode::Exclusive
                && fs.try_lock(&path, LockMode::Shared).is_ok_and(|it| it.is_some());
            let owner = if readers { "somebody who reads it".into() } else { owner(fs, &path) };
            return Err(locked(dir, &owner));
        };
        *holders.or_default() += u64::from(mode == LockMode::Shared);
        Ok(Self { key, leaving: AtomicBool::new(false), _fs: env.fs.clone(), file: Some(file) })
    }

    /// Says that the lock is given up as soon as background work that is running has ended.
    pub fn leave(&self) {
        if !self.leaving.swap(true, Ordering::AcqRel) {
            LEAVING.lock().insert(self.key.1.clone());
        }
    }
}

fn wait_for_leaving(env: &Env, canonical: &Path) {
    if cfg!(shuttle) || env.jobs.is_stepped() {
        return;
    }
    let start = env.clock.monotonic_us();
    let mut leaving = LEAVING.lock();
    while leaving.contains(canonical) {
        let waited = Duration::from_micros(env.clock.monotonic_us().saturating_sub(start));
        let Some(left) = LEAVING_WAIT.checked_sub(waited).filter(|left| !left.is_zero()) else { return };
        LEFT.wait_for(&mut leaving, left);
    }
}

impl Drop for StoreLock {
    fn drop(&mut self) {
        let mut open = OPEN.lock();
        self.file = None;
        if let Entry::Occupied(mut held) = open.entry(self.key.clone()) {
            *held.get_mut() = held.get().saturating_sub(1);
            if *held.get() == 0 {
                held.remove();
            }
        }
        drop(open);
        if self.leaving.load(Ordering::Acquire) {
            LEAVING.lock().remove(&self.key.1);
            LEFT.notify_all();
        }
    }
}

impl std::fmt::Debug for StoreLock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreLock").field("dir", &self.key.1).finish_non_exhaustive()
    }
}

fn locked(dir: &Path, owner: &str) -> Error {
    Error::Locked { path: dir.to_path_buf(), owner: owner.to_string() }
}

/// What the lock file says. Only for the message.
fn owner(fs: &dyn Fs, path: &Path) -> String {
    let mut buf = [0; 64];
    let read = fs.open(path, Access::Read).and_then(|file| read_at_most(file.as_ref(), &mut buf, 0));
    let text = buf.get(..read.unwrap_or(0)).and_then(|bytes| std::str::from_utf8(bytes).ok());
    match text.map(str::trim).filter(|text| text.starts_with("process ")) {
        Some(text) if text == format!("process {}", std::process::id()) => "this process".into(),
        Some(text) if !text.chars().any(char::is_control) => text.into(),
        _ => "another process".into(),
    }
}
