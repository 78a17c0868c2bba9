//! Which contents go into which group.
//!
//! 1. Contents of one entity are in order from newest to oldest. They are cut into groups **counted from the oldest**: what is full
//!    once stays full and is copied when packs are merged, and only the newest group of an entity is short.
//! 2. A full group of an input, a pack or a segment, is copied, also where the cut would fall elsewhere: between full groups there may then be a short one, at
//!    most one per input and entity. A short group is copied if the cut gives exactly its members.
//! 3. Entities of very few bytes share groups with their neighbours, by entity order: a frame of its own costs more than they are.
//!    These groups are never copied by merges, only re-cut.
//! 4. What is forgotten is left out before anything is planned: a content that no revision has any more keeps its place in the directory and
//!    among the locators and goes into no group; of a purged entity's change a number is left. A group that loses a content is cut anew.
//! 5. The plan depends on addresses, names and the lengths that the changes state, not on time or memory.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use super::PackOptions;
use super::layout::Rectangle;
use super::merged::Merged;
use super::reader::Pack;
use crate::env::HashMap;
use crate::log::{Change, Locator, LoggedChange, Member, UnitKind, ValueFile};
use crate::model::{Address, Digest, Entity, Fields, Row};
use crate::{Error, Result};

/// An entity of at most so many contents
const SMALL_CONTENTS: usize = 8;
/// and so many bytes shares its group with others.
const SMALL_BYTES: u64 = 2 << 10;
/// Most contents of such a group,
const MIXED_CONTENTS: usize = 128;
/// and most bytes.
const MIXED_BYTES: u64 = 32 << 10;

/// So many changes are read between two questions whether to go on.
const ASK_EVERY: u64 = 1024;

/// See [`PackInput::changes`].
pub type InputChanges<'a> = Box<dyn Iterator<Item = Result<LoggedChange>> + 'a>;

/// What is packed.
#[derive(Clone)]
pub enum PackInput {
    /// A sealed segment.
    Segment(Arc<dyn ValueFile>),
    /// A pack: full groups are copied.
    Pack(Arc<Pack>),
    /// What of a pack lies in a rectangle: the rest was taken out by a merge or a rewriting that is not done.
    Part(Arc<Pack>, Rectangle),
}

impl PackInput {
    /// As any value file.
    pub fn file(&self) -> Arc<dyn ValueFile> {
        match self {
            Self::Segment(file) => Arc::clone(file),
            Self::Pack(pack) | Self::Part(pack, _) => Arc::clone(pack) as Arc<dyn ValueFile>,
        }
    }

    /// Its changes with `after < sequence <= up_to`, and `Cancelled` as the last of them if `cancel` says so. It is asked every so many changes,
    /// those counted that lie in other parts: of a large run most do.
    pub fn changes<'a>(&self, after: u64, up_to: u64, cancel: &'a dyn Fn() -> bool) -> InputChanges<'a> {
        let mut seen = 0_u64;
        let changes = self.file().changes(after, up_to).map(move |change| {
            seen += 1;
            match seen.is_multiple_of(ASK_EVERY) && cancel() {
                true => Err(Error::Cancelled),
                false => change,
            }
        });
        let Self::Part(_, rectangle) = self else { return Box::new(changes) };
        let rectangle = rectangle.clone();
        Box::new(changes.filter(move |change| {
            change.as_ref().map_or(true, |change| rectangle.has_entity(change.change.place()))
        }))
    }
}

/// A content to be packed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub address: Address,
    pub digest: Digest,
    /// Which input has it.
    pub input: u32,
    /// Rank of its entity.
    pub entity: u32,
    /// Its length: before it is read, as the revision states it, or `u32::MAX` if the revision does not.
    pub len: u32,
    /// Where it went. Nowhere, if the digest is erased.
    pub group: u32,
    pub member: u8,
}

/// All contents to be packed: about 70 bytes each, and every entity name once.
pub(super) struct Contents {
    /// By address.
    pub entries: Vec<Entry>,
    /// By rank.
    pub entities: Vec<Entity>,
    /// Places in `entries` of the contents that are there, by entity, then newest first, then slot.
    order: Vec<u32>,
    pub records: u64,
}

