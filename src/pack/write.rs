//! Making a pack.

use std::path::Path;

use bytes::Bytes;

use super::PackOptions;
use super::bits::{ROWS, put_rows};
use super::group::{GroupHeader, entity_hash};
use super::layout::{
    DIGESTS, DIGESTS_ERASED, DIGESTS_PLAIN, DirectoryPlace, Index, LocatorPlace, PACKER, PackHeader,
    PackTrailer, Rectangle,
};
use super::output::Output;
use super::plan::{Contents, Merged, PackInput, Planner, Run, Source};
use crate::codec::{Codec, FileId, FileKind, GROUP_RAW_MAX, compress_group, crc, put_varint};
use crate::env::Fs;
use crate::index::annotations::{Erasures, NothingErased};
use crate::limits;
use crate::log::{
    Change, FaultContext, Lengths, LoggedChange, Member, Unit, UnitKind, affected, member_of, put_block,
    seal_block,
};
use crate::manifest::ValueFileInfo;
use crate::model::Digest;
use crate::{Error, Result};

/// A directory block ends at so many bytes of names and fields, however few records it has.
const DIRECTORY_BYTES: usize = 4 << 20;
/// Contents of a group that does not shrink get a group each if they have at least so many bytes on average: then none of them has to
/// be read past to reach another one.
const APART_FROM: usize = 4 << 10;
/// A run of so many contents that did not shrink will not shrink with the next ones either.
const HOPELESS: usize = 8;

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
/// at most) with the compressor's tables. `cancel` is asked once per group.
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
    pack_erasing(fs, path, inputs, &NothingErased, request, cancel)
}

/// The same, and leaves out what is forgotten.
///
/// # Errors
/// As for [`pack`], and those of `erasures`.
pub fn pack_erasing(
    fs: &dyn Fs,
    path: &Path,
    inputs: &[PackInput],
    erasures: &dyn Erasures,
    request: &PackRequest,
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
    let changes = || Merged::new(inputs, &request.rectangle, erasures, path);
    let contents = Contents::gather(changes())?;
    // A part by entities may have none.
    if contents.records == 0 && request.rectangle.is_whole() {
        return Err(Error::invalid(format!("no changes for {}", path.display())));
    }
    let mut writer = Writer {
        path,
        inputs,
        options: &request.options,
        salt: header.salt(),
        out: Output::create(fs, path)?,
        contents,
        groups: Vec::new(),
        stored_bytes: 0,
        raw_bytes: 0,
        decoded: None,
    };
    writer.out.put(&header.encode())?;
    let mut planner = Planner::new(inputs, &request.options);
    while let Some(run) = planner.next(&writer.contents)? {
        if cancel() {
            return Err(Error::Cancelled);
        }
        writer.run(run)?;
    }
    writer.finish(changes(), request)
}

struct Writer<'a> {
    path: &'a Path,
    inputs: &'a [PackInput],
    options: &'a PackOptions,
    salt: u64,
    out: Output,
    contents: Contents,
    /// Where each group starts.
    groups: Vec<u64>,
    raw_bytes: u64,
    stored_bytes: u64,
    /// The group of an input that was read last.
    decoded: Option<Decoded>,
}

/// A group of an input, uncompressed.
struct Decoded {
    /// Input, and the group's number in a pack or place in a segment.
    key: (u32, u64),
    at: u64,
    members: Vec<Member>,
    raw: Bytes,
}

/// Contents side by side.
#[derive(Default)]
struct Batch {
    raw: Vec<u8>,
    /// Place among the entries, and length.
    members: Vec<(u32, usize)>,
}

