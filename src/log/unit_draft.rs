//! Contents on the way into a frame: digested and compressed, each by itself or several of one entity together.

use std::sync::Arc;

use bytes::Bytes;

use super::unit::UNIT_HEADER_LEN;
use crate::codec::{self, Codec, GROUP_RAW_MAX, compress_group};
use crate::model::Digest;

/// Contents from here on are compressed only if samples of them are compressible.
const PROBE_FROM: usize = 64 << 10;
const PROBE_LEN: usize = 4 << 10;

/// A content, digested and compressed, ready to be laid into a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitDraft {
    /// How `stored` is compressed.
    pub codec: Codec,
    /// Uncompressed length, bytes.
    pub raw_len: u32,
    /// BLAKE3 of the uncompressed bytes.
    pub digest: Digest,
    /// What goes to disk; nothing if a group has it.
    pub stored: Bytes,
    /// Masked CRC of the uncompressed bytes.
    pub raw_crc: u32,
    /// The group that it stands in, and its place there, counted from the newest content.
    pub group: Option<(Arc<GroupDraft>, u8)>,
}

/// Contents of one entity, compressed together.
#[derive(Debug, PartialEq, Eq)]
pub struct GroupDraft {
    /// How many.
    pub members: u8,
    /// All together, uncompressed.
    pub raw_len: u32,
    /// Level of the compressor.
    pub level: u8,
    /// One zstd frame.
    pub stored: Bytes,
}

impl UnitDraft {
    /// Digests and compresses. The length is checked when the frame is laid out.
    pub fn new(raw: Bytes) -> Self {
        let mut unit = Self::uncompressed(raw);
        unit.compress();
        unit
    }

    /// Digests. It may be compressed later, by itself or with others.
    pub fn uncompressed(raw: Bytes) -> Self {
        Self {
            codec: Codec::Raw,
            raw_len: u32::try_from(raw.len()).unwrap_or(u32::MAX),
            digest: Digest::of(&raw),
            raw_crc: codec::crc(&raw),
            stored: raw,
            group: None,
        }
    }

    /// Compresses it by itself if that pays.
    pub fn compress(&mut self) {
        if self.codec != Codec::Raw || self.group.is_some() || !looks_compressible(&self.stored) {
            return;
        }
        if let (codec, Some(packed)) = codec::compress_if_smaller(Codec::Lz4, 0, &self.stored) {
            (self.codec, self.stored) = (codec, packed.into());
        }
    }

    /// Length on disk of the unit that only this content stands in, header included.
    pub fn disk_len(&self) -> usize {
        UNIT_HEADER_LEN.saturating_add(self.stored.len())
    }
}

/// Compresses contents together that are not compressed yet, the newest first; `false`, and nothing changes, if that does not pay.
pub fn group_units(units: &mut [UnitDraft], level: u8) -> bool {
    let raw_len: usize = units.iter().map(|unit| unit.stored.len()).sum();
    let plain = units.iter().all(|unit| unit.codec == Codec::Raw && unit.group.is_none());
    let Some(members) = u8::try_from(units.len()).ok().filter(|members| *members > 1 && plain) else {
        return false;
    };
    if raw_len > GROUP_RAW_MAX {
        return false;
    }
    let mut raw = Vec::with_capacity(raw_len);
    units.iter().for_each(|unit| raw.extend_from_slice(&unit.stored));
    if !looks_compressible(&raw) {
        return false;
    }
    let Ok(stored) = compress_group(&raw, i32::from(level)) else { return false };
    if stored.len() > raw.len() - raw.len() / 8 {
        return false;
    }
    let group = GroupDraft { members, raw_len: raw_len as u32, level, stored: stored.into() };
    let group = Arc::new(group);
    for (member, unit) in units.iter_mut().enumerate() {
        (unit.codec, unit.stored) = (Codec::Zstd, Bytes::new());
        unit.group = Some((Arc::clone(&group), member as u8));
    }
    true
}

/// Media and archives are large and do not shrink; three small samples tell, at a hundredth of the cost of trying.
fn looks_compressible(raw: &[u8]) -> bool {
    if raw.len() < PROBE_FROM {
        return true;
    }
    let last = raw.len() - PROBE_LEN;
    [0, last / 2, last].into_iter().any(|at| {
        let sample = raw.get(at..at + PROBE_LEN).unwrap_or_default();
        codec::compress_if_smaller(Codec::Lz4, 0, sample).0 != Codec::Raw
    })
}