impl Contents {
    /// Reads the changes of all inputs.
    pub fn gather(mut changes: Merged<'_>) -> Result<Self> {
        let mut known: HashMap<Entity, u32> = HashMap::default();
        let mut entries = Vec::new();
        let mut records = 0_u64;
        while let Some((input, change)) = changes.next()? {
            records += 1;
            let Change::Revision { entity, row, digests } = change.change else { continue };
            if digests.is_empty() {
                continue;
            }
            let fresh = known.len() as u32;
            let entity = *known.entry(entity).or_insert(fresh);
            for (slot, digest) in digests.into_iter().enumerate() {
                let address = Address { sequence: change.sequence, slot: slot as u16 };
                let own = row.content.filter(|content| content.address == address);
                let len = match own {
                    Some(content) => content.len,
                    // It is never read: the revision's own word is all there is.
                    None if digest.is_erased() => slot_len(&row, address.slot),
                    None => u32::MAX,
                };
                entries.push(Entry {
                    address,
                    digest,
                    input: input as u32,
                    entity,
                    len,
                    group: 0,
                    member: 0,
                });
            }
        }
        if entries.len() > u32::MAX as usize {
            return Err(Error::invalid("more than 2^32 contents for one pack"));
        }
        // From order of appearance to rank.
        let mut known: Vec<(Entity, u32)> = known.into_iter().collect();
        known.sort_unstable();
        let mut ranks = vec![0; known.len()];
        for (rank, (_, place)) in known.iter().enumerate() {
            if let Some(slot) = ranks.get_mut(*place as usize) {
                *slot = rank as u32;
            }
        }
        for entry in &mut entries {
            entry.entity = ranks.get(entry.entity as usize).copied().unwrap_or_default();
        }
        let mut order: Vec<u32> = (0..entries.len() as u32).collect();
        order.retain(|place| entries.get(*place as usize).is_some_and(|entry| !entry.digest.is_erased()));
        order.sort_by_key(|place| {
            entries
                .get(*place as usize)
                .map(|entry| (entry.entity, std::cmp::Reverse(entry.address.sequence), entry.address.slot))
        });
        Ok(Self { entries, entities: known.into_iter().map(|(entity, _)| entity).collect(), order, records })
    }

    fn at(&self, order: usize) -> Option<&Entry> {
        self.order.get(order).and_then(|place| self.entries.get(*place as usize))
    }

    fn places(&self, range: Range<usize>) -> Vec<u32> {
        self.order.get(range).unwrap_or_default().to_vec()
    }
}

/// How long a content of a further slot is, as its revision states it.
fn slot_len(row: &Row, slot: u16) -> u32 {
    let fields = Fields::decode(&row.cold).unwrap_or_default();
    let own = fields.slots.iter().filter_map(|(_, content)| *content);
    let mut own = own.filter(|content| content.address == Address { sequence: 0, slot });
    own.next().map_or(0, |content| content.len)
}

/// What becomes one group (or several, if it is too large or does not shrink).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Run {
    /// A group of an input, as it is.
    Copy { input: u32, group: Source, entries: Vec<u32> },
    /// Contents to be compressed together.
    Encode { entries: Vec<u32>, full: bool, mixed: bool },
}

/// Where a group of an input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Its number in a pack.
    Pack(u64),
    /// Its place in a segment.
    Log(Locator),
}

/// A group of an input whose members follow each other here as well.
#[derive(Clone, Copy)]
struct Existing {
    input: u32,
    group: Source,
    full: bool,
}

/// Gives one run after the other, entity by entity.
pub(super) struct Planner<'a> {
    inputs: &'a [PackInput],
    options: &'a PackOptions,
    next: usize,
    small: Vec<u32>,
    small_bytes: u64,
    ready: VecDeque<Run>,
}

impl<'a> Planner<'a> {
    pub fn new(inputs: &'a [PackInput], options: &'a PackOptions) -> Self {
        Self { inputs, options, next: 0, small: Vec::new(), small_bytes: 0, ready: VecDeque::new() }
    }

    pub fn next(&mut self, contents: &Contents) -> Result<Option<Run>> {
        loop {
            if let Some(run) = self.ready.pop_front() {
                return Ok(Some(run));
            }
            let Some(first) = contents.at(self.next) else {
                self.end_small();
                return Ok(self.ready.pop_front());
            };
            let start = self.next;
            while contents.at(self.next).is_some_and(|entry| entry.entity == first.entity) {
                self.next += 1;
            }
            self.entity(contents, start..self.next)?;
        }
    }

