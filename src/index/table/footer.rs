//! The last 64 bytes of a table.
//!
//! ```text
//!  0  index offset         u64
//!  8  index length         u32   with its frame
//! 12  filter offset        u64
//! 20  filter length        u32   0: no filter
//! 24  properties offset    u64
//! 32  properties length    u32
//! 36  reserved             16    0
//! 52  magic                8     "RCNS.end"
//! 60  checksum             u32   masked CRC of epoch, file number, offset of the footer and bytes 0..60
//! ```

use std::path::Path;

use super::frame::BlockAt;
use crate::codec::{Crc, FileId, Reader, put_u32, put_u64};
use crate::{Error, Result};

/// Length of the footer, bytes.
pub const FOOTER_LEN: usize = 64;
const MAGIC: &[u8; 8] = b"RCNS.end";

/// Where the index, the filter and the properties are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::index) struct Footer {
    pub(in crate::index) index: BlockAt,
    pub(in crate::index) filter: Option<BlockAt>,
    pub(in crate::index) properties: BlockAt,
}

fn checksum(id: FileId, offset: u64, bytes: &[u8]) -> u32 {
    Crc::new().number(id.epoch).number(id.number).number(offset).bytes(bytes).finish()
}

impl Footer {
    pub(in crate::index) fn encode(&self, id: FileId, offset: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(FOOTER_LEN);
        for at in [self.index, self.filter.unwrap_or_default(), self.properties] {
            put_u64(&mut out, at.offset);
            put_u32(&mut out, at.len);
        }
        out.extend_from_slice(&[0; 16]);
        out.extend_from_slice(MAGIC);
        let sum = checksum(id, offset, &out);
        put_u32(&mut out, sum);
        out
    }

    /// Reads the footer that stands at `offset`. All three blocks end at or before it.
    pub(in crate::index) fn decode(path: &Path, id: FileId, offset: u64, bytes: &[u8]) -> Result<Self> {
        let all = "the whole file";
        let mut reader = Reader::new(bytes);
        let bad = |bad| Error::malformed(path, offset, bad, all);
        let body = reader.bytes(FOOTER_LEN - 4, "a footer").map_err(bad)?;
        let sum = reader.u32("a footer's checksum").map_err(bad)?;
        reader.end("nothing behind the footer").map_err(bad)?;
        let actual = checksum(id, offset, body);
        if sum != actual {
            let at = offset.saturating_add(60);
            return Err(Error::corrupt(
                path,
                at,
                format!("footer checksum {actual:08x}"),
                format!("{sum:08x}"),
                all,
            ));
        }
        let mut reader = Reader::new(body);
        let mut block = || {
            let at = BlockAt { offset: reader.u64("an offset")?, len: reader.u32("a length")? };
            if at.end() > offset { Err(reader.malformed("a block before the footer")) } else { Ok(at) }
        };
        let (index, filter, properties) =
            (block().map_err(bad)?, block().map_err(bad)?, block().map_err(bad)?);
        if reader.array("reserved bytes").map_err(bad)? != [0_u8; 16] {
            return Err(Error::Unsupported {
                path: path.to_path_buf(),
                what: "reserved bits of a footer".into(),
            });
        }
        if reader.array("the end magic").map_err(bad)? != *MAGIC {
            return Err(bad(reader.malformed("the magic at the end of a table")));
        }
        let filter = (filter.len > 0).then_some(filter);
        Ok(Self { index, filter, properties })
    }
}
