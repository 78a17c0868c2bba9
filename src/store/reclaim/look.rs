//! What a file still holds of what is forgotten. Nothing that the file or the manifest says of itself is believed: every change, row and
//! group that can be read is held against the annotations of today.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use crate::codec::FileKind;
use crate::env::{File, Fs, read_at_most, read_vec_at};
use crate::error::IoContext;
use crate::index::annotations::{Erasures, StoredAnnotation, decode_key, erase_row, is_purged};
use crate::index::table::{TableItem, dissect_table};
use crate::log::{Change, LoggedChange, SegmentItem, ValueFile, VerifyDepth, dissect_segment};
use crate::manifest::{Edit, ManifestItem, dissect_manifest};
use crate::model::{Address, Entity, FieldMask, Row};
use crate::pack::{PackItem, dissect_pack};
use crate::store::forget::erasures::ViewErasures;
use crate::{Error, Result};

/// So many jobs are named for a file.
const JOBS: usize = 16;

/// What is forgotten and still there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// Contents.
    pub contents: u64,
    /// Rows of which author, comment, attributes or a piece of a digest is there.
    pub fields: u64,
    /// Changes, rows and bounds that tell of a purged entity.
    pub names: u64,
    /// Of some of them: the jobs that made it forgotten.
    pub jobs: BTreeSet<u64>,
    /// Of those: the sequence number of the first annotation; 0 for none.
    pub sequence: u64,
    /// Why not everything could be read.
    pub unreadable: Option<String>,
}

impl Held {
    pub fn is_empty(&self) -> bool {
        (self.contents, self.fields, self.names) == (0, 0, 0)
    }
}

/// Looks through one file.
pub(crate) struct Look<'a> {
    erasures: &'a ViewErasures,
    cancel: &'a dyn Fn() -> bool,
    pub held: Held,
    /// The entity that was met last with something to be erased, and what says so.
    known: Option<(Entity, Vec<StoredAnnotation>)>,
    seen: u64,
    /// Contents that a pack's groups hold.
    members: BTreeSet<Address>,
}

impl<'a> Look<'a> {
    pub fn new(erasures: &'a ViewErasures, cancel: &'a dyn Fn() -> bool) -> Self {
        let (held, members) = (Held::default(), BTreeSet::new());
        Self { erasures, cancel, held, known: None, seen: 0, members }
    }

    fn step(&mut self) -> Result<()> {
        self.seen = self.seen.saturating_add(1);
        if self.seen.is_multiple_of(256) && (self.cancel)() {
            return Err(Error::Cancelled);
        }
        Ok(())
    }

    /// The changes of a value file as it gives them, without contents.
    pub fn changes(mut self, file: &Arc<dyn ValueFile>, up_to: u64) -> Result<Held> {
        for change in file.clone().changes(0, up_to) {
            self.change(&change?)?;
        }
        Ok(self.held)
    }

    /// Everything in a file of the store's kinds.
    pub fn file(mut self, fs: &dyn Fs, path: &Path, kind: FileKind) -> Result<Held> {
        let file = fs.open(path, crate::env::Access::Read).context("open", path)?;
        match kind {
            FileKind::Segment if is_blank(&*file, path)? => {}
            FileKind::Segment => self.segment(&file, path)?,
            FileKind::Pack => self.pack(&file, path)?,
            FileKind::RevisionTable | FileKind::PlainTable => self.table(&file, path)?,
            FileKind::Manifest => self.manifest(&*file, path)?,
            kind => self.unreadable(format!("a {kind:?} is none of the files that are looked into")),
        }
        Ok(self.held)
    }

    fn unreadable(&mut self, why: String) {
        self.held.unreadable.get_or_insert(why);
    }

