//! Making a pack.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::PackOptions;
use super::crew::{Crew, Pieces};
use super::encode::{Batch, Content, Made, Recipe};
use super::group::{GroupHeader, entity_hash};
use super::layout::{PACKER, PackHeader, Rectangle};
use super::merged::Merged;
use super::output::Output;
use super::plan::{Contents, PackInput, Planner, Run, Source};
use crate::codec::{FileId, crc};
use crate::env::Fs;
use crate::index::annotations::{Erasures, NothingErased};
use crate::limits;
use crate::log::{FaultContext, Member, Unit, UnitKind, affected, member_of};
use crate::manifest::ValueFileInfo;
use crate::{Error, Result};

/// What to make.
#[derive(Clone, Debug)]
pub struct PackRequest {
    /// The store.
    pub store: [u8; 16],
    /// The file.
    pub id: FileId,
    /// Which changes. The inputs have them all.
    pub rectangle: Rectangle,
    /// How often the rectangle was rewritten.
    pub generation: u32,
    /// Annotations up to this sequence number were applied to the inputs, or are applied now.
    pub annotation_watermark: u64,
    /// Checksum of the last frame of the last segment packed: the header of the segment behind it repeats it.
    pub last_checksum: u32,
    /// How.
    pub options: PackOptions,
}

impl PackRequest {
    fn check(&self) -> Result<()> {
        let rectangle = &self.rectangle;
        let names = [&rectangle.entity_first, &rectangle.entity_last];
        let named = names.into_iter().all(|name| name.len() <= limits::ENTITY_LEN_MAX);
        if rectangle.sequence_first == 0 || rectangle.sequence_first > rectangle.sequence_last || !named {
            return Err(Error::invalid(
                "a pack of changes from 1 on, first to last, entities of at most 512 bytes",
            ));
        }
        if !(1..=19).contains(&self.options.level) || !(1..=19).contains(&self.options.directory_level) {
            return Err(Error::invalid("levels of compression are 1 to 19"));
        }
        Ok(())
    }
}

/// Writes a pack to a new file and syncs it; its name is not synced.
///
/// Every content that is newly compressed was decoded again and compared with its digest when this answers; groups that are copied were
/// verified by their checksum. In memory: 70 bytes per content, 16 per group, the names of the entities, and three times a group (64 MiB
/// at most) with the compressor's tables; if others help, 8 MiB more and the tables of each. `cancel` is asked once per group, and while
/// directories are read.
///
/// # Errors
/// `Cancelled`; `Corrupt` if an input is damaged or lacks a change; `Invalid` if there is nothing to pack; `Io`, `OutOfSpace`.
/// After an error the file is not a pack; whoever asked for it removes it. Inputs are best opened without a cache: each block is
/// wanted once.
pub fn pack(
    fs: &dyn Fs,
    path: &Path,
    inputs: &[PackInput],
    request: &PackRequest,
    cancel: &dyn Fn() -> bool,
) -> Result<ValueFileInfo> {
    pack_erasing(fs, path, inputs, &NothingErased, request, &Crew::alone(), cancel)
}

/// The same, and leaves out what is forgotten. A crew may help; the bytes are the same.
///
/// # Errors
/// As for [`pack`], and those of `erasures`.
pub fn pack_erasing(
    fs: &dyn Fs,
    path: &Path,
    inputs: &[PackInput],
    erasures: &dyn Erasures,
    request: &PackRequest,
    crew: &Crew,
    cancel: &dyn Fn() -> bool,
) -> Result<ValueFileInfo> {
    request.check()?;
    let header = PackHeader {
        store: request.store,
        id: request.id,
        rectangle: request.rectangle.clone(),
        generation: request.generation,
        annotation_watermark: request.annotation_watermark,
        libzstd: zstd::zstd_safe::version_number(),
        packer: PACKER,
        level: request.options.level.unsigned_abs() as u16,
    };
    let changes = || Merged::new(inputs, &request.rectangle, erasures, path, cancel);
    let contents = Contents::gather(changes())?;
    // A part by entities may have none.
    if contents.records == 0 && request.rectangle.is_whole() {
        return Err(Error::invalid(format!("no changes for {}", path.display())));
    }
    let mut writer = Writer {
        path,
        shared_path: path.into(),
        inputs,
        options: &request.options,
        salt: header.salt(),
        out: Output::create(fs, path)?,
        contents,
        groups: Vec::new(),
        stored_bytes: 0,
        raw_bytes: 0,
        decoded: None,
        crew,
        pieces: Pieces::new(crew),
    };
    writer.out.put(&header.encode())?;
    let mut planner = Planner::new(inputs, &request.options);
    while let Some(run) = planner.next(&writer.contents)? {
        if cancel() {
            return Err(Error::Cancelled);
        }
        writer.run(run)?;
        writer.write_made(false)?;
    }
    writer.write_made(true)?;
    writer.finish(changes(), request)
}

