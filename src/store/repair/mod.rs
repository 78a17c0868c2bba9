//! Copying what can be saved of a damaged store into a new one. Never in place.
//!
//! ```text
//!  segments, packs: frames, directories, contents that prove themselves ─┐
//!  tables: the rows of changes whose frame is lost ──────────────────────┴─► in sequence order ─► new segments ─► new manifest ─► open
//! ```
//! 1. The damaged store is only read. Its lock is taken, so that nobody writes to it meanwhile.
//! 2. Every change that is still said anywhere is saved: by its frame, by the directory of its file, by its row in the index. Numbers, times
//!    and commits stay as they were; sequence numbers close up where changes are lost.
//! 3. A content is saved only if it is what was written: checksums and digest. A revision whose content is lost stays, and says that it is withheld.
//! 4. Where a pack was made with annotations applied, what it replaced is not looked at: forgotten things do not come back.
//! 5. The store keeps its id, which purged names depend on, in a later epoch and another incarnation.
//! 6. What is lost is named, as far as anybody can tell.

mod salvage;
mod writer;

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;

use super::{Progress, Store};
use crate::env::{Env, HashMap, LockMode};
use crate::error::IoContext;
use crate::index::entity_hash;
use crate::limits::Limits;
use crate::log::{Change, LoggedChange, MainContent, Numbers, RecordDraft, UnitDraft};
use crate::manifest::{StoreLock, prepare_dir};
use crate::model::{Address, Annotation, ContentRef, Digest, Fields, Flags, RevisionKind, Row};
use crate::{Error, Result};
use salvage::{Entry, Salvage};
pub(super) use writer::LogWriter;

/// What a repair does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RepairMode {
    /// Reads everything and says what could be saved; writes nothing.
    DryRun,
    /// Writes the new store.
    Apply,
}

/// Something that cannot be saved.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lost {
    /// Changes of which nothing is left: first and last sequence number. `u64::MAX`: the end of the log is lost, and nobody knows how much of it.
    Changes(u64, u64),
    /// A revision that a later one names as its parent, and that is among those changes.
    Revision(Bytes, u64),
    /// The content of a revision: the entity, the number, and the slot. The revision itself is saved.
    Content(Bytes, u64, u16),
    /// Author, comment and the other fields of a revision. The revision itself is saved.
    Fields(Bytes, u64),
}

/// What a repair found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RepairReport {
    /// Changes saved.
    pub changes: u64,
    /// Of those, changes that only the index still had.
    pub from_index: u64,
    /// Contents saved.
    pub contents: u64,
    /// Their bytes, uncompressed.
    pub content_bytes: u64,
    /// Files in which something was damaged.
    pub damaged_files: Vec<String>,
    /// What cannot be saved; at most a hundred thousand are named.
    pub lost: Vec<Lost>,
    /// How many things cannot be saved.
    pub lost_count: u64,
}

const LOST_MAX: usize = 100_000;

impl RepairReport {
    fn lose(&mut self, lost: Lost) {
        self.lost_count = self.lost_count.saturating_add(1);
        if self.lost.len() < LOST_MAX {
            self.lost.push(lost);
        }
    }
}