    fn segment(&mut self, file: &Arc<dyn File>, path: &Path) -> Result<()> {
        dissect_segment(file, path, VerifyDepth::Stored, &mut |item| {
            match item {
                SegmentItem::Part(part) if part.state.is_damage() => {
                    self.unreadable(format!("damaged at offset {}", part.offset));
                }
                SegmentItem::Frame(_, records) => {
                    for record in &records {
                        self.change(&record.change)?;
                    }
                }
                SegmentItem::Stray(locator) => {
                    self.unreadable(format!("a content without a change at offset {}", locator.offset));
                }
                // The directory says what the frames say.
                SegmentItem::Directory(_) | SegmentItem::Part(_) => {}
            }
            Ok(())
        })
        .map(drop)
    }

    fn pack(&mut self, file: &Arc<dyn File>, path: &Path) -> Result<()> {
        let survey = dissect_pack(file, path, VerifyDepth::Stored, &mut |item| {
            match item {
                PackItem::Part(part) if part.state.is_damage() => {
                    self.unreadable(format!("damaged at offset {}", part.offset));
                }
                PackItem::Group(_, header) => {
                    self.members.extend(header.members.iter().map(|member| member.address));
                    self.step()?;
                }
                PackItem::Directory(changes) => {
                    for change in &changes {
                        self.change(change)?;
                    }
                }
                _ => {}
            }
            Ok(())
        })?;
        match (&survey.header, &survey.trailer) {
            (Some(header), Some(_)) => {
                for bound in [&header.rectangle.entity_first, &header.rectangle.entity_last] {
                    self.bound(bound)?;
                }
                // What no change of the directory names.
                self.held.contents = self.held.contents.saturating_add(self.members.len() as u64);
            }
            _ => self.unreadable("it is not complete".into()),
        }
        Ok(())
    }

    fn table(&mut self, file: &Arc<dyn File>, path: &Path) -> Result<()> {
        dissect_table(file, path, &mut |item| {
            match item {
                TableItem::Part(part) if part.state.is_damage() => {
                    self.unreadable(format!("damaged at offset {}", part.offset));
                }
                TableItem::Row(entity, row, _) => self.row(&entity, &row, row.sequence)?,
                TableItem::Pair(key, _) => self.key(&key)?,
                _ => {}
            }
            Ok(())
        })
        .map(drop)
    }

    fn manifest(&mut self, file: &dyn File, path: &Path) -> Result<()> {
        let len = file.len().context("read the length of", path)?;
        let bytes = read_vec_at(file, usize::try_from(len).unwrap_or(usize::MAX), 0).context("read", path)?;
        dissect_manifest(path, &bytes, &mut |item| {
            match item {
                ManifestItem::Part(part) if part.state.is_damage() => {
                    self.unreadable(format!("damaged at offset {}", part.offset));
                }
                ManifestItem::Frame(frame) => {
                    for edit in frame.edits {
                        match edit {
                            Edit::AddTable(table) if table.keyspace == 0 => {
                                self.name(&table.first)?;
                                self.name(&table.last)?;
                            }
                            Edit::AddTable(table) => {
                                self.key(&table.first)?;
                                self.key(&table.last)?;
                            }
                            Edit::AddValueFile(file) => {
                                self.bound(&file.entity_first)?;
                                self.bound(&file.entity_last)?;
                            }
                            _ => {}
                        }
                    }
                }
                ManifestItem::Part(_) => {}
            }
            Ok(())
        })
        .map(drop)
    }

