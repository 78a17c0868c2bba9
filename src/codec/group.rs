//! Several contents in one zstd frame.
//!
//! A thread keeps the tables of its compressor from one group to the next: making them anew took 5 % of an import. All parameters are set
//! for every frame, and what a context did before does not show in the bytes (a test compares them): same contents, same frame.

use std::cell::RefCell;

use bytes::Bytes;
use zstd::bulk::Compressor;
use zstd::zstd_safe::{CParameter, ResetDirective};

use super::compress::zstd_front;
use super::{Codec, Malformed, decompress};

/// Most bytes of a group, uncompressed. clamp(32 × largest member, 4 MiB, 64 MiB) of the design comes down to this: no 32 members are
/// more than 32 × the largest, and a bound below 4 MiB never binds.
pub const GROUP_RAW_MAX: usize = 64 << 20;
/// Window of the largest group.
pub const WINDOW_LOG_MAX: u32 = 26;
/// From here on the compressor also looks for far matches with its long-distance matcher: its hash tables at the lower levels forget
/// what is further back than this.
const LONG_FROM: usize = 256 << 10;
/// A context that made a larger frame, or one of a higher level, is not kept: its tables may take many MiB.
const KEEP_UP_TO: usize = 4 << 20;
const KEEP_LEVEL_MAX: i32 = 9;

const _: () = assert!(1 << WINDOW_LOG_MAX == GROUP_RAW_MAX);

thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
}

/// One zstd frame whose window sees all of `raw`. Same bytes for same bytes, whatever was compressed before.
///
/// # Errors
/// Those of the compressor: it lacks memory.
pub fn compress_group(raw: &[u8], level: i32) -> std::io::Result<Vec<u8>> {
    let kept = raw.len() <= KEEP_UP_TO && level <= KEEP_LEVEL_MAX;
    // While a thread ends it has none any more.
    let taken = COMPRESSOR.try_with(RefCell::take).ok().flatten().filter(|_| kept);
    let mut compressor = match taken {
        Some(compressor) => compressor,
        None => Compressor::new(level)?,
    };
    let packed = compress_with(&mut compressor, raw, level)?;
    if kept {
        _ = COMPRESSOR.try_with(|place| place.replace(Some(compressor)));
    }
    Ok(packed)
}

fn compress_with(compressor: &mut Compressor<'_>, raw: &[u8], level: i32) -> std::io::Result<Vec<u8>> {
    let reset = compressor.context_mut().reset(ResetDirective::SessionAndParameters);
    reset.map_err(|code| std::io::Error::other(zstd::zstd_safe::get_error_name(code)))?;
    compressor.set_parameter(CParameter::CompressionLevel(level))?;
    if raw.len() >= LONG_FROM {
        let window = usize::BITS - raw.len().saturating_sub(1).leading_zeros();
        compressor.set_parameter(CParameter::EnableLongDistanceMatching(true))?;
        compressor.set_parameter(CParameter::WindowLog(window.min(WINDOW_LOG_MAX)))?;
    }
    compressor.compress(raw)
}

/// The first `len` bytes of a group of `raw_len`, uncompressed. The checksum of `stored` was verified.
///
/// # Errors
/// If it does not decompress to that.
pub fn decompress_front(
    codec: Codec,
    stored: &Bytes,
    raw_len: usize,
    len: usize,
) -> Result<Bytes, Malformed> {
    let bad = Malformed { at: 0, expected: "a compressed group of the stated length" };
    match codec {
        Codec::Raw if stored.len() == raw_len => Ok(stored.slice(..len.min(raw_len))),
        Codec::Raw => Err(bad),
        _ if len.saturating_mul(2) < raw_len => {
            Ok(zstd_front(stored, len, WINDOW_LOG_MAX).ok_or(bad)?.into())
        }
        codec => Ok(decompress(codec, stored, raw_len)?.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pages of words, some of them alike.
    fn page(seed: u64, words: u64) -> Vec<u8> {
        let mut state = seed;
        let mut out = Vec::new();
        for n in 0..words {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let word = if n % 3 == 0 { state >> 40 } else { state >> 58 };
            out.extend_from_slice(format!("{word:x} ").as_bytes());
        }
        out
    }

    #[test]
    fn a_frame_does_not_show_what_was_compressed_before_it() {
        let sizes = [10, 60_000, 400, 9_000, 100_000, 3, 25_000, 120_000];
        let raws: Vec<Vec<u8>> = (0..24).map(|n| page(n % 5, sizes[n as usize % sizes.len()] + n)).collect();
        assert!(raws.iter().any(|raw| raw.len() >= LONG_FROM) && raws.iter().any(|raw| raw.len() < 100));
        for level in [1, 3, 9] {
            for raw in &raws {
                let mut fresh = Compressor::new(level).unwrap();
                let expected = compress_with(&mut fresh, raw, level).unwrap();
                assert!(compress_group(raw, level).unwrap() == expected, "{} bytes at {level}", raw.len());
                let whole = decompress_front(Codec::Zstd, &expected.into(), raw.len(), raw.len()).unwrap();
                assert!(whole == *raw);
            }
        }
    }
}
