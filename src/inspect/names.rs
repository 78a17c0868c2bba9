//! Which entities and revisions are behind sequence numbers: found wherever they are still said.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::codec::{Holds, Part};
use crate::env::Fs;
use crate::log::Change;
use crate::model::Entity;
use crate::model::Row;
use crate::pack::Depth;
use bytes::Bytes;

use super::item::{Item, Summary, is_finding};
use super::walk::walk_listed;
use crate::Result;

/// No more names than this are looked for.
pub(super) const NAMES_MAX: usize = 100_000;

/// Sequence numbers that somebody wants the names of, and those that were found.
#[derive(Debug, Default)]
pub struct Names {
    wanted: Vec<Holds>,
    found: BTreeMap<u64, BTreeSet<(Bytes, Option<u64>)>>,
    count: usize,
}

impl Names {
    /// Wants the names behind what damaged parts hold.
    pub fn of<'a>(parts: impl IntoIterator<Item = &'a Part>) -> Self {
        let unknown = |part: &&Part| part.holds.sequences.is_some() && part.holds.revisions.is_empty();
        let wanted = parts.into_iter().filter(unknown).map(|part| part.holds.clone());
        Self { wanted: wanted.collect(), ..Self::default() }
    }

    /// Keeps whose change that is, if somebody wants to know.
    fn add(&mut self, sequence: u64, entity: &Entity, rev: Option<u64>) {
        let wants = |holds: &Holds| holds.has(sequence) && holds.has_entity(entity.as_bytes());
        if self.count < NAMES_MAX && self.wanted.iter().any(wants) {
            let all = self.found.entry(sequence).or_default();
            self.count = self.count.saturating_add(usize::from(all.insert((entity.bytes().clone(), rev))));
        }
    }

    /// A revision, and the changes whose contents it uses.
    fn revision(&mut self, entity: &Entity, row: &Row) {
        self.add(row.sequence, entity, Some(row.number));
        if let Some(content) = row.content.filter(|content| content.address.sequence != row.sequence) {
            self.add(content.address.sequence, entity, Some(row.number));
        }
    }

    /// Looks into files, in whatever of them can be read.
    ///
    /// # Errors
    /// `Io`.
    pub fn look(&mut self, fs: &dyn Fs, files: &[PathBuf]) -> Result<()> {
        if self.wanted.is_empty() {
            return Ok(());
        }
        for path in files {
            walk_listed(fs, path, Depth::Stored, &mut |item| {
                match &item {
                    Item::Change(change, _) | Item::Listed(change) => match &change.change {
                        Change::Revision { entity, row, .. } => self.revision(entity, row),
                        Change::Annotation(note) => self.add(change.sequence, &note.entity, None),
                        Change::Erased { .. } => {}
                    },
                    Item::Row(entity, row, _) => self.revision(entity, row),
                    _ => {}
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// What a part holds, with the revisions that were found.
    pub fn fill(&self, holds: &mut Holds) {
        let Some((first, last)) = holds.sequences.filter(|_| holds.revisions.is_empty()) else { return };
        let named: BTreeSet<_> = self
            .found
            .range(first..=last)
            .filter(|(sequence, _)| holds.has(**sequence))
            .flat_map(|(_, all)| all)
            .filter(|(entity, _)| holds.has_entity(entity))
            .filter_map(|(entity, rev)| rev.map(|rev| (entity.clone(), rev)))
            .collect();
        holds.revisions.extend(named);
    }
}

/// Goes through a file and keeps what is not sound, with the names of what it holds as far as the file itself tells them.
///
/// # Errors
/// `Io`.
pub fn findings(fs: &dyn Fs, path: &Path, depth: Depth) -> Result<(Summary, Vec<Part>)> {
    let mut parts = Vec::new();
    let summary = walk_listed(fs, path, depth, &mut |item| {
        if let Item::Part(part) = item
            && is_finding(&part.state)
        {
            parts.push(part);
        }
        Ok(())
    })?;
    name(fs, &mut parts, &[path.to_path_buf()])?;
    Ok((summary, parts))
}

/// Names what damaged parts hold, as far as some files tell.
///
/// # Errors
/// `Io`.
pub fn name(fs: &dyn Fs, parts: &mut [Part], files: &[PathBuf]) -> Result<()> {
    let mut names = Names::of(parts.iter());
    names.look(fs, files)?;
    parts.iter_mut().for_each(|part| names.fill(&mut part.holds));
    Ok(())
}
