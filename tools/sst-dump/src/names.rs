//! Which entities and revisions are behind sequence numbers: found wherever they are still said.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use recension::codec::{Holds, Part};
use recension::env::Fs;
use recension::pack::Depth;
use recension_cli::exit::Outcome;

use crate::file::{self, Item, is_finding};

/// No more names than this are looked for.
const NAMES_MAX: usize = 100_000;

/// Sequence numbers that somebody wants the names of, and those that were found.
#[derive(Debug, Default)]
pub struct Names {
    wanted: Vec<(u64, u64)>,
    found: BTreeMap<u64, (Bytes, Option<u64>)>,
}

impl Names {
    /// Wants the names behind what damaged parts hold.
    pub fn of<'a>(parts: impl IntoIterator<Item = &'a Part>) -> Self {
        let mut names = Self::default();
        for part in parts {
            if let (Some(range), true) = (part.holds.sequences, part.holds.revisions.is_empty()) {
                names.wanted.push(range);
            }
        }
        names
    }

    fn wants(&self, sequence: u64) -> bool {
        self.found.len() < NAMES_MAX
            && self.wanted.iter().any(|(first, last)| (*first..=*last).contains(&sequence))
    }

    /// Looks into files, in whatever of them can be read.
    pub fn look(&mut self, fs: &dyn Fs, files: &[PathBuf]) -> Outcome {
        if self.wanted.is_empty() {
            return Ok(());
        }
        for path in files {
            file::walk_listed(fs, path, Depth::Stored, &mut |item| {
                let found = match &item {
                    Item::Change(change, _) | Item::Listed(change) => {
                        let (entity, rev) = file::who(change);
                        Some((change.sequence, entity, rev))
                    }
                    Item::Row(entity, row) => Some((row.sequence, entity, Some(row.number))),
                    _ => None,
                };
                if let Some((sequence, entity, rev)) = found.filter(|(sequence, ..)| self.wants(*sequence)) {
                    self.found.insert(sequence, (entity.bytes().clone(), rev));
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
            .filter_map(|(_, (entity, rev))| rev.map(|rev| (entity.clone(), rev)))
            .collect();
        holds.revisions.extend(named);
    }
}

/// Goes through a file and keeps what is not sound, with the names of what it holds as far as the file itself tells them.
pub fn findings(fs: &dyn Fs, path: &Path, depth: Depth) -> Outcome<(file::Summary, Vec<Part>)> {
    let mut parts = Vec::new();
    let summary = file::walk_listed(fs, path, depth, &mut |item| {
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
pub fn name(fs: &dyn Fs, parts: &mut [Part], files: &[PathBuf]) -> Outcome {
    let mut names = Names::of(parts.iter());
    names.look(fs, files)?;
    parts.iter_mut().for_each(|part| names.fill(&mut part.holds));
    Ok(())
}
