//! Writing a table from front to back.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::footer::Footer;
use super::frame::{BlockAt, BlockKind, encode_frame};
use crate::codec::{Codec, FILE_HEADER_LEN, FileHeader, FileKind};
use crate::env::{File, write_all_at};
use crate::error::IoContext;
use crate::{Error, Result};

/// Bytes are gathered up to this many before they are written.
const BUFFER_BYTES: usize = 256 << 10;

/// A finished file.
pub(in crate::index) struct Written {
    pub(in crate::index) len: u64,
    pub(in crate::index) blake3: [u8; 32],
}

/// Appends blocks to a new file, with a bounded buffer, and computes its length and BLAKE3 on the way.
pub(in crate::index) struct Sink {
    file: Arc<dyn File>,
    path: PathBuf,
    header: FileHeader,
    buffer: Vec<u8>,
    written: u64,
    hasher: blake3::Hasher,
}

impl Sink {
    pub(in crate::index) fn new(
        file: Arc<dyn File>,
        path: &Path,
        header: FileHeader,
        kind: FileKind,
        version: u16,
    ) -> Result<Self> {
        if header.kind != kind || header.version != version || header.header_len != FILE_HEADER_LEN as u32 {
            return Err(Error::invalid(format!(
                "the header of a {kind:?} must have its kind, version {version} and {FILE_HEADER_LEN} bytes"
            )));
        }
        let buffer = header.encode();
        Ok(Self { file, path: path.to_path_buf(), header, buffer, written: 0, hasher: blake3::Hasher::new() })
    }

    /// Bytes so far, buffered ones included.
    pub(in crate::index) fn len(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    pub(in crate::index) fn block(
        &mut self,
        kind: BlockKind,
        codec: Codec,
        level: i32,
        raw: &[u8],
    ) -> Result<BlockAt> {
        let offset = self.len();
        let framed = encode_frame(self.header.id, offset, kind, codec, level, raw)?;
        self.buffer.extend_from_slice(&framed);
        if self.buffer.len() >= BUFFER_BYTES {
            self.drain()?;
        }
        Ok(BlockAt { offset, len: framed.len() as u32 })
    }

    /// Appends the footer, writes what is buffered and syncs the file's data.
    pub(in crate::index) fn finish(mut self, footer: &Footer) -> Result<Written> {
        let bytes = footer.encode(self.header.id, self.len());
        self.buffer.extend_from_slice(&bytes);
        self.drain()?;
        if !planted!("table not synced") {
            self.file.sync_data().context("sync", &self.path)?;
        }
        Ok(Written { len: self.written, blake3: *self.hasher.finalize().as_bytes() })
    }

    fn drain(&mut self) -> Result<()> {
        self.hasher.update(&self.buffer);
        write_all_at(&*self.file, &self.buffer, self.written).context("write", &self.path)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}
