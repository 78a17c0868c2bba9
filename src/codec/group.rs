//! Several contents in one zstd frame.

use bytes::Bytes;

use super::compress::zstd_front;
use super::compressor::zstd_frame;
use super::{Codec, Malformed, decompress};

/// Most bytes of a group, uncompressed. clamp(32 × largest member, 4 MiB, 64 MiB) of the design comes down to this: no 32 members are
/// more than 32 × the largest, and a bound below 4 MiB never binds.
pub const GROUP_RAW_MAX: usize = 64 << 20;
/// Window of the largest group.
pub const WINDOW_LOG_MAX: u32 = 26;
/// From here on the compressor also looks for far matches with its long-distance matcher: its hash tables at the lower levels forget
/// what is further back than this.
const LONG_FROM: usize = 256 << 10;

const _: () = assert!(1 << WINDOW_LOG_MAX == GROUP_RAW_MAX);

/// One zstd frame whose window sees all of `raw`. Same bytes for same bytes, whatever was compressed before.
///
/// # Errors
/// Those of the compressor: it lacks memory.
pub fn compress_group(raw: &[u8], level: i32) -> std::io::Result<Vec<u8>> {
    let window = usize::BITS - raw.len().saturating_sub(1).leading_zeros();
    zstd_frame(raw, level, (raw.len() >= LONG_FROM).then_some(window.min(WINDOW_LOG_MAX)))
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