pub(super) struct Writer<'a> {
    pub(super) path: &'a Path,
    shared_path: Arc<Path>,
    inputs: &'a [PackInput],
    pub(super) options: &'a PackOptions,
    pub(super) salt: u64,
    pub(super) out: Output,
    pub(super) contents: Contents,
    /// Where each group starts.
    pub(super) groups: Vec<u64>,
    pub(super) raw_bytes: u64,
    pub(super) stored_bytes: u64,
    /// The group of an input that was read last.
    decoded: Option<Decoded>,
    pub(super) crew: &'a Crew,
    /// Groups that are being made, in order.
    pieces: Pieces<'a, Result<Vec<Made>>>,
}

/// A group of an input, uncompressed.
struct Decoded {
    /// Input, and the group's number in a pack or place in a segment.
    key: (u32, u64),
    at: u64,
    members: Vec<Member>,
    raw: Bytes,
}

impl Writer<'_> {
    fn run(&mut self, run: Run) -> Result<()> {
        match run {
            Run::Copy { input, group, entries } => self.copy(input, group, entries),
            Run::Encode { entries, mut full, mixed } => {
                let mut batch = Batch::default();
                batch.raw.reserve(self.stated_len(&entries));
                for place in entries {
                    let content = self.read(place)?;
                    if batch.raw.len().saturating_add(content.len()) > self.options.group_raw() {
                        full = true;
                        self.encode(std::mem::take(&mut batch), full, mixed);
                    }
                    let entry = self.contents.entries.get(place as usize).ok_or_else(|| self.lost())?;
                    batch.contents.push(Content {
                        place,
                        address: entry.address,
                        digest: entry.digest,
                        entity_hash: self.entity_hash(Some(place)),
                        len: content.len(),
                    });
                    batch.raw.extend_from_slice(&content);
                }
                self.encode(batch, full, mixed);
                Ok(())
            }
        }
    }

    /// How many bytes contents have, as far as their revisions say so.
    fn stated_len(&self, entries: &[u32]) -> usize {
        let entries = entries.iter().filter_map(|place| self.contents.entries.get(*place as usize));
        let stated = entries.map(|entry| entry.len as usize).filter(|len| *len <= limits::CONTENT_LEN_MAX);
        stated.sum::<usize>().min(self.options.group_raw())
    }

    fn encode(&mut self, batch: Batch, full: bool, mixed: bool) {
        let path = Arc::clone(&self.shared_path);
        let recipe = Recipe { level: self.options.level, full, mixed, path };
        self.pieces.hand_in(batch.raw.len(), move || recipe.make(batch));
    }

    /// Writes groups in the order of the plan: those that are made, or all that were handed in.
    fn write_made(&mut self, all: bool) -> Result<()> {
        while let Some(groups) = self.pieces.next(all)? {
            for group in groups? {
                self.write(&group)?;
            }
        }
        Ok(())
    }

    /// A content from its input. Members of one group are read one after the other: it is decoded once.
    fn read(&mut self, place: u32) -> Result<Bytes> {
        let Some(entry) = self.contents.entries.get(place as usize) else { return Err(self.lost()) };
        let (address, input) = (entry.address, entry.input);
        let source = self.inputs.get(input as usize).ok_or_else(|| self.lost())?;
        // Errors name the input if it can be named.
        let (key, path) = match source {
            PackInput::Segment(file) => match file.group_of(address)? {
                Some(locator) => ((input, locator.offset), self.path),
                None => return file.read_content(address),
            },
            PackInput::Pack(pack) | PackInput::Part(pack, _) => {
                ((input, pack.locate(address)?.group), pack.path())
            }
        };
        if self.decoded.as_ref().is_none_or(|decoded| decoded.key != key) {
            self.decoded = None;
            let (at, members, raw) = match source {
                PackInput::Segment(file) => {
                    let locator = file.group_of(address)?.ok_or_else(|| self.lost())?;
                    let unit = file.read_unit(&locator)?;
                    let raw = unit.decode(unit.header.raw_len as usize);
                    (locator.offset, unit.members, raw)
                }
                PackInput::Pack(pack) | PackInput::Part(pack, _) => {
                    let group = pack.group(key.1, || affected(address))?;
                    let raw = group.header.open(&group.stored, group.header.raw_len as usize);
                    (group.at, group.header.members, raw)
                }
            };
            let raw = raw.in_file(path, at, || affected(address))?;
            self.decoded = Some(Decoded { key, at, members, raw });
        }
        let Some(Decoded { at, members, raw, .. }) = &self.decoded else { return Err(self.lost()) };
        let member = members.iter().position(|member| member.address == address);
        let member = member.ok_or_else(|| self.lost())?;
        member_of(members, raw, member).in_file(path, *at, || affected(address))
    }

    fn copy(&mut self, input: u32, group: Source, entries: Vec<u32>) -> Result<()> {
        let (header, stored) = match (self.inputs.get(input as usize), group) {
            (Some(PackInput::Pack(pack) | PackInput::Part(pack, _)), Source::Pack(group)) => {
                let group = pack.group(group, || "a group that is being copied".into())?;
                (group.header, group.stored)
            }
            (Some(PackInput::Segment(file)), Source::Log(locator)) => {
                probe!("pack: group of the log copied");
                let unit = file.read_unit(&locator)?;
                (self.header_of(&unit, &entries)?, unit.stored)
            }
            _ => return Err(self.lost()),
        };
        if entries.len() != header.members.len() && !planted!("group copied with the forgotten in it") {
            return Err(self.lost());
        }
        self.pieces.made(stored.len(), Ok(vec![Made { header, stored, places: entries }]));
        Ok(())
    }

    /// What a group of the log says of itself in a pack.
    fn header_of(&self, unit: &Unit, entries: &[u32]) -> Result<GroupHeader> {
        let UnitKind::Group { level, .. } = unit.header.kind else { return Err(self.lost()) };
        Ok(GroupHeader {
            codec: unit.header.codec,
            full: unit.members.len() == usize::from(self.options.group_contents),
            mixed: false,
            entity_hash: self.entity_hash(entries.first().copied()),
            stored_len: unit.stored.len() as u32,
            raw_len: unit.header.raw_len,
            stored_crc: crc(&unit.stored),
            level,
            members: unit.members.clone(),
        })
    }

    /// The hash of the name of a content's entity.
    fn entity_hash(&self, place: Option<u32>) -> u64 {
        let entry = place.and_then(|place| self.contents.entries.get(place as usize));
        let name = entry.and_then(|entry| self.contents.entities.get(entry.entity as usize));
        name.map_or(0, entity_hash)
    }

    fn write(&mut self, made: &Made) -> Result<()> {
        let at = self.out.at();
        let group = self.groups.len() as u32;
        let header = &made.header;
        let mut members = header.members.iter().enumerate();
        for place in &made.places {
            let entry = self.contents.entries.get_mut(*place as usize);
            let wanted = entry.as_ref().map(|entry| entry.address);
            let member = match planted!("group copied with the forgotten in it") {
                true => members.find(|(_, member)| Some(member.address) == wanted),
                false => members.next(),
            };
            match (entry, member) {
                (Some(entry), Some((index, member))) if entry.address == member.address => {
                    (entry.group, entry.member, entry.len) = (group, index as u8, member.raw_len);
                }
                _ => return Err(self.lost()),
            }
        }
        self.groups.push(at);
        self.raw_bytes += u64::from(header.raw_len);
        self.stored_bytes += u64::from(header.stored_len);
        self.out.put(&header.encode(at, self.salt))?;
        self.out.put(&made.stored)
    }

    /// The inputs did not say the same thing twice.
    pub(super) fn lost(&self) -> Error {
        let (expected, found) = ("inputs that stay as they are", "other changes or groups than before");
        Error::corrupt(self.path, self.out.at(), expected, found, "nothing: no pack was made")
    }
}
