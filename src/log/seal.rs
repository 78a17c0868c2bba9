//! Sealing: an unsealed segment gets its locators, digests, directory and trailer.

use std::path::Path;
use std::sync::Arc;

use super::scan::{Found, Frame, FrameReader};
use super::segment::{SEGMENT_HEADER_LEN, SegmentHeader};
use super::tail::{TRAILER_LEN, TailBuilder, Trailer};
use crate::codec::{Crc, FileId, FileKind};
use crate::env::{Access, File, Fs, read_at_most, read_vec_at, write_all_at};
use crate::error::IoContext;
use crate::manifest::ValueFileInfo;
use crate::{Error, Result};

/// What to seal.
#[derive(Clone, Copy, Debug)]
pub struct SealRequest<'a> {
    /// The store.
    pub store: &'a [u8; 16],
    /// The segment.
    pub id: FileId,
    /// Where its frames end. **All of them are durable**: the trailer says so for ever.
    pub frames_end: u64,
    /// Records of a directory block.
    pub block_records: u32,
}

/// Reads the frames (headers and metadata) and writes the tail behind them, cuts the file there and syncs it, once.
///
/// It may be called again after a crash or failure at any point: it writes the same bytes. If the segment is sealed already, nothing
/// is written.
///
/// # Errors
/// `Corrupt` if the frames are not all valid; `Invalid` if there is no change in them (such a segment is removed, not sealed); `Io`,
/// `OutOfSpace`.
pub fn seal(fs: &dyn Fs, path: &Path, request: &SealRequest<'_>) -> Result<ValueFileInfo> {
    let file = fs.open(path, Access::ReadWrite).context("open", path)?;
    let header = read_header(&*file, path, request.store, request.id)?;
    if let Some(trailer) = read_trailer(&*file, path, &header)?
        && trailer.frames_end == request.frames_end
        && tail_is_whole(&*file, path, &trailer)?
    {
        probe!("seal: sealed already");
        // It may stand there without having been synced.
        file.sync_data().context("sync", path)?;
        return info(&*file, path, request.id, &trailer);
    }
    let mut tail =
        TailBuilder::new(header.salt, header.first_sequence(), request.frames_end, request.block_records);
    let mut chain = Chain::new(&header);
    let mut reader = FrameReader::new(Arc::clone(&file));
    while chain.end < request.frames_end {
        let found = reader.frame_at(path, chain.end, request.frames_end, Some(header.salt))?;
        let frame = match found {
            Found::Frame(frame) => frame,
            Found::Nothing(expected) => return Err(chain.broken(path, expected)),
        };
        chain.follow(&frame).map_err(|expected| chain.broken(path, expected))?;
        frame.records(path)?.into_iter().for_each(|record| tail.push(record));
    }
    if chain.next_sequence == header.first_sequence() {
        return Err(Error::invalid(format!("{} has no changes: it cannot be sealed", path.display())));
    }
    let (bytes, trailer) = tail.finish(chain.checksum);
    write_all_at(&*file, &bytes, request.frames_end).context("write", path)?;
    file.set_len(request.frames_end.saturating_add(bytes.len() as u64)).context("cut", path)?;
    if !planted!("recovered tail not synced") {
        file.sync_data().context("sync", path)?;
    }
    info(&*file, path, request.id, &trailer)
}

/// How frames follow each other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chain {
    /// Where the next frame stands.
    pub end: u64,
    /// Checksum of the last one.
    pub checksum: u32,
    /// First sequence number of the next one.
    pub next_sequence: u64,
}

impl Chain {
    pub fn new(header: &SegmentHeader) -> Self {
        Self {
            end: SEGMENT_HEADER_LEN as u64,
            checksum: header.predecessor_checksum,
            next_sequence: header.first_sequence(),
        }
    }

    /// Goes over a frame, or says what is wrong with it.
    pub fn follow(&mut self, frame: &Frame) -> Result<(), &'static str> {
        if frame.offset != self.end || frame.head.prev_checksum != self.checksum {
            return Err("a frame that names the one before it");
        }
        if frame.head.first_sequence != self.next_sequence {
            return Err("a frame that goes on with the next sequence number");
        }
        self.end = frame.end();
        self.checksum = frame.head.checksum;
        self.next_sequence = frame.head.next_sequence();
        Ok(())
    }

    fn broken(&self, path: &Path, expected: &'static str) -> Error {
        let affected = format!("changes from {} on", self.next_sequence);
        Error::corrupt(path, self.end, expected, "other bytes", affected)
    }
}

/// Reads the header of a segment.
pub(super) fn read_header(
    file: &dyn File,
    path: &Path,
    store: &[u8; 16],
    id: FileId,
) -> Result<SegmentHeader> {
    let mut bytes = vec![0; SEGMENT_HEADER_LEN];
    let n = read_at_most(file, &mut bytes, 0).context("read", path)?;
    SegmentHeader::decode(path, bytes.get(..n).unwrap_or_default(), store, id)
}

/// The trailer at the end of the file; `None` if there is no valid one.
///
/// # Errors
/// `Io`; `Unsupported` if there is one of a newer version.
pub(super) fn read_trailer(file: &dyn File, path: &Path, header: &SegmentHeader) -> Result<Option<Trailer>> {
    use super::fault::Fault;
    let len = file.len().context("read the length of", path)?;
    let Some(at) = len.checked_sub(TRAILER_LEN as u64).filter(|at| *at >= SEGMENT_HEADER_LEN as u64) else {
        return Ok(None);
    };
    let bytes = read_vec_at(file, TRAILER_LEN, at).context("read", path)?;
    match Trailer::decode(&bytes, at, header.salt) {
        Ok(trailer) if trailer.sequence_first == header.first_sequence() => Ok(Some(trailer)),
        Ok(_) | Err(Fault::Malformed(_)) => Ok(None),
        Err(fault) => Err(fault.into_error(path, at, "the whole segment")),
    }
}

/// Whether all bytes of the tail are what the trailer says.
pub(super) fn tail_is_whole(file: &dyn File, path: &Path, trailer: &Trailer) -> Result<bool> {
    let end = file.len().context("read the length of", path)?.saturating_sub(TRAILER_LEN as u64);
    let mut crc = Crc::new();
    let mut at = trailer.frames_end;
    while at < end {
        let len = usize::try_from(end - at).unwrap_or(usize::MAX).min(256 << 10);
        let bytes = read_vec_at(file, len, at).context("read", path)?;
        crc = crc.bytes(&bytes);
        at = at.saturating_add(len as u64);
    }
    Ok(crc.finish() == trailer.tail_checksum)
}

/// What the manifest says of a sealed segment.
pub(super) fn info(file: &dyn File, path: &Path, id: FileId, trailer: &Trailer) -> Result<ValueFileInfo> {
    Ok(ValueFileInfo {
        id,
        kind: FileKind::Segment,
        len: file.len().context("read the length of", path)?,
        blake3: [0; 32],
        sequence_first: trailer.sequence_first,
        sequence_last: trailer.sequence_last,
        entity_first: bytes::Bytes::new(),
        entity_last: bytes::Bytes::new(),
        generation: 0,
        annotation_watermark: 0,
        records: trailer.records,
        raw_bytes: trailer.raw_bytes,
        stored_bytes: trailer.stored_bytes,
        live_bytes: trailer.stored_bytes,
        last_checksum: trailer.last_checksum,
    })
}
