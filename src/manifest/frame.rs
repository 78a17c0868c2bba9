//! Frames: what a manifest file consists of behind its header. See [`super`] for the picture.

use crate::codec::{Crc, Reader, put_u32, put_u64};

/// A frame's fixed part, bytes.
pub(super) const FRAME_HEADER_LEN: usize = 32;
/// Frames start on this grid.
pub(super) const GRID: usize = 8;
/// Largest payload, bytes.
pub(super) const PAYLOAD_LEN_MAX: usize = 1 << 30;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum FrameKind {
    /// The whole state. The first frame of every manifest file, and only that.
    Snapshot = 1,
    /// One commit.
    Edits = 2,
    /// No payload: says that everything before it is durable.
    Promise = 3,
}

impl FrameKind {
    fn from_u8(n: u8) -> Option<Self> {
        [Self::Snapshot, Self::Edits, Self::Promise].into_iter().find(|kind| *kind as u8 == n)
    }
}

/// The fixed part of a frame without its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) kind: FrameKind,
    /// Payload length, without padding.
    pub(super) len: usize,
    /// Which commit: the last one in a snapshot, this one, the last one before a promise.
    pub(super) number: u64,
    /// Everything before this offset was durable when the frame was written.
    pub(super) synced: u64,
    /// Checksum of the frame before, or of the file's header.
    pub(super) predecessor: u32,
}

impl FrameHeader {
    /// Length of the frame with payload and padding.
    pub(super) fn frame_len(&self) -> usize {
        FRAME_HEADER_LEN.saturating_add(self.len.saturating_add(GRID - 1) / GRID * GRID)
    }
}

/// A frame whose checksum is right.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub(super) header: FrameHeader,
    pub(super) payload: &'a [u8],
    pub(super) checksum: u32,
}

/// Writes a frame for `offset` of a file with this salt. Answers its bytes and its checksum.
pub(super) fn encode(salt: u64, offset: u64, header: FrameHeader, payload: &[u8]) -> (Vec<u8>, u32) {
    debug_assert_eq!(header.len, payload.len());
    let mut out = Vec::with_capacity(header.frame_len());
    put_u32(&mut out, header.len as u32);
    out.push(header.kind as u8);
    out.extend_from_slice(&head_check(salt, offset, &header));
    put_u64(&mut out, header.number);
    put_u64(&mut out, header.synced);
    put_u32(&mut out, header.predecessor);
    let mut body = payload.to_vec();
    body.resize(header.frame_len() - FRAME_HEADER_LEN, 0);
    let checksum = Crc::new().number(salt).number(offset).bytes(&out).bytes(&body).finish();
    put_u32(&mut out, checksum);
    out.extend_from_slice(&body);
    (out, checksum)
}

/// The check of the fixed part alone. It is what makes a length believable in a frame whose checksum is wrong.
fn head_check(salt: u64, offset: u64, header: &FrameHeader) -> [u8; 3] {
    let crc = Crc::new().number(salt).number(offset).number(header.len as u64).number(header.kind as u64);
    let crc = crc.number(header.number).number(header.synced).number(u64::from(header.predecessor));
    let [a, b, c, _] = crc.finish().to_le_bytes();
    [a, b, c]
}

/// The fixed part at `offset`, if it is whole, whatever the frame's checksum says.
pub(super) fn peek(file: &[u8], salt: u64, offset: usize) -> Option<FrameHeader> {
    peek_in(file.get(offset..)?, salt, offset)
}

/// The same for bytes that start where the frame does.
fn peek_in(bytes: &[u8], salt: u64, offset: usize) -> Option<FrameHeader> {
    let mut r = Reader::new(bytes);
    let len = usize::try_from(r.u32("").ok()?).ok().filter(|len| *len <= PAYLOAD_LEN_MAX)?;
    let kind = FrameKind::from_u8(r.u8("").ok()?)?;
    let check = r.array::<3>("").ok()?;
    let (number, synced) = (r.u64("").ok()?, r.u64("").ok()?);
    let header = FrameHeader { kind, len, number, synced, predecessor: r.u32("").ok()? };
    let whole = check == head_check(salt, offset as u64, &header) && synced <= offset as u64;
    whole.then_some(header)
}

/// The frame at `offset`, if there is one whose checksum is right.
pub(super) fn read(file: &[u8], salt: u64, offset: usize) -> Option<Frame<'_>> {
    read_in(file.get(offset..)?, salt, offset)
}

/// Whether bytes taken from `offset` start with a frame whose checksum is right.
pub(super) fn read_moved(bytes: &[u8], salt: u64, offset: usize) -> bool {
    read_in(bytes, salt, offset).is_some()
}

fn read_in(file: &[u8], salt: u64, offset: usize) -> Option<Frame<'_>> {
    let header = peek_in(file, salt, offset)?;
    let bytes = file.get(..header.frame_len())?;
    let (fixed, body) = bytes.split_at_checked(FRAME_HEADER_LEN)?;
    let (fixed, stored) = fixed.split_at_checked(FRAME_HEADER_LEN - 4)?;
    let checksum = Crc::new().number(salt).number(offset as u64).bytes(fixed).bytes(body).finish();
    let (payload, padding) = body.split_at_checked(header.len)?;
    let valid = stored == checksum.to_le_bytes() && padding.iter().all(|byte| *byte == 0);
    valid.then_some(Frame { header, payload, checksum })
}
