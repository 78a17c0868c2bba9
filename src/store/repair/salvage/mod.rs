//! Reading a damaged store: every change that is still said anywhere, in sequence order, and the contents that prove themselves.

mod contents;
mod named;
mod ranges;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::Result;
use crate::codec::{FileId, FileKind, Part};
use crate::env::{Access, Env, File};
use crate::error::IoContext;
use crate::index::annotations;
use crate::index::table::{TableItem, dissect_table};
use crate::inspect::StoreFiles;
use crate::log::{Change, Locator, LoggedChange, Position, SegmentItem, VerifyDepth, dissect_segment};
use crate::manifest::State;
use crate::model::{Address, Annotation, AnnotationKind, Entity, FieldMask, Fields};
use crate::pack::{PackItem, dissect_pack};
use crate::store::Progress;
use named::Named;
use ranges::Ranges;

/// A change that is to be saved.
pub(super) struct Entry {
    pub change: LoggedChange,
    /// Which of [`Salvage::files`] says so.
    file: usize,
    /// Only the index still had it.
    pub from_index: bool,
}

/// A value file.
struct ValueSource {
    path: PathBuf,
    kind: FileKind,
    file: Arc<dyn File>,
    salt: u64,
    generation: u32,
    /// It was finished, and annotations were applied when it was made: what it replaced does not count any more.
    applied: bool,
    /// The entities that it holds; (empty, empty): all.
    entities: (Bytes, Bytes),
    first: u64,
    last: u64,
    damaged: bool,
    /// Where contents are, while the file is being copied.
    units: BTreeMap<Address, Locator>,
    groups: BTreeMap<Address, (u64, usize)>,
}

/// Contents of a decoded group, each if it is what was put in.
type Members = Vec<(Address, Option<Bytes>)>;
/// A group that is kept: its file and place, and what it holds.
type HeldGroup = ((usize, u64), Members);

/// So many decoded groups are kept.
const GROUPS_KEPT: usize = 16;

pub(super) struct Salvage {
    files: Vec<ValueSource>,
    /// Changes of files that were opened and not given yet.
    pending: BTreeMap<u64, Entry>,
    next_file: usize,
    from_index: BTreeMap<u64, LoggedChange>,
    present: Ranges,
    reused: BTreeSet<Address>,
    /// Revisions whose contents are forgotten, by entity: first and last number.
    forgotten: BTreeMap<Bytes, Vec<(u64, u64)>>,
    pub last: u64,
    /// The last change that anything knows of, present or not.
    known: u64,
    /// The log was durable further than anything shows: changes behind that are lost, nobody knows how many.
    endless: bool,
    /// How far the log was durable, as the segments say; and where the frames of each segment end, with the change that would be next.
    promise: Position,
    ends: BTreeMap<u64, (u64, u64)>,
    /// The store's id, if any file still says it.
    pub store: Option<[u8; 16]>,
    /// The latest writer epoch.
    pub epoch: u64,
    /// Contents found in stretches without a valid frame: file and place.
    strays: BTreeMap<Address, (usize, Locator)>,
    group_cache: VecDeque<HeldGroup>,
    damaged_tables: Vec<String>,
}

