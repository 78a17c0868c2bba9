//! The annotations that a store, or what is left of it, has behind a checkpoint.

use std::path::Path;

use super::Newest;
use crate::env::Env;
use crate::error::IoContext;
use crate::log::Change as Logged;
use crate::manifest::Holder;
use crate::model::Annotation;
use crate::store::feed::{Change, ChangeKind};
use crate::store::repair::{Remains, annotations_of_remains};
use crate::store::{Progress, Store, StoreBuilder};
use crate::{Error, ErrorKind, Result};

/// What was found.
pub(super) struct Newer {
    pub annotations: Vec<Annotation>,
    /// The last change of that store.
    pub last: u64,
    /// Its checkpoints.
    pub holders: Vec<Holder>,
}

/// Reads them. A store that can be opened is read like any other; else every file is searched, and no change behind the checkpoint may be
/// missing.
pub(super) fn read(
    env: &Env,
    path: &Path,
    reading: StoreBuilder,
    checkpoint: &Store,
    newest: &Newest,
    progress: &mut Progress<'_>,
) -> Result<Newer> {
    if !env.fs.exists(path).context("look for a store in", path)? {
        return Err(Error::invalid(format!("there is no store in {}", path.display())));
    }
    let id = checkpoint.inner().store;
    match reading.open() {
        Ok(old) => {
            require_same(path, Some(old.inner().store), id)?;
            // All that is there: what was hidden behind the last sync, and then the process died, stays hidden.
            let last = old.published();
            let at = last.min(newest.sequence);
            if let (Some(here), Some(there)) = (change_at(checkpoint, at)?, change_at(&old, at)?) {
                require_beginning(path, at, &Said::of(&here), &Said::of(&there))?;
            }
            let after = newest.sequence.saturating_add(u64::from(planted!("restore skips an annotation")));
            let mut annotations = Vec::new();
            for change in old.inner().values().changes(after) {
                let change = change?;
                if change.sequence > last {
                    break;
                }
                if change.sequence % 1024 == 0 {
                    progress.step("annotations", change.sequence, last)?;
                }
                let Logged::Annotation(annotation) = change.change else { continue };
                let purge = old.inner().purge(annotation.entity.as_bytes())?;
                if purge.is_none_or(|purge| purge.sequence < change.sequence) {
                    annotations.push(annotation);
                }
            }
            Ok(Newer { annotations, last, holders: old.inner().manifest.state().holders.clone() })
        }
        Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Invalid) => {
            tracing::warn!(%error, "the store with the annotations cannot be opened: its files are searched");
            let remains = annotations_of_remains(env, path, newest.sequence, progress)?;
            of_remains(path, checkpoint, newest, remains)
        }
        Err(error) => Err(error),
    }
}

fn of_remains(path: &Path, checkpoint: &Store, newest: &Newest, remains: Remains) -> Result<Newer> {
    require_same(path, remains.store, checkpoint.inner().store)?;
    if let Some((first, last)) = remains.lost.iter().find(|(_, last)| *last > newest.sequence) {
        return Err(Error::corrupt(
            path,
            0,
            format!("all changes behind {}, for annotations among them", newest.sequence),
            format!("none of {first} to {last}"),
            "what was hidden or forgotten since the checkpoint was made",
        ));
    }
    if let (Some(here), Some(there)) = (change_at(checkpoint, newest.sequence)?, &remains.at) {
        let revision = match &there.change {
            Logged::Revision { entity, row, .. } => Some((entity.as_bytes().to_vec(), row.number)),
            _ => None,
        };
        let there = Said { commit_time: there.commit_time, revision };
        require_beginning(path, newest.sequence, &Said::of(&here), &there)?;
    }
    Ok(Newer { annotations: remains.annotations, last: remains.last, holders: Vec::new() })
}

/// The change of a sequence number.
pub(super) fn change_at(store: &Store, sequence: u64) -> Result<Option<Change>> {
    match sequence.checked_sub(1) {
        None => Ok(None),
        Some(before) => store.changes(before)?.next().transpose(),
    }
}

/// What two stores must say alike of a change if one is the beginning of the other.
struct Said {
    commit_time: i64,
    /// Unless it is gone.
    revision: Option<(Vec<u8>, u64)>,
}

impl Said {
    fn of(change: &Change) -> Self {
        let revision = match &change.kind {
            ChangeKind::Revision(revision) => {
                Some((revision.entity().as_bytes().to_vec(), revision.number()))
            }
            _ => None,
        };
        Self { commit_time: change.commit_time.0, revision }
    }
}

fn require_beginning(path: &Path, at: u64, here: &Said, there: &Said) -> Result<()> {
    let differ = matches!((&here.revision, &there.revision), (Some(here), Some(there)) if here != there);
    if here.commit_time == there.commit_time && !differ {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "the checkpoint is not the beginning of the store in {}: they differ in change {at}; name the store that it was made of",
        path.display()
    )))
}

fn require_same(path: &Path, found: Option<[u8; 16]>, expected: [u8; 16]) -> Result<()> {
    if found == Some(expected) {
        return Ok(());
    }
    let hex = |id: [u8; 16]| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let found = found.map_or_else(|| "of no known store".to_string(), hex);
    Err(Error::invalid(format!(
        "{} is not the store that the checkpoint was made of: its id is {found}, that of the checkpoint {}",
        path.display(),
        hex(expected)
    )))
}
