//! zstd's compressor.
//!
//! A thread keeps the tables of its compressor from one frame to the next: making them anew took 5 % of an import for the groups alone. All
//! parameters are set for every frame, and what a context did before does not show in the bytes (a test compares them): same input, same
//! frame.

use std::cell::RefCell;

use zstd::bulk::Compressor;
use zstd::zstd_safe::{CParameter, ResetDirective};

/// A context that made a larger frame, or one of a higher level, is not kept: its tables may take many MiB.
const KEEP_UP_TO: usize = 4 << 20;
const KEEP_LEVEL_MAX: i32 = 9;

thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
}

/// One zstd frame. With a window (its logarithm) the compressor also looks for matches as far away as that.
///
/// # Errors
/// Those of the compressor: it lacks memory.
pub(super) fn zstd_frame(raw: &[u8], level: i32, window: Option<u32>) -> std::io::Result<Vec<u8>> {
    let kept = raw.len() <= KEEP_UP_TO && level <= KEEP_LEVEL_MAX;
    // While a thread ends it has none any more.
    let taken = COMPRESSOR.try_with(RefCell::take).ok().flatten().filter(|_| kept);
    let mut compressor = match taken {
        Some(compressor) => compressor,
        None => Compressor::new(level)?,
    };
    let packed = frame_with(&mut compressor, raw, level, window)?;
    if kept {
        _ = COMPRESSOR.try_with(|place| place.replace(Some(compressor)));
    }
    Ok(packed)
}

fn frame_with(
    compressor: &mut Compressor<'_>,
    raw: &[u8],
    level: i32,
    window: Option<u32>,
) -> std::io::Result<Vec<u8>> {
    let reset = compressor.context_mut().reset(ResetDirective::SessionAndParameters);
    reset.map_err(|code| std::io::Error::other(zstd::zstd_safe::get_error_name(code)))?;
    compressor.set_parameter(CParameter::CompressionLevel(level))?;
    if let Some(window) = window {
        compressor.set_parameter(CParameter::EnableLongDistanceMatching(true))?;
        compressor.set_parameter(CParameter::WindowLog(window))?;
    }
    compressor.compress(raw)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Codec, compress, compress_group, decompress};

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
        let far = |raw: &[u8]| (raw.len() >= 256 << 10).then_some(raw.len().ilog2() + 1);
        assert!(raws.iter().any(|raw| far(raw).is_some()) && raws.iter().any(|raw| raw.len() < 100));
        for level in [1, 3, 9] {
            for raw in &raws {
                let mut fresh = Compressor::new(level).unwrap();
                let expected = frame_with(&mut fresh, raw, level, far(raw)).unwrap();
                assert!(compress_group(raw, level).unwrap() == expected, "{} bytes at {level}", raw.len());
                assert!(decompress(Codec::Zstd, &expected, raw.len()).unwrap() == *raw);
                let alone = zstd::bulk::compress(raw, level).unwrap();
                assert!(compress(Codec::Zstd, level, raw) == alone, "{} bytes at {level}", raw.len());
            }
        }
    }
}