impl Salvage {
    /// Looks through everything once.
    pub fn survey(env: &Env, dir: &Path, progress: &mut Progress<'_>) -> Result<Self> {
        let fs = env.fs.as_ref();
        let listing = fs.read_dir(dir).context("list", dir)?;
        let own: Vec<Named> = listing
            .iter()
            .filter(|entry| !entry.is_dir)
            .filter_map(|entry| FileId::parse(&entry.name))
            .map(|(id, named)| Named::of(fs, dir, id, named))
            .collect::<Result<_>>()?;
        let StoreFiles { state, store: mut whose, manifest_damaged, .. } = StoreFiles::read(fs, dir)?;
        let mut salvage = Self {
            files: Vec::new(),
            pending: BTreeMap::new(),
            next_file: 0,
            from_index: BTreeMap::new(),
            present: Ranges::default(),
            reused: BTreeSet::new(),
            forgotten: BTreeMap::new(),
            last: 0,
            known: 0,
            endless: false,
            promise: Position::NONE,
            ends: BTreeMap::new(),
            store: None,
            epoch: own.iter().map(|file| file.id.epoch).max().unwrap_or(0),
            strays: BTreeMap::new(),
            group_cache: VecDeque::new(),
            damaged_tables: Vec::new(),
        };
        for (done, Named { id, path, named, kind }) in own.iter().enumerate() {
            progress.step("survey", done as u64, own.len() as u64)?;
            if kind != named {
                salvage.damaged_tables.push(format!("{} (holds a {kind:?})", id.file_name(*named)));
            }
            // A damaged manifest may not know any more that a file that was announced was installed: then every file says itself whether it is whole.
            let gone = state
                .as_ref()
                .filter(|_| !manifest_damaged)
                .is_some_and(|state| state.obsolete.contains_key(id) || state.intents.contains_key(id));
            if matches!(kind, FileKind::Segment | FileKind::Pack) && !gone {
                let file = fs.open(path, Access::Read).context("open", path)?;
                salvage.survey_file(path.clone(), *kind, file, &mut whose)?;
            }
        }
        salvage.store = whose;
        salvage.files.sort_by_key(|file| (file.first, std::cmp::Reverse(file.generation)));
        salvage.find_present()?;
        let is_table = |file: &&Named| matches!(file.kind, FileKind::RevisionTable | FileKind::PlainTable);
        for Named { path, .. } in own.iter().filter(is_table) {
            let file = fs.open(path, Access::Read).context("open", path)?;
            salvage.survey_table(path, &file, whose)?;
        }
        salvage.known = salvage.known.max(salvage.last);
        if let Some(state) = &state {
            salvage.find_end(state);
        }
        Ok(salvage)
    }

    fn survey_file(
        &mut self,
        path: PathBuf,
        kind: FileKind,
        file: Arc<dyn File>,
        store: &mut Option<[u8; 16]>,
    ) -> Result<()> {
        let mut source = ValueSource {
            path,
            kind,
            file,
            salt: 0,
            generation: 0,
            applied: false,
            entities: (Bytes::new(), Bytes::new()),
            first: u64::MAX,
            last: 0,
            damaged: false,
            units: BTreeMap::new(),
            groups: BTreeMap::new(),
        };
        let (mut first, mut last, mut damaged) = (u64::MAX, 0, false);
        let mut see = |sequence: u64| {
            first = first.min(sequence);
            last = last.max(sequence);
        };
        let look = |part: &Part, damaged: &mut bool| *damaged |= part.state.is_damage();
        let common = match kind {
            FileKind::Pack => {
                let survey = dissect_pack(&source.file, &source.path, VerifyDepth::Stored, &mut |item| {
                    match &item {
                        PackItem::Part(part) => look(part, &mut damaged),
                        PackItem::Directory(changes) => {
                            changes.iter().for_each(|change| see(change.sequence))
                        }
                        _ => {}
                    }
                    Ok(())
                })?;
                source.salt = survey.salt;
                // A pack that was being made when the process ended has no trailer and replaced nothing yet; one that lost it still has groups.
                if let Some(header) = &survey.header {
                    let finished = survey.trailer.is_some();
                    source.generation = if finished { header.generation } else { 0 };
                    source.applied = header.annotation_watermark > 0 && finished;
                    source.entities =
                        (header.rectangle.entity_first.clone(), header.rectangle.entity_last.clone());
                    first = first.min(header.rectangle.sequence_first);
                    last = last.max(header.rectangle.sequence_last);
                }
                survey.common
            }
            _ => {
                let survey = dissect_segment(&source.file, &source.path, VerifyDepth::Stored, &mut |item| {
                    match &item {
                        SegmentItem::Part(part) => look(part, &mut damaged),
                        SegmentItem::Frame(_, records) => {
                            records.iter().for_each(|record| see(record.change.sequence))
                        }
                        SegmentItem::Directory(changes) => {
                            changes.iter().for_each(|change| see(change.sequence))
                        }
                        SegmentItem::Stray(locator) => see(locator.address.sequence),
                    }
                    Ok(())
                })?;
                let named = source.path.file_name().and_then(|name| FileId::parse(name.to_str()?));
                if survey.common.is_none_or(|common| store.is_none_or(|store| store == common.store))
                    && let Some(number) =
                        survey.common.map(|it| it.id.number).or(named.map(|(id, _)| id.number))
                {
                    let end = survey.trailer.map_or(survey.frames_end, |_| u64::MAX);
                    self.ends.insert(number, (end, survey.next_sequence));
                    // A frame without changes says which were before it, too.
                    self.known = self.known.max(survey.next_sequence.saturating_sub(1));
                    self.promise = self.promise.max(survey.promise);
                }
                survey.common
            }
        };
        if let Some(common) = common {
            // A file of another store that was put here by mistake is none of this one's.
            if common.store != *store.get_or_insert(common.store) {
                let name = source.path.file_name().map(|name| name.to_string_lossy().into_owned());
                self.damaged_tables.extend(name.map(|name| format!("{name} (of another store: left out)")));
                return Ok(());
            }
        }
        (source.first, source.last, source.damaged) = (first, last, damaged);
        if source.first <= source.last {
            self.last = self.last.max(source.last);
            self.files.push(source);
        } else if damaged {
            let name = source.path.file_name().map(|name| name.to_string_lossy().into_owned());
            self.damaged_tables.extend(name);
        }
        Ok(())
    }

