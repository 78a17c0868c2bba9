//! The file that a pack is written to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Result;
use crate::codec::Crc;
use crate::env::{Access, File, Fs, write_all_at};
use crate::error::IoContext;

const BUFFER: usize = 1 << 20;

/// Gathers bytes, and hashes and writes them in order.
pub(super) struct Output {
    file: Arc<dyn File>,
    path: PathBuf,
    pending: Vec<u8>,
    written: u64,
    hash: blake3::Hasher,
    tail: Option<Crc>,
}

impl Output {
    pub fn create(fs: &dyn Fs, path: &Path) -> Result<Self> {
        let file = fs.open(path, Access::CreateNew).context("create", path)?;
        let (pending, hash) = (Vec::new(), blake3::Hasher::new());
        Ok(Self { file, path: path.to_path_buf(), pending, written: 0, hash, tail: None })
    }

    /// Where the next byte goes.
    pub fn at(&self) -> u64 {
        self.written.saturating_add(self.pending.len() as u64)
    }

    pub fn put(&mut self, bytes: &[u8]) -> Result<()> {
        if let Some(tail) = self.tail.take() {
            self.tail = Some(tail.bytes(bytes));
        }
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    /// From here on the tail checksum runs.
    pub fn start_tail(&mut self) {
        self.tail = Some(Crc::new());
    }

    /// The checksum of the tail up to here.
    pub fn tail_checksum(&mut self) -> u32 {
        self.tail.take().unwrap_or_default().finish()
    }

    fn flush(&mut self) -> Result<()> {
        self.hash.update(&self.pending);
        write_all_at(&*self.file, &self.pending, self.written).context("write", &self.path)?;
        self.written = self.at();
        self.pending.clear();
        Ok(())
    }

    /// Makes it durable (its name is the caller's business); answers length and BLAKE3.
    pub fn finish(mut self) -> Result<(u64, [u8; 32])> {
        self.flush()?;
        if !planted!("pack not synced") {
            self.file.sync_data().context("sync", &self.path)?;
        }
        Ok((self.written, *self.hash.finalize().as_bytes()))
    }
}