/// Copies what can be saved of the store in `from` into a new one in `into`.
///
/// # Errors
/// `Locked` if somebody has the damaged store open, `Invalid` if there is nothing to save or `into` is there already, `Cancelled`, `Io`.
pub fn repair(
    env: &Env,
    from: &Path,
    into: &Path,
    mode: RepairMode,
    progress: &mut Progress<'_>,
) -> Result<RepairReport> {
    let fs = env.fs.as_ref();
    if !fs.exists(from).context("look for a store in", from)? {
        return Err(Error::invalid(format!("there is no store in {}", from.display())));
    }
    if fs.exists(into).context("look for", into)? {
        return Err(Error::invalid(format!("{} exists already: name a new directory", into.display())));
    }
    let _lock = match StoreLock::acquire(env, from, LockMode::Exclusive) {
        Ok(lock) => Some(lock),
        // Where no lock file can be made nobody can write.
        Err(Error::Io { .. }) => None,
        Err(error) => return Err(error),
    };
    let mut salvage = Salvage::survey(env, from, progress)?;
    if salvage.is_empty() {
        return Err(Error::invalid("nothing can be saved: there is no change that can be read"));
    }
    let writer = match mode {
        RepairMode::DryRun => None,
        RepairMode::Apply => {
            prepare_dir(fs, into)?;
            let epoch = salvage.epoch.saturating_add(1);
            Some(LogWriter::new(env, into, salvage.store, epoch, &Limits::PRODUCTION))
        }
    };
    let report = RepairReport { damaged_files: salvage.damaged_files(), ..RepairReport::default() };
    let mut copy = Copy { report, writer, moved: BTreeMap::new(), last_numbers: HashMap::default() };
    copy.all(&mut salvage, progress)?;
    let Copy { report, writer, .. } = copy;
    if let Some(writer) = writer {
        writer.finish()?;
        let store = Store::builder(into).env(env.clone()).open()?;
        store.flush()?;
        store.close()?;
    }
    Ok(report)
}

/// What is left of a store's annotations.
pub(super) struct Remains {
    /// The store's id, if any file still says it.
    pub store: Option<[u8; 16]>,
    /// The last change that anything says.
    pub last: u64,
    /// The change after which it was looked.
    pub at: Option<LoggedChange>,
    /// Those behind it.
    pub annotations: Vec<Annotation>,
    /// Changes of which nothing is left: first and last sequence number.
    pub lost: Vec<(u64, u64)>,
}

/// The annotations behind a change, wherever in a damaged store they still stand. Writes nothing.
pub(super) fn annotations_of_remains(
    env: &Env,
    dir: &Path,
    after: u64,
    progress: &mut Progress<'_>,
) -> Result<Remains> {
    let _lock = match StoreLock::acquire(env, dir, LockMode::Exclusive) {
        Ok(lock) => Some(lock),
        // Where no lock file can be made nobody can write.
        Err(Error::Io { .. }) => None,
        Err(error) => return Err(error),
    };
    let mut salvage = Salvage::survey(env, dir, progress)?;
    let (store, last, lost) = (salvage.store, salvage.known(), salvage.lost());
    let (mut at, mut annotations) = (None, Vec::new());
    while let Some(entry) = salvage.next()? {
        match entry.change.change {
            _ if entry.change.sequence == after => at = Some(entry.change),
            Change::Annotation(annotation) if entry.change.sequence > after => annotations.push(annotation),
            _ => {}
        }
    }
    Ok(Remains { store, last, at, annotations, lost })
}

/// Where a content went that later revisions use again.
#[derive(Clone, Copy)]
struct Moved {
    reference: ContentRef,
    digest: Digest,
}

struct Copy<'a> {
    report: RepairReport,
    writer: Option<LogWriter<'a>>,
    moved: BTreeMap<Address, Moved>,
    /// The newest number of each entity, by hash, if changes were lost: a parent above it is one of them.
    last_numbers: HashMap<u64, u64>,
}

/// A change, ready to be written.
struct Ready {
    draft: RecordDraft,
    numbers: Numbers,
    old: u64,
}