    /// Where the log ended, as far as anything still says: what is missing behind the last change is lost like what is missing between two.
    fn find_end(&mut self, state: &State) {
        let files = state.value_files.values().map(|file| file.sequence_last);
        let flushed = state.flushed.values().copied();
        let promised = state.promise_sequence;
        self.known = files.chain(flushed).chain([self.last, self.known, promised]).max().unwrap_or(0);
        let told = Position::new(state.promise.0, state.promise.1);
        let promise = self.promise.max(told);
        self.endless = match self.ends.get(&promise.file) {
            // Frames that end the log, or say how far it is durable, have no change in them: nothing is lost with those. Where a change is,
            // others may have followed it of which nobody knew. (Who says it beside the manifest is a later file, which names its first change.)
            Some((end, next)) => promise == told && promise.offset > *end && promised >= *next,
            None => {
                // Packs have later numbers than segments that are still written to.
                let files = state.value_files.values().filter(|file| file.kind == FileKind::Segment);
                let sealed = files.map(|file| file.id).chain(state.packed_end.map(|end| end.id));
                sealed.map(|id| id.number).max().unwrap_or(0) < promise.file
            }
        };
    }

    /// Goes through all changes once, to know which are there and which contents are used again.
    fn find_present(&mut self) -> Result<()> {
        while let Some(entry) = self.next()? {
            self.present.add(entry.change.sequence);
            match &entry.change.change {
                Change::Revision { row, .. } => {
                    self.note_reused(row.sequence, row.content.map(|content| content.address), &row.cold);
                }
                Change::Annotation(annotation) => self.note_forgotten(annotation),
                Change::Erased { .. } => {}
            }
        }
        self.next_file = 0;
        Ok(())
    }

    fn note_forgotten(&mut self, annotation: &Annotation) {
        let first = match annotation.kind {
            AnnotationKind::Forget => annotation.first,
            AnnotationKind::Retain => 1,
            _ => return,
        };
        if annotation.fields.contains(FieldMask::CONTENT) {
            let of = self.forgotten.entry(annotation.entity.bytes().clone()).or_default();
            of.push((first, annotation.last));
        }
    }