    fn change(&mut self, logged: &LoggedChange) -> Result<()> {
        self.step()?;
        let sequence = logged.sequence;
        match &logged.change {
            Change::Erased { .. } => Ok(()),
            Change::Annotation(note) => {
                if is_purged(&note.entity, sequence, self.erasures)? {
                    self.note(&note.entity, None, |held| &mut held.names)?;
                }
                Ok(())
            }
            Change::Revision { entity, row, digests } => {
                let seen = self.erasures.gate(entity)?.visibility(row.number);
                let forgotten = seen.purged || seen.forgotten.contains(FieldMask::CONTENT);
                for (slot, digest) in digests.iter().enumerate() {
                    let address = Address { sequence, slot: slot as u16 };
                    let stored = self.members.remove(&address);
                    let gone =
                        forgotten && (seen.purged || !self.erasures.reused(entity)?.contains(&address));
                    // A digest that was erased while a group still has the content would be a lie.
                    if gone && !digest.is_erased() || digest.is_erased() && stored {
                        self.note(entity, Some(row.number), |held| &mut held.contents)?;
                    }
                }
                // The tag of a content that the change itself stored is made of the digest, not kept.
                let own = row.content.filter(|content| content.address.sequence == sequence);
                let bare = Row { content: row.content.filter(|_| own.is_none()), ..row.clone() };
                self.row(entity, &bare, sequence)
            }
        }
    }

    fn row(&mut self, entity: &Entity, row: &Row, sequence: u64) -> Result<()> {
        self.step()?;
        let seen = self.erasures.gate(entity)?.visibility(row.number);
        if seen.purged {
            return self.note(entity, Some(row.number), |held| &mut held.names);
        }
        if seen.forgotten.is_empty() {
            return Ok(());
        }
        match erase_row(&mut row.clone(), seen.forgotten) {
            Ok(false) => Ok(()),
            Ok(true) => self.note(entity, Some(row.number), |held| &mut held.fields),
            Err(bad) => {
                self.unreadable(format!("the fields of change {sequence}: {bad}"));
                Ok(())
            }
        }
    }

    /// The key of an annotation.
    fn key(&mut self, key: &[u8]) -> Result<()> {
        self.step()?;
        match decode_key(key) {
            Ok(parts) if is_purged(&parts.entity, parts.sequence, self.erasures)? => {
                self.note(&parts.entity, None, |held| &mut held.names)
            }
            Ok(_) => Ok(()),
            Err(bad) => {
                self.unreadable(format!("the key of an annotation: {bad}"));
                Ok(())
            }
        }
    }

    /// A bound of a file: the name of an entity, perhaps with a zero behind it.
    fn bound(&mut self, bound: &[u8]) -> Result<()> {
        if let Some(entity) = self.erasures.purged_bound(bound)? {
            self.note(&entity, None, |held| &mut held.names)?;
        }
        Ok(())
    }

    /// The first or last name of a table: that of an entity with rows in it.
    fn name(&mut self, name: &[u8]) -> Result<()> {
        if let Some(entity) = self.erasures.purged_name(name)? {
            self.note(&entity, None, |held| &mut held.names)?;
        }
        Ok(())
    }

    fn note(
        &mut self,
        entity: &Entity,
        number: Option<u64>,
        what: impl Fn(&mut Held) -> &mut u64,
    ) -> Result<()> {
        let count = what(&mut self.held);
        *count = count.saturating_add(1);
        if self.held.jobs.len() >= JOBS {
            return Ok(());
        }
        let causes = match self.known.take().filter(|(known, _)| known == entity) {
            Some((_, causes)) => causes,
            None => self.erasures.causes(entity)?,
        };
        for cause in &causes {
            let note = &cause.annotation;
            if number.is_none_or(|number| (note.first..=note.last).contains(&number)) {
                self.held.jobs.extend(note.erasure.map(|erasure| erasure.job));
                let first = if self.held.sequence == 0 { u64::MAX } else { self.held.sequence };
                self.held.sequence = first.min(cause.sequence);
            }
        }
        self.known = Some((entity.clone(), causes));
        Ok(())
    }
}

/// Whether a file holds nothing but zeros: space that was reserved.
fn is_blank(file: &dyn File, path: &Path) -> Result<bool> {
    let mut bytes = vec![0; 64 << 10];
    let mut at = 0_u64;
    loop {
        let n = read_at_most(file, &mut bytes, at).context("read", path)?;
        if n == 0 {
            return Ok(true);
        }
        if bytes.iter().take(n).any(|byte| *byte != 0) {
            return Ok(false);
        }
        at = at.saturating_add(n as u64);
    }
}