impl Writer<'_> {
    fn run(&mut self, run: Run) -> Result<()> {
        match run {
            Run::Copy { input, group, entries } => self.copy(input, group, &entries),
            Run::Encode { entries, mut full, mixed } => {
                let mut batch = Batch::default();
                for place in entries {
                    let content = self.read(place)?;
                    if batch.raw.len().saturating_add(content.len()) > GROUP_RAW_MAX {
                        full = true;
                        self.encode(std::mem::take(&mut batch), full, mixed)?;
                    }
                    batch.raw.extend_from_slice(&content);
                    batch.members.push((place, content.len()));
                }
                self.encode(batch, full, mixed)
            }
        }
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

    fn copy(&mut self, input: u32, group: Source, entries: &[u32]) -> Result<()> {
        let (header, stored) = match (self.inputs.get(input as usize), group) {
            (Some(PackInput::Pack(pack) | PackInput::Part(pack, _)), Source::Pack(group)) => {
                let group = pack.group(group, || "a group that is being copied".into())?;
                (group.header, group.stored)
            }
            (Some(PackInput::Segment(file)), Source::Log(locator)) => {
                probe!("pack: group of the log copied");
                let unit = file.read_unit(&locator)?;
                (self.header_of(&unit, entries)?, unit.stored)
            }
            _ => return Err(self.lost()),
        };
        let pairs: Vec<_> = entries.iter().copied().zip(header.members.iter().copied()).collect();
        if pairs.len() != header.members.len() {
            return Err(self.lost());
        }
        self.write(&header, &stored, &pairs)
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

    /// Compresses, audits and writes a batch.
    fn encode(&mut self, batch: Batch, full: bool, mixed: bool) -> Result<()> {
        if batch.members.is_empty() {
            return Ok(());
        }
        let mut batch = batch;
        if planted!("pack not audited")
            && let Some(byte) = batch.raw.last_mut()
        {
            *byte ^= 1;
        }
        let packed = compress_group(&batch.raw, self.options.level)
            .map_err(|source| Error::io("compress a group for", self.path, source))?;
        let pays = packed.len() <= batch.raw.len() - batch.raw.len() / 8;
        let count = batch.members.len();
        if !pays && count > 1 && batch.raw.len() / count >= APART_FROM {
            drop(packed);
            let mut start = 0;
            for member in batch.members {
                let raw = batch.raw.get(start..start + member.1).unwrap_or_default().to_vec();
                start += member.1;
                self.encode(Batch { raw, members: vec![member] }, full || count >= HOPELESS, false)?;
            }
            return Ok(());
        }
        let (codec, stored) = if pays && !batch.raw.is_empty() {
            (Codec::Zstd, Bytes::from(packed))
        } else {
            (Codec::Raw, Bytes::copy_from_slice(&batch.raw))
        };
        let mut pairs = Vec::with_capacity(count);
        let mut start = 0;
        for (place, len) in &batch.members {
            let raw = batch.raw.get(start..start + len).unwrap_or_default();
            start += len;
            let Some(entry) = self.contents.entries.get(*place as usize) else { return Err(self.lost()) };
            let member = Member { address: entry.address, raw_len: *len as u32, raw_crc: crc(raw) };
            pairs.push((*place, member));
        }
        let hash = self.entity_hash(batch.members.first().map(|(place, _)| *place));
        let header = GroupHeader {
            codec,
            full,
            mixed,
            entity_hash: if mixed { 0 } else { hash },
            stored_len: stored.len() as u32,
            raw_len: batch.raw.len() as u32,
            stored_crc: crc(&stored),
            level: self.options.level.unsigned_abs() as u8,
            members: pairs.iter().map(|(_, member)| *member).collect(),
        };
        drop(batch);
        if !planted!("pack not audited") {
            self.audit(&header, &stored, &pairs)?;
        }
        self.write(&header, &stored, &pairs)
    }

    /// Decodes what was just made and compares every content with its digest.
    fn audit(&self, header: &GroupHeader, stored: &Bytes, pairs: &[(u32, Member)]) -> Result<()> {
        let at = self.out.at();
        let raw = header.open(stored, header.raw_len as usize);
        let raw = raw.in_file(self.path, at, || "a group that is being made".into())?;
        for (index, (place, member)) in pairs.iter().enumerate() {
            let content = header.member(&raw, index).in_file(self.path, at, || affected(member.address))?;
            let found = Digest::of(&content);
            let expected = self.contents.entries.get(*place as usize).map(|entry| entry.digest);
            if expected != Some(found) {
                let expected = expected.map_or_else(String::new, |digest| digest.to_string());
                return Err(Error::corrupt(
                    self.path,
                    at,
                    format!("content digest {expected}"),
                    found.to_string(),
                    affected(member.address),
                ));
            }
        }
        Ok(())
    }

    fn write(&mut self, header: &GroupHeader, stored: &Bytes, pairs: &[(u32, Member)]) -> Result<()> {
        let at = self.out.at();
        let group = self.groups.len() as u32;
        for (index, (place, member)) in pairs.iter().enumerate() {
            match self.contents.entries.get_mut(*place as usize) {
                Some(entry) if entry.address == member.address => {
                    (entry.group, entry.member, entry.len) = (group, index as u8, member.raw_len);
                }
                _ => return Err(self.lost()),
            }
        }
        self.groups.push(at);
        self.raw_bytes += u64::from(header.raw_len);
        self.stored_bytes += u64::from(header.stored_len);
        self.out.put(&header.encode(at, self.salt))?;
        self.out.put(stored)
    }

    fn finish(mut self, changes: Merged<'_>, request: &PackRequest) -> Result<ValueFileInfo> {
        let directory_at = self.out.at();
        self.out.start_tail();
        let mut index = Index { directory: self.directory(changes)?, ..Index::default() };
        let digests_at = self.out.at();
        let mut entries = std::mem::take(&mut self.contents.entries);
        // The group behind the last one: none.
        let gone = self.groups.len() as u32;
        entries.iter_mut().filter(|entry| entry.digest.is_erased()).for_each(|entry| entry.group = gone);
        for block in entries.chunks(DIGESTS) {
            let erased = block.iter().any(|entry| entry.digest.is_erased());
            let mut out = vec![if erased { DIGESTS_ERASED } else { DIGESTS_PLAIN }];
            block.iter().for_each(|entry| out.extend_from_slice(&entry.digest.0));
            self.put_block(out)?;
        }
        let locators_at = self.out.at();
        for block in entries.chunks(ROWS) {
            let rows: Vec<[u64; 4]> = block
                .iter()
                .map(|entry| {
                    let address = entry.address;
                    [
                        address.sequence,
                        u64::from(address.slot),
                        u64::from(entry.group),
                        u64::from(entry.member),
                    ]
                })
                .collect();
            let mut out = Vec::new();
            put_rows(&rows, &mut out);
            let offset = self.out.at();
            let len = self.put_block(out)?;
            let first = block.first().map(|entry| entry.address).ok_or_else(|| self.lost())?;
            index.locators.push(LocatorPlace { offset, len, first });
        }
        let places_at = self.out.at();
        let groups = std::mem::take(&mut self.groups);
        let ends = groups.iter().copied().skip(1).chain([directory_at]);
        let places: Vec<[u64; 1]> = groups.first().into_iter().copied().chain(ends).map(|at| [at]).collect();
        for first in (0..groups.len()).step_by(ROWS) {
            let mut out = Vec::new();
            put_rows(places.get(first..(first + ROWS + 1).min(places.len())).unwrap_or_default(), &mut out);
            let offset = self.out.at();
            let len = self.put_block(out)?;
            index.places.push((offset, len));
        }
        let index_at = self.out.at();
        let mut out = Vec::new();
        index.encode(&request.rectangle, &mut out);
        self.put_block(out)?;
        let rectangle = &request.rectangle;
        let trailer = PackTrailer {
            salt: self.salt,
            sequence_first: rectangle.sequence_first,
            sequence_last: rectangle.sequence_last,
            annotation_watermark: request.annotation_watermark,
            records: self.contents.records,
            contents: entries.len() as u64,
            groups: groups.len() as u64,
            raw_bytes: self.raw_bytes,
            stored_bytes: self.stored_bytes,
            directory_at,
            digests_at,
            locators_at,
            places_at,
            index_at,
            generation: request.generation,
            libzstd: zstd::zstd_safe::version_number(),
            last_checksum: request.last_checksum,
            level: self.options.level.unsigned_abs(),
            tail_checksum: self.out.tail_checksum(),
        };
        let at = self.out.at();
        self.out.put(&trailer.encode(at))?;
        let (len, blake3) = self.out.finish()?;
        Ok(ValueFileInfo {
            id: request.id,
            kind: FileKind::Pack,
            len,
            blake3,
            sequence_first: rectangle.sequence_first,
            sequence_last: rectangle.sequence_last,
            entity_first: rectangle.entity_first.clone(),
            entity_last: rectangle.entity_last.clone(),
            generation: request.generation,
            annotation_watermark: request.annotation_watermark,
            records: trailer.records,
            raw_bytes: trailer.raw_bytes,
            stored_bytes: trailer.stored_bytes,
            live_bytes: trailer.stored_bytes,
            last_checksum: request.last_checksum,
        })
    }

    /// Reads the changes once more and writes the directory.
    fn directory(&mut self, mut changes: Merged<'_>) -> Result<Vec<DirectoryPlace>> {
        let mut places = Vec::new();
        let mut pending: Vec<(LoggedChange, Lengths)> = Vec::new();
        let (mut bytes, mut contents, mut contents_before, mut records) = (0, 0_usize, 0, 0);
        while let Some((_, change)) = changes.next()? {
            records += 1;
            let mut lengths = Lengths::new();
            match &change.change {
                Change::Revision { entity, row, digests } => {
                    bytes += entity.as_bytes().len() + row.cold.len();
                    for digest in digests {
                        match self.contents.entries.get(contents) {
                            Some(entry)
                                if entry.digest == *digest && entry.address.sequence == change.sequence =>
                            {
                                lengths.push(entry.len);
                            }
                            _ => return Err(self.lost()),
                        }
                        contents += 1;
                    }
                }
                Change::Annotation(note) => bytes += note.actor.len() + note.reason.len(),
                Change::Erased { .. } => {}
            }
            pending.push((change, lengths));
            if pending.len() >= self.options.directory_records() || bytes >= DIRECTORY_BYTES {
                places.extend(self.directory_block(&mut pending, contents_before)?);
                (bytes, contents_before) = (0, contents as u64);
            }
        }
        places.extend(self.directory_block(&mut pending, contents_before)?);
        if contents != self.contents.entries.len() || records != self.contents.records {
            return Err(self.lost());
        }
        Ok(places)
    }

    fn directory_block(
        &mut self,
        pending: &mut Vec<(LoggedChange, Lengths)>,
        contents_before: u64,
    ) -> Result<Option<DirectoryPlace>> {
        let Some(first_sequence) = pending.first().map(|(change, _)| change.sequence) else {
            return Ok(None);
        };
        let offset = self.out.at();
        let gaps = gaps(pending);
        let gaps_len = if gaps.is_empty() { 0 } else { self.put_block(gaps)? };
        let mut block = Vec::new();
        put_block(pending, self.out.at(), self.salt, self.options.directory_level, &mut block);
        self.out.put(&block)?;
        let (len, records) = (block.len() as u32, pending.len() as u32);
        pending.clear();
        Ok(Some(DirectoryPlace { offset, gaps_len, len, first_sequence, records, contents_before }))
    }

    /// Ends a block of the tail and writes it; answers its length.
    fn put_block(&mut self, mut block: Vec<u8>) -> Result<u32> {
        seal_block(&mut block, 0, self.out.at(), self.salt);
        self.out.put(&block)?;
        Ok(block.len() as u32)
    }

    /// The inputs did not say the same thing twice.
    fn lost(&self) -> Error {
        let (expected, found) = ("inputs that stay as they are", "other changes or groups than before");
        Error::corrupt(self.path, self.out.at(), expected, found, "nothing: no pack was made")
    }
}

/// Runs of consecutive sequence numbers and the distances between them; nothing if there is but one run.
fn gaps(records: &[(LoggedChange, Lengths)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut run = 0;
    let mut runs = 0;
    let mut next = records.first().map_or(0, |(change, _)| change.sequence);
    for (change, _) in records {
        if change.sequence != next {
            put_varint(&mut out, run);
            put_varint(&mut out, change.sequence - next);
            (run, runs) = (0, runs + 1);
        }
        run += 1;
        next = change.sequence + 1;
    }
    put_varint(&mut out, run);
    put_varint(&mut out, 0);
    if runs == 0 { Vec::new() } else { out }
}