    fn note_reused(&mut self, sequence: u64, main: Option<Address>, cold: &Bytes) {
        let slots = Fields::decode(cold).map(|fields| fields.slots).unwrap_or_default();
        let slots =
            slots.into_iter().filter_map(|(_, reference)| reference.map(|reference| reference.address));
        self.reused
            .extend(main.into_iter().chain(slots).filter(|it| it.sequence != sequence && it.sequence != 0));
    }

    /// Rows and annotations of changes that no value file has any more.
    fn survey_table(&mut self, path: &Path, file: &Arc<dyn File>, store: Option<[u8; 16]>) -> Result<()> {
        let mut found: Vec<LoggedChange> = Vec::new();
        let (present, mut damaged) = (&self.present, false);
        let survey = dissect_table(file, path, &mut |item| {
            match item {
                TableItem::Part(part) => damaged |= part.state.is_damage(),
                TableItem::Row(entity, row, _) if !present.has(row.sequence) => {
                    let (sequence, commit_rest, commit_time) =
                        (row.sequence, row.commit_rest, row.commit_time);
                    let change = Change::Revision { entity, row, digests: Vec::new() };
                    found.push(LoggedChange { sequence, commit_rest, commit_time, change });
                }
                TableItem::Pair(key, value) => {
                    if let Ok(stored) = annotations::decode(&key, &value)
                        && !present.has(stored.sequence)
                    {
                        let change = Change::Annotation(stored.annotation);
                        let sequence = stored.sequence;
                        found.push(LoggedChange { sequence, commit_rest: 0, commit_time: 0, change });
                    }
                }
                _ => {}
            }
            Ok(())
        })?;
        if damaged && let Some(name) = path.file_name() {
            self.damaged_tables.push(name.to_string_lossy().into_owned());
        }
        if survey.common.is_some_and(|common| store.is_some_and(|store| store != common.store)) {
            return Ok(());
        }
        for change in found {
            self.last = self.last.max(change.sequence);
            match &change.change {
                Change::Revision { row, .. } => {
                    self.note_reused(row.sequence, row.content.map(|content| content.address), &row.cold);
                }
                Change::Annotation(annotation) => self.note_forgotten(annotation),
                Change::Erased { .. } => {}
            }
            self.from_index.insert(change.sequence, change);
        }
        Ok(())
    }

    /// Names of files in which something is damaged.
    pub fn damaged_files(&self) -> Vec<String> {
        let values = self.files.iter().filter(|file| file.damaged).filter_map(|file| file.path.file_name());
        let mut names: Vec<String> = values.map(|name| name.to_string_lossy().into_owned()).collect();
        names.extend(self.damaged_tables.iter().cloned());
        names
    }

    /// Changes of which nothing is left.
    pub fn lost(&self) -> Vec<(u64, u64)> {
        let mut known = self.present.clone();
        self.from_index.keys().for_each(|sequence| known.add(*sequence));
        let mut lost = known.missing(self.known);
        if self.endless {
            lost.push((self.known.saturating_add(1), u64::MAX));
        }
        lost
    }

    /// The last change that anything knows of, present or not.
    pub fn known(&self) -> u64 {
        self.known
    }

    /// Whether no change is left at all.
    pub fn is_empty(&self) -> bool {
        self.present.is_empty() && self.from_index.is_empty()
    }

    /// Whether the content of a revision is forgotten.
    pub fn is_forgotten(&self, entity: &Entity, number: u64) -> bool {
        let of = self.forgotten.get(entity.as_bytes());
        of.into_iter().flatten().any(|(first, last)| (*first..=*last).contains(&number))
    }

    /// Whether a content is used again by a later revision.
    pub fn is_reused(&self, address: Address) -> bool {
        self.reused.contains(&address)
    }

