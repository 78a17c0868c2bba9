//! The files of a store's directory, and what the manifest says of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::codec::{FILE_HEADER_LEN, FileHeader, FileId, FileKind};
use crate::env::{DirEntry, Fs, read_at_most};
use crate::manifest::{ManifestItem, State, classify, dissect_manifest};

use super::item::is_finding;
use super::walk::manifest_bytes;
use crate::Result;
use crate::env::Access;
use crate::error::IoContext;

/// What is in a store's directory.
#[derive(Clone, Debug)]
pub struct StoreFiles {
    /// Where.
    pub dir: PathBuf,
    /// Files that are named like ours, by number: id, kind, length.
    pub files: Vec<(FileId, FileKind, u64)>,
    /// The store that most of the files say they are of; if it is even, the one of which there are more bytes of segments and packs.
    pub store: Option<[u8; 16]>,
    /// The manifest that counts, as far as it can be read.
    pub state: Option<Arc<State>>,
    /// Which file that is.
    pub manifest: Option<FileId>,
    /// Something in it is damaged: what it says of files may be out of date.
    pub manifest_damaged: bool,
    /// Names of files that the manifest names and that are not there.
    pub missing: Vec<String>,
    /// Names of files that are there with another length: name, length by the manifest, length found.
    pub resized: Vec<(String, u64, u64)>,
}

impl StoreFiles {
    /// Looks, believing nothing: a damaged manifest counts as far as it can be read.
    ///
    /// # Errors
    /// `Io`.
    pub fn read(fs: &dyn Fs, dir: &Path) -> Result<Self> {
        // A live store may replace its manifest between the listing and the reading, or a file behind it: then look again. What is missing is
        // told when two looks agree on it.
        let mut attempts = 0_u32;
        let mut before: Option<Self> = None;
        loop {
            attempts = attempts.saturating_add(1);
            let files = own_files(fs, dir)?;
            match Self::with(fs, dir, files) {
                Err(_) if attempts < 5 => {}
                Ok(found) if attempts < 5 && !found.is_complete() => {
                    if before.is_some_and(|before| before.lacks_the_same(&found)) {
                        return Ok(found);
                    }
                    before = Some(found);
                }
                other => return other,
            }
        }
    }

    fn with(fs: &dyn Fs, dir: &Path, files: Vec<(FileId, FileKind, u64)>) -> Result<Self> {
        let mut found = Self {
            dir: dir.to_path_buf(),
            store: most_are_of(fs, dir, &files),
            files,
            state: None,
            manifest: None,
            manifest_damaged: false,
            missing: Vec::new(),
            resized: Vec::new(),
        };
        let manifests = found.files.iter().filter(|(_, kind, _)| *kind == FileKind::Manifest);
        for (id, kind, _) in manifests.rev() {
            let path = dir.join(id.file_name(*kind));
            let bytes = manifest_bytes(&*fs.open(&path, Access::Read).context("open", &path)?, &path)?;
            let mut damaged = false;
            let survey = dissect_manifest(&path, &bytes, &mut |item| {
                if let ManifestItem::Part(part) = item {
                    damaged |= is_finding(&part.state);
                }
                Ok(())
            })?;
            // One of another store, put here by mistake, says nothing of these files.
            let ours =
                survey.common.is_none_or(|common| found.store.is_none_or(|store| store == common.store));
            if survey.has_snapshot && ours {
                let mut state = survey.state;
                if survey.common.is_none() {
                    state.store = found.store.unwrap_or(state.store);
                }
                found.state = Some(Arc::new(state));
                found.manifest = Some(*id);
                found.manifest_damaged = damaged;
                break;
            }
        }
        if let Some(state) = &found.state {
            // Listed behind the manifest: what a newer edit removed is still missed, what it added is only not named yet.
            let entries: Vec<DirEntry> = fs.read_dir(dir).context("list", dir)?;
            for missing in classify(&entries, state).missing {
                match missing.found {
                    None => found.missing.push(missing.name),
                    Some(len) => found.resized.push((missing.name, missing.len, len)),
                }
            }
        }
        Ok(found)
    }

    fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.resized.is_empty()
    }

    fn lacks_the_same(&self, other: &Self) -> bool {
        (&self.missing, &self.resized, &self.state) == (&other.missing, &other.resized, &other.state)
    }

    /// Whether a file is there or must be there.
    pub fn is_needed(&self, name: &str) -> bool {
        let there =
            self.files.iter().any(|(id, kind, _)| id.file_name(*kind) == *name && !self.is_aside(*id, *kind));
        there || self.missing.iter().any(|missing| missing == name)
    }

    /// Whether a file is none of the store's: announced and not installed yet, or removed and not deleted yet.
    pub fn is_aside(&self, id: FileId, kind: FileKind) -> bool {
        let state = self.state.as_ref();
        state.is_some_and(|state| {
            state.intents.get(&id) == Some(&kind) || state.obsolete.get(&id) == Some(&kind)
        })
    }

    /// Whether the store is another one by now: a writer is at work, and what was found may be an effect of that.
    pub fn has_moved_on(&self, fs: &dyn Fs) -> bool {
        Self::read(fs, &self.dir).is_ok_and(|now| now.state != self.state)
    }

    /// What a file is to the store.
    pub fn role(&self, id: FileId, kind: FileKind) -> String {
        let Some(state) = &self.state else { return "?".into() };
        if kind == FileKind::Manifest {
            return if self.manifest == Some(id) { "manifest" } else { "manifest, not the newest whole one" }
                .into();
        }
        if let Some(table) = state.tables.values().find(|table| table.id == id) {
            let what = if table.keyspace == 0 { "index" } else { "annotations" };
            return format!("{what}, level {}", table.level);
        }
        if state.value_files.contains_key(&id) {
            return if kind == FileKind::Pack { "pack".into() } else { "log, sealed".into() };
        }
        if state.intents.contains_key(&id) {
            return "announced, not installed".into();
        }
        if state.obsolete.contains_key(&id) {
            return "removed, to be deleted".into();
        }
        match kind {
            FileKind::Segment => "log, active or spare".into(),
            _ => "unknown to the manifest".into(),
        }
    }

    /// Paths of all files of some kinds, by number.
    pub fn paths(&self, wanted: &[FileKind]) -> Vec<PathBuf> {
        let files = self.files.iter().filter(|(_, kind, _)| wanted.contains(kind));
        files.map(|(id, kind, _)| self.dir.join(id.file_name(*kind))).collect()
    }

    /// Paths of the files that hold changes: all packs and segments.
    pub fn value_files(&self) -> Vec<PathBuf> {
        self.paths(&[FileKind::Segment, FileKind::Pack])
    }

    /// Paths of the tables of the manifest; without one, of all tables.
    pub fn tables(&self) -> Vec<PathBuf> {
        match &self.state {
            Some(state) => {
                state.tables.values().map(|table| self.dir.join(table.id.file_name(table.kind()))).collect()
            }
            None => self.paths(&[FileKind::RevisionTable, FileKind::PlainTable]),
        }
    }
}

/// What most headers say. A file that cannot be read has no voice.
fn most_are_of(fs: &dyn Fs, dir: &Path, files: &[(FileId, FileKind, u64)]) -> Option<[u8; 16]> {
    let mut votes: BTreeMap<[u8; 16], (u64, u64)> = BTreeMap::new();
    for (id, kind, len) in files {
        let path = dir.join(id.file_name(*kind));
        let mut start = [0; FILE_HEADER_LEN];
        let read = fs.open(&path, Access::Read).and_then(|file| read_at_most(&*file, &mut start, 0));
        let header = read.ok().and_then(|n| FileHeader::decode(&path, start.get(..n)?).ok());
        let Some(header) = header else { continue };
        let of = votes.entry(header.store).or_default();
        let values = if matches!(kind, FileKind::Segment | FileKind::Pack) { *len } else { 0 };
        *of = (of.0.saturating_add(1), of.1.saturating_add(values));
    }
    votes.into_iter().max_by_key(|(_, weight)| *weight).map(|(store, _)| store)
}

/// The files of a store's directory that are named like ours, by number; the newest manifest last of its kind.
///
/// # Errors
/// `Io`.
pub fn own_files(fs: &dyn Fs, dir: &Path) -> Result<Vec<(FileId, FileKind, u64)>> {
    let entries = fs.read_dir(dir).context("list", dir)?;
    let own = entries.iter().filter(|entry| !entry.is_dir);
    let mut own: Vec<_> =
        own.filter_map(|entry| FileId::parse(&entry.name).map(|(id, kind)| (id, kind, entry.len))).collect();
    own.sort_by_key(|(id, ..)| (id.number, id.epoch));
    Ok(own)
}