    fn entity(&mut self, contents: &Contents, range: Range<usize>) -> Result<()> {
        let entries = || range.clone().filter_map(|at| contents.at(at));
        let bytes: u64 = entries().map(|entry| u64::from(entry.len)).sum();
        if range.len() <= SMALL_CONTENTS && bytes <= SMALL_BYTES {
            if self.small.len() + range.len() > MIXED_CONTENTS || self.small_bytes + bytes > MIXED_BYTES {
                self.end_small();
            }
            self.small.extend(contents.places(range));
            self.small_bytes += bytes;
            return Ok(());
        }
        let mut stretch = range.start;
        let mut groups = BTreeMap::new();
        let mut at = range.start;
        while at < range.end {
            let Some((existing, len)) = self.existing(contents, at..range.end)? else {
                at += 1;
                continue;
            };
            if existing.full {
                self.cut(contents, stretch..at, &groups);
                self.ready.push_back(copy(contents, existing, at..at + len));
                stretch = at + len;
            } else {
                groups.insert((at, at + len), existing);
            }
            at += len;
        }
        self.cut(contents, stretch..range.end, &groups);
        Ok(())
    }

    /// The group of an input that starts here, if all its members follow and it is worth keeping.
    fn existing(&self, contents: &Contents, range: Range<usize>) -> Result<Option<(Existing, usize)>> {
        let Some(entry) = contents.at(range.start) else { return Ok(None) };
        let found = match self.inputs.get(entry.input as usize) {
            Some(PackInput::Pack(pack) | PackInput::Part(pack, _)) => group_of_pack(pack, entry.address)?,
            Some(PackInput::Segment(file)) => self.group_of_log(&**file, entry.address)?,
            None => None,
        };
        let Some(Found { group, full, level, members }) = found else { return Ok(None) };
        if planted!("group copied with the forgotten in it") {
            let kept = |at: &usize| {
                contents.at(*at).is_some_and(|other| {
                    members.iter().any(|member| (member.address, entry.input) == (other.address, other.input))
                })
            };
            let len = range.clone().take_while(kept).count();
            return Ok((len > 0).then_some((Existing { input: entry.input, group, full }, len)));
        }
        let len = members.len();
        let same = members.iter().zip(range.clone()).all(|(member, at)| {
            contents.at(at).is_some_and(|other| (other.address, other.input) == (member.address, entry.input))
        });
        let worse = self.options.improve && u32::from(level) < self.options.level.unsigned_abs();
        if !same || len > range.len() || worse {
            return Ok(None);
        }
        Ok(Some((Existing { input: entry.input, group, full }, len)))
    }

    /// The group of a segment whose newest content this is. A full one is one that would be full here.
    fn group_of_log(&self, file: &dyn ValueFile, address: Address) -> Result<Option<Found>> {
        let Some(locator) = file.group_of(address)?.filter(|locator| locator.member == 1) else {
            return Ok(None);
        };
        let unit = file.read_unit(&locator)?;
        let UnitKind::Group { level, .. } = unit.header.kind else { return Ok(None) };
        let full = unit.members.len() == self.options.group_contents();
        Ok(Some(Found { group: Source::Log(locator), full, level, members: unit.members }))
    }

    /// Cuts contents into groups, counted from the oldest, which is the last.
    fn cut(&mut self, contents: &Contents, range: Range<usize>, groups: &BTreeMap<(usize, usize), Existing>) {
        let size = self.options.group_contents();
        let mut start = range.start;
        while start < range.end {
            let rest = (range.end - start) % size;
            let end = start + if rest == 0 { size } else { rest };
            self.ready.push_back(match groups.get(&(start, end)) {
                Some(existing) => copy(contents, *existing, start..end),
                None => Run::Encode {
                    entries: contents.places(start..end),
                    full: end - start == size,
                    mixed: false,
                },
            });
            start = end;
        }
    }

    fn end_small(&mut self) {
        let entries = std::mem::take(&mut self.small);
        self.small_bytes = 0;
        if !entries.is_empty() {
            self.ready.push_back(Run::Encode { entries, full: false, mixed: true });
        }
    }
}

/// A group of an input that starts with a certain content.
struct Found {
    group: Source,
    full: bool,
    level: u8,
    members: Vec<Member>,
}

fn group_of_pack(pack: &Pack, address: Address) -> Result<Option<Found>> {
    let located = pack.locate(address)?;
    if located.member != 0 {
        return Ok(None);
    }
    let head = pack.group_head(located.group, || crate::log::affected(address))?;
    let (group, full, level) = (Source::Pack(located.group), head.full, head.level);
    Ok((!head.mixed).then_some(Found { group, full, level, members: head.members }))
}

fn copy(contents: &Contents, existing: Existing, range: Range<usize>) -> Run {
    Run::Copy { input: existing.input, group: existing.group, entries: contents.places(range) }
}