    /// The next change.
    pub fn next(&mut self) -> Result<Option<Entry>> {
        loop {
            let first = self.pending.first_key_value().map(|(sequence, _)| *sequence);
            let indexed = self.from_index.first_key_value().map(|(sequence, _)| *sequence);
            // Not before what only the index has is done: opening a file lets go of what is before it.
            let wanted = first.into_iter().chain(indexed).min();
            let next = self.files.get(self.next_file);
            if next.is_some_and(|file| wanted.is_none_or(|wanted| file.first <= wanted)) {
                self.load(self.next_file)?;
                self.next_file = self.next_file.saturating_add(1);
                continue;
            }
            if let Some(sequence) = indexed.filter(|indexed| first.is_none_or(|first| *indexed < first)) {
                let Some(mut change) = self.from_index.remove(&sequence) else { continue };
                // An annotation's row does not say when it was made: between its neighbours.
                if change.commit_time == 0 {
                    change.commit_time =
                        self.pending.values().next().map_or(0, |entry| entry.change.commit_time);
                }
                return Ok(Some(Entry { change, file: usize::MAX, from_index: true }));
            }
            let Some((_, entry)) = self.pending.pop_first() else { return Ok(None) };
            return Ok(Some(entry));
        }
    }

    /// Takes the changes of a file. Where two files have one, the higher generation counts.
    fn load(&mut self, index: usize) -> Result<()> {
        let Some(source) = self.files.get_mut(index) else { return Ok(()) };
        let mut changes: Vec<LoggedChange> = Vec::new();
        let mut strays: Vec<Locator> = Vec::new();
        let (mut units, mut groups) = (BTreeMap::new(), BTreeMap::new());
        match source.kind {
            FileKind::Pack => {
                dissect_pack(&source.file, &source.path, VerifyDepth::Stored, &mut |item| {
                    match item {
                        PackItem::Group(at, header) => {
                            let members = header.members.iter().enumerate();
                            groups.extend(members.map(|(index, member)| (member.address, (at, index))));
                        }
                        PackItem::Directory(all) => changes.extend(all),
                        _ => {}
                    }
                    Ok(())
                })?;
            }
            _ => {
                dissect_segment(&source.file, &source.path, VerifyDepth::Stored, &mut |item| {
                    match item {
                        SegmentItem::Frame(_, records) => {
                            for record in records {
                                let contents = record.contents.iter();
                                units.extend(
                                    contents.map(|content| (content.locator.address, content.locator)),
                                );
                                changes.push(record.change);
                            }
                        }
                        // What a sound frame said already.
                        SegmentItem::Directory(all) => changes.extend(all),
                        SegmentItem::Stray(locator) => strays.push(locator),
                        SegmentItem::Part(_) => {}
                    }
                    Ok(())
                })?;
            }
        }
        source.units = units;
        source.groups = groups;
        let (generation, from) = (source.generation, source.first);
        // What ends before this one begins is copied.
        for done in self.files.iter_mut().filter(|file| file.last < from) {
            done.units.clear();
            done.groups.clear();
        }
        for locator in strays {
            self.strays.entry(locator.address).or_insert((index, locator));
        }
        for change in changes {
            let held = self.pending.get(&change.sequence).and_then(|entry| self.files.get(entry.file));
            let newer = held.is_none_or(|held| held.generation < generation);
            if newer && !self.is_superseded(index, &change) {
                let entry = Entry { file: index, from_index: false, change };
                self.pending.insert(entry.change.sequence, entry);
            }
        }
        Ok(())
    }

    /// Whether a pack with annotations applied holds the change: what it replaced does not count any more.
    fn is_superseded(&self, index: usize, change: &LoggedChange) -> bool {
        let own = self.files.get(index).map_or(0, |file| file.generation);
        self.files.iter().any(|file| {
            file.applied
                && file.generation > own
                && (file.first..=file.last).contains(&change.sequence)
                && inside(&file.entities, change.change.place())
        })
    }
}

fn inside(entities: &(Bytes, Bytes), name: &[u8]) -> bool {
    name >= &entities.0[..] && (entities.1.is_empty() || name <= &entities.1[..])
}
