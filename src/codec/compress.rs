//! Block compression: none, lz4, zstd.

use std::cell::{Cell, RefCell};

use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};
use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, ResetDirective};

use super::Malformed;

/// What lz4 works with, kept by each thread: the table of matches, and room for the worst case of an input, so that a result takes as much
/// memory as it has bytes.
struct Lz4Scratch {
    table: CompressTable,
    out: Vec<u8>,
}

/// Inputs shorter than this are compressed in the scratch of the thread, which has the table for them; others in memory of their own.
const LZ4_SCRATCH_MAX: usize = u16::MAX as usize;

thread_local! {
    static LZ4: RefCell<Lz4Scratch> =
        RefCell::new(Lz4Scratch { table: CompressTable::small(), out: Vec::new() });
}

/// How stored bytes were compressed. The number is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Codec {
    /// As they are.
    Raw = 0,
    /// An lz4 block.
    Lz4 = 1,
    /// A zstd frame.
    Zstd = 2,
}

impl Codec {
    /// The codec of a number from disk.
    pub fn from_u8(n: u8) -> Option<Self> {
        match n {
            0 => Some(Self::Raw),
            1 => Some(Self::Lz4),
            2 => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// Compresses. `level` is for zstd; the others have none.
pub fn compress(codec: Codec, level: i32, raw: &[u8]) -> Vec<u8> {
    match codec {
        Codec::Raw => raw.to_vec(),
        Codec::Lz4 => lz4(raw),
        // zstd into a vector can only fail for lack of memory; raw is always right, if larger.
        Codec::Zstd => super::compressor::zstd_frame(raw, level, None).unwrap_or_default(),
    }
}

fn lz4(raw: &[u8]) -> Vec<u8> {
    if raw.len() >= LZ4_SCRATCH_MAX {
        return lz4_flex::block::compress(raw);
    }
    LZ4.with_borrow_mut(|scratch| {
        let room = get_maximum_output_size(raw.len());
        if scratch.out.len() < room {
            scratch.out.resize(room, 0);
        }
        // There is room for the worst case. If there were not, the input as it is would be right as well: nothing compressed is nothing saved.
        let len = compress_into_with_table(raw, &mut scratch.out, &mut scratch.table).unwrap_or(0);
        scratch.out.get(..len).unwrap_or_default().to_vec()
    })
}

/// Compresses and keeps the result if it saves at least one eighth; else the answer is `(Raw, None)`: store `raw` itself.
pub fn compress_if_smaller(codec: Codec, level: i32, raw: &[u8]) -> (Codec, Option<Vec<u8>>) {
    if codec == Codec::Raw || raw.len() < 32 {
        return (Codec::Raw, None);
    }
    let packed = compress(codec, level, raw);
    if !packed.is_empty() && packed.len() <= raw.len() - raw.len() / 8 {
        (codec, Some(packed))
    } else {
        (Codec::Raw, None)
    }
}

thread_local! {
    /// Making one costs more than decompressing a block of a few KiB with it: each thread keeps its own (about 100 KiB).
    static DECODER: Cell<Option<DCtx<'static>>> = const { Cell::new(None) };
}
/// A decoder that holds more than this (the window of a large group) is not kept: it is memory that no budget counts.
const DECODER_KEPT_MAX: usize = 1 << 20;

/// Lends the thread's decoder. It is kept if `work` succeeds.
fn with_decoder<T>(work: impl FnOnce(&mut DCtx<'static>) -> Option<T>) -> Option<T> {
    // A thread that is ending has none any more.
    let kept = DECODER.try_with(Cell::take).ok().flatten();
    let mut decoder = kept.or_else(DCtx::try_create)?;
    let done = work(&mut decoder)?;
    if decoder.sizeof() <= DECODER_KEPT_MAX {
        let _ = DECODER.try_with(|kept| kept.set(Some(decoder)));
    }
    Some(done)
}

/// The first `len` bytes of a zstd frame whose window is at most `1 << window_log_max`; the rest is not decoded.
pub(super) fn zstd_front(stored: &[u8], len: usize, window_log_max: u32) -> Option<Vec<u8>> {
    with_decoder(|decoder| {
        decoder.reset(ResetDirective::SessionAndParameters).ok()?;
        decoder.set_parameter(DParameter::WindowLogMax(window_log_max)).ok()?;
        let mut raw = vec![0; len];
        let (mut from, mut to) = (InBuffer::around(stored), OutBuffer::around(&mut raw[..]));
        while to.pos() < len {
            let before = (from.pos, to.pos());
            decoder.decompress_stream(&mut to, &mut from).ok()?;
            if (from.pos, to.pos()) == before {
                return None;
            }
        }
        Some(raw)
    })
}

/// Decompresses to exactly `raw_len` bytes. The caller has bounded `raw_len` and verified the checksum of `stored`; still,
/// every mismatch is an error.
pub fn decompress(codec: Codec, stored: &[u8], raw_len: usize) -> Result<Vec<u8>, Malformed> {
    let bad = Malformed { at: 0, expected: "a compressed block of the stated length" };
    let raw = match codec {
        Codec::Raw => stored.to_vec(),
        Codec::Lz4 => {
            let mut raw = vec![0; raw_len];
            let n = lz4_flex::block::decompress_into(stored, &mut raw).map_err(|_| bad)?;
            raw.truncate(n);
            raw
        }
        Codec::Zstd => with_decoder(|decoder| {
            let mut raw = Vec::with_capacity(raw_len);
            decoder.decompress(&mut raw, stored).ok().map(|_| raw)
        })
        .ok_or(bad)?,
    };
    if raw.len() == raw_len { Ok(raw) } else { Err(bad) }
}
