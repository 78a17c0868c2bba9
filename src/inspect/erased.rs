//! What was forgotten and purged, gathered from tables and value files: one side may have been written anew without it, and the other not yet.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::files::StoreFiles;
use super::item::{Item, is_finding};
use super::walk::walk_listed;
use crate::Result;
use crate::codec::FileKind;
use crate::env::Fs;
use crate::index::annotations::{Gate, StoredAnnotation, decode, erase_row};
use crate::log::Change;
use crate::manifest::State;
use crate::model::{Entity, PURGED_PREFIX, Row, purged_name};
use crate::pack::Depth;

/// The annotations that erase, by the name that they stand under. Memory grows with their number.
pub(super) struct Erased {
    store: [u8; 16],
    annotations: BTreeMap<Bytes, Vec<StoredAnnotation>>,
    purges: bool,
}

impl Erased {
    /// From the tables of annotations, and from the log behind them; if a table cannot be read, from the whole log.
    ///
    /// # Errors
    /// `Io`.
    pub fn gather(fs: &dyn Fs, files: &StoreFiles, state: &State) -> Result<Self> {
        let mut erased = Self { store: state.store, annotations: BTreeMap::new(), purges: false };
        let mut whole = true;
        for table in state.tables.values().filter(|table| table.keyspace == 1) {
            let path = files.dir.join(table.id.file_name(table.kind()));
            let walked = walk_listed(fs, &path, Depth::Stored, &mut |item| {
                match &item {
                    Item::Part(part) => whole &= !is_finding(&part.state),
                    Item::Pair(key, value) => match decode(key, value) {
                        Ok(stored) => erased.add(stored),
                        Err(_) => whole = false,
                    },
                    _ => {}
                }
                Ok(())
            })?;
            whole &= !walked.vanished;
        }
        let flushed = if whole { state.flushed.get(&1).copied().unwrap_or(0) } else { 0 };
        for (id, kind, _) in &files.files {
            let is_value = matches!(kind, FileKind::Segment | FileKind::Pack);
            let known = state.value_files.get(id);
            if !is_value
                || known.is_some_and(|info| info.sequence_last <= flushed)
                || files.is_aside(*id, *kind)
            {
                continue;
            }
            walk_listed(fs, &files.dir.join(id.file_name(*kind)), Depth::Stored, &mut |item| {
                if let Item::Change(change, _) | Item::Listed(change) = item
                    && let Change::Annotation(annotation) = change.change
                {
                    erased.add(StoredAnnotation { sequence: change.sequence, annotation });
                }
                Ok(())
            })?;
        }
        Ok(erased)
    }

    fn add(&mut self, stored: StoredAnnotation) {
        if !stored.annotation.kind.erases() {
            return;
        }
        let name = stored.annotation.entity.bytes().clone();
        self.purges |= name.starts_with(PURGED_PREFIX);
        self.annotations.entry(name).or_default().push(stored);
    }

    fn gate(&self, entity: &Entity) -> Option<Gate> {
        let under = |name: &[u8]| self.annotations.get(name).map_or(&[][..], Vec::as_slice);
        let own = under(entity.as_bytes());
        let purges = match self.purges && !entity.as_bytes().starts_with(PURGED_PREFIX) {
            true => under(purged_name(&self.store, entity.as_bytes()).as_bytes()),
            false => &[],
        };
        (!own.is_empty() || !purges.is_empty()).then(|| Gate::erasing(own, purges, u64::MAX))
    }

    /// Whether a change went with its entity: it may still be there or not.
    pub fn is_purged(&self, entity: &Entity, sequence: u64) -> bool {
        self.purges && self.gate(entity).is_some_and(|gate| gate.purged_before(sequence))
    }

    /// What a row comes to without what is forgotten of it.
    pub fn fingerprint(&self, entity: &Entity, row: &Row) -> u64 {
        if self.annotations.is_empty() {
            return row.fingerprint(entity);
        }
        let forgotten = self.gate(entity).map(|gate| gate.visibility(row.number).forgotten);
        let Some(forgotten) = forgotten.filter(|forgotten| !forgotten.is_empty()) else {
            return row.fingerprint(entity);
        };
        let mut without = row.clone();
        match erase_row(&mut without, forgotten) {
            Ok(_) => without.fingerprint(entity),
            Err(_) => row.fingerprint(entity),
        }
    }
}