impl Copy<'_> {
    fn all(&mut self, salvage: &mut Salvage, progress: &mut Progress<'_>) -> Result<()> {
        for (first, last) in salvage.lost() {
            self.report.lose(Lost::Changes(first, last));
        }
        let something_lost = self.report.lost_count > 0;
        let mut commit: Vec<Ready> = Vec::new();
        let mut commit_time = 0;
        while let Some(entry) = salvage.next()? {
            let sequence = entry.change.sequence;
            if self.report.changes.is_multiple_of(256) {
                progress.step("repair", sequence, salvage.last)?;
            }
            if something_lost {
                self.look_for_parent(&entry.change);
            }
            let goes_on = commit.last().is_none_or(|last| last.old.saturating_add(1) == sequence);
            if !goes_on || entry.change.commit_time != commit_time {
                self.write(std::mem::take(&mut commit), commit_time)?;
            }
            commit_time = entry.change.commit_time;
            let ends = entry.change.commit_rest == 0;
            self.report.changes = self.report.changes.saturating_add(1);
            self.report.from_index = self.report.from_index.saturating_add(u64::from(entry.from_index));
            // Of a change whose entity was purged nothing is left to be saved.
            if let Some(ready) = self.ready(salvage, &entry)? {
                commit.push(ready);
            }
            if ends {
                self.write(std::mem::take(&mut commit), commit_time)?;
            }
        }
        self.write(commit, commit_time)
    }

    fn look_for_parent(&mut self, change: &LoggedChange) {
        let Change::Revision { entity, row, .. } = &change.change else { return };
        let last = self.last_numbers.insert(entity_hash(entity.as_bytes()), row.number).unwrap_or(0);
        if row.parent > last {
            self.report.lose(Lost::Revision(entity.bytes().clone(), row.parent));
        }
    }

    fn ready(&mut self, salvage: &mut Salvage, entry: &Entry) -> Result<Option<Ready>> {
        let old = entry.change.sequence;
        let (entity, row, digests) = match &entry.change.change {
            Change::Annotation(annotation) => {
                let draft = RecordDraft::Annotation(annotation.clone());
                return Ok(Some(Ready { draft, numbers: Numbers::default(), old }));
            }
            Change::Revision { entity, row, digests } => (entity, row, digests),
            Change::Erased { .. } => return Ok(None),
        };
        let mut fields = Fields::decode(&row.cold).ok();
        if fields.is_none() {
            self.report.lose(Lost::Fields(entity.bytes().clone(), row.number));
        }
        let slots = own_slots(row, fields.as_ref(), digests.len());
        let mut units: Vec<UnitDraft> = Vec::new();
        let mut placed: Vec<Option<u16>> = Vec::new();
        for slot in 0..slots {
            let address = Address { sequence: old, slot };
            let own = row.content.filter(|content| content.address == address);
            if digests.get(usize::from(slot)).is_some_and(Digest::is_erased)
                || entry.from_index && own.is_some_and(|own| own.tag == 0)
            {
                // Forgotten and erased: not lost. The annotation that says so is saved.
                placed.push(None);
                continue;
            }
            let readable = |digest: &Digest| *digest != Digest::UNREADABLE;
            let expected = digests.get(usize::from(slot)).filter(|digest| readable(digest));
            let raw = salvage.content(entry, address)?;
            let whole = raw.filter(|raw| {
                let digest = Digest::of(raw);
                let tag = own.map(|content| content.tag);
                let tag = tag.filter(|tag| *tag != 0 && *tag != Digest::UNREADABLE.tag());
                expected.is_none_or(|expected| *expected == digest)
                    && tag.is_none_or(|tag| tag == digest.tag())
            });
            let Some(raw) = whole else {
                // Where nobody says any more that it was erased, the annotation that it was forgotten is enough.
                if !salvage.is_forgotten(entity, row.number) {
                    self.report.lose(Lost::Content(entity.bytes().clone(), row.number, slot));
                }
                placed.push(None);
                continue;
            };
            self.report.contents = self.report.contents.saturating_add(1);
            self.report.content_bytes = self.report.content_bytes.saturating_add(raw.len() as u64);
            placed.push(u16::try_from(units.len()).ok());
            units.push(UnitDraft::new(raw));
        }
        let place = |slot: u16| placed.get(usize::from(slot)).copied().flatten();
        let mut flags = row.flags;
        let content = match row.content {
            _ if row.kind == RevisionKind::Delete => MainContent::None,
            None => MainContent::None,
            Some(content) if content.address.sequence == old => match place(content.address.slot) {
                Some(0) => MainContent::Stored,
                _ => {
                    flags = flags.with(Flags::CONTENT_WITHHELD);
                    MainContent::None
                }
            },
            Some(content) => match self.moved.get(&content.address) {
                Some(moved) => MainContent::Reused(moved.reference, moved.digest),
                None => {
                    // Without a tag it is forgotten, not lost.
                    if content.tag != 0 {
                        let number = row.number;
                        self.report.lose(Lost::Content(entity.bytes().clone(), number, content.address.slot));
                    }
                    flags = flags.with(Flags::CONTENT_WITHHELD);
                    MainContent::None
                }
            },
        };
        let cold = match &mut fields {
            None => Bytes::new(),
            Some(fields) if fields.slots.is_empty() => row.cold.clone(),
            Some(fields) => {
                for (_, reference) in &mut fields.slots {
                    // The contents of a slot that came from an earlier revision; without a tag it is forgotten, not lost.
                    if let Some(it) = reference.filter(|it| it.address.sequence != 0 && it.tag != 0)
                        && !self.moved.contains_key(&it.address)
                    {
                        let (entity, slot) = (entity.bytes().clone(), it.address.slot);
                        self.report.lose(Lost::Content(entity, row.number, slot));
                    }
                    *reference = reference.and_then(|reference| match reference.address.sequence {
                        0 => {
                            let slot = place(reference.address.slot)?;
                            Some(ContentRef { address: Address { sequence: 0, slot }, ..reference })
                        }
                        _ => self.moved.get(&reference.address).map(|moved| moved.reference),
                    });
                }
                Bytes::from(fields.encode())
            }
        };
        self.remember(salvage, old, &placed, &units);
        let numbers = Numbers { number: row.number, parent: row.parent, effective_time: row.effective_time };
        let (entity, kind, authored_time) = (entity.clone(), row.kind, row.authored_time);
        let draft = RecordDraft::Revision { entity, kind, flags, authored_time, content, units, cold };
        Ok(Some(Ready { draft, numbers, old }))
    }

    /// Contents that later revisions use again. Their sequence number is filled in when it is known.
    fn remember(&mut self, salvage: &Salvage, old: u64, placed: &[Option<u16>], units: &[UnitDraft]) {
        for (slot, place) in placed.iter().enumerate() {
            let address = Address { sequence: old, slot: slot as u16 };
            let unit = place.and_then(|place| Some((place, units.get(usize::from(place))?)));
            if let Some((place, unit)) = unit.filter(|_| salvage.is_reused(address)) {
                let new = Address { sequence: 0, slot: place };
                let reference = ContentRef { address: new, len: unit.raw_len, tag: unit.digest.tag() };
                self.moved.insert(address, Moved { reference, digest: unit.digest });
            }
        }
    }

    fn write(&mut self, commit: Vec<Ready>, commit_time: i64) -> Result<()> {
        if commit.is_empty() {
            return Ok(());
        }
        let old: Vec<u64> = commit.iter().map(|ready| ready.old).collect();
        let records = commit.into_iter().map(|ready| (ready.draft, ready.numbers)).collect();
        let first = match &mut self.writer {
            Some(writer) => writer.commit(records, commit_time)?,
            None => old.first().copied().unwrap_or(0),
        };
        for (index, old) in old.into_iter().enumerate() {
            let new = first.saturating_add(index as u64);
            let range = Address { sequence: old, slot: 0 }..=Address { sequence: old, slot: u16::MAX };
            for (_, moved) in self.moved.range_mut(range) {
                moved.reference.address.sequence = new;
            }
        }
        Ok(())
    }
}

/// How many contents a change stored itself.
fn own_slots(row: &Row, fields: Option<&Fields>, digests: usize) -> u16 {
    let main = row.content.filter(|content| content.address.sequence == row.sequence);
    let main = main.map(|content| content.address.slot.saturating_add(1));
    let slots = fields.into_iter().flat_map(|fields| &fields.slots);
    let own =
        slots.filter_map(|(_, reference)| (*reference).filter(|reference| reference.address.sequence == 0));
    let own = own.map(|reference| reference.address.slot.saturating_add(1));
    let known = u16::try_from(digests).unwrap_or(u16::MAX);
    main.into_iter().chain(own).chain([known]).max().unwrap_or(0)
}
