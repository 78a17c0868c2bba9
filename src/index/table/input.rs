//! Reading blocks of a finished table.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::footer::{FOOTER_LEN, Footer};
use super::frame::{BlockAt, BlockKind, FRAME_LEN, decode_frame};
use super::properties::Properties;
use crate::codec::{FILE_HEADER_LEN, FileHeader, FileId, FileKind};
use crate::env::{File, read_vec_at};
use crate::error::IoContext;
use crate::manifest::TableInfo;
use crate::{Error, Result};

/// Bytes read at a time for a file's hash.
const HASH_STEP: u64 = 1 << 20;

/// How a table's bytes are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TableAccess {
    /// Block by block with `pread`; an I/O error is an error.
    #[default]
    Read,
    /// Through a memory map of the whole file. For trusted disks: **an I/O error there is a signal that ends the process.**
    Map,
}

/// An open table file of any kind: header, footer and length verified.
#[derive(Clone)]
pub(in crate::index) struct Input {
    file: Arc<dyn File>,
    path: PathBuf,
    map: Option<Bytes>,
    pub(in crate::index) id: FileId,
    pub(in crate::index) len: u64,
    pub(in crate::index) footer: Footer,
}

/// What a file is expected to be.
#[derive(Clone, Copy)]
pub(in crate::index) struct Identity<'a> {
    pub(in crate::index) kind: FileKind,
    pub(in crate::index) version_max: u16,
    pub(in crate::index) store: &'a [u8; 16],
    pub(in crate::index) id: FileId,
    pub(in crate::index) len: u64,
}

impl Input {
    pub(in crate::index) fn open(
        file: Arc<dyn File>,
        path: &Path,
        identity: Identity<'_>,
        access: TableAccess,
    ) -> Result<Self> {
        let all = "the whole file";
        let len = file.len().context("read the length of", path)?;
        if len != identity.len {
            let offset = len.min(identity.len);
            return Err(Error::corrupt(
                path,
                offset,
                format!("a file of {} bytes", identity.len),
                format!("{len} bytes"),
                all,
            ));
        }
        let footer_at = len.checked_sub(FOOTER_LEN as u64).filter(|at| *at >= FILE_HEADER_LEN as u64);
        let footer_at = footer_at
            .ok_or_else(|| Error::corrupt(path, 0, "a header and a footer", format!("{len} bytes"), all))?;
        let map = match access {
            TableAccess::Read => None,
            TableAccess::Map => Some(file.map(len).context("map", path)?),
        };
        let head = read_from(&file, path, map.as_ref(), 0, FILE_HEADER_LEN)?;
        let header = FileHeader::decode(path, &head)?;
        header.require(path, identity.kind, identity.version_max, identity.store, identity.id)?;
        if header.header_len != FILE_HEADER_LEN as u32 {
            return Err(Error::corrupt(path, 12, "a header of 64 bytes", header.header_len.to_string(), all));
        }
        let tail = read_from(&file, path, map.as_ref(), footer_at, FOOTER_LEN)?;
        let footer = Footer::decode(path, identity.id, footer_at, &tail)?;
        Ok(Self { file, path: path.to_path_buf(), map, id: identity.id, len, footer })
    }

    pub(in crate::index) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the footer starts, and with it the end of the blocks.
    pub(in crate::index) fn footer_at(&self) -> u64 {
        self.len.saturating_sub(FOOTER_LEN as u64)
    }

    /// Reads, checks and decompresses a block.
    pub(in crate::index) fn block(
        &self,
        kind: BlockKind,
        at: BlockAt,
        affected: &dyn Fn() -> String,
    ) -> Result<Bytes> {
        if at.end() > self.footer_at() || (at.len as usize) < FRAME_LEN {
            let found = format!("{} bytes", at.len);
            return Err(self.corrupt(at.offset, "a block before the footer", &found, affected()));
        }
        let framed = self.bytes(at.offset, at.len as usize)?;
        decode_frame(&self.path, self.id, at.offset, kind, &framed, affected)
    }

    /// Reads the properties.
    pub(in crate::index) fn properties(&self) -> Result<Properties> {
        let at = self.footer.properties;
        let raw = self.block(BlockKind::Properties, at, &|| "the whole file".into())?;
        let base = at.offset.saturating_add(FRAME_LEN as u64);
        Properties::decode(&raw).map_err(|bad| Error::malformed(&self.path, base, bad, "the whole file"))
    }

    /// Bytes as they are.
    pub(in crate::index) fn bytes(&self, offset: u64, len: usize) -> Result<Bytes> {
        read_from(&self.file, &self.path, self.map.as_ref(), offset, len)
    }

    /// An error if the properties are not what the manifest says.
    pub(in crate::index) fn require_properties(&self, info: &TableInfo) -> Result<()> {
        let found = self.properties()?;
        let expected = Properties {
            keyspace: info.keyspace,
            rows: info.rows,
            entities: info.entities,
            first: info.first.clone(),
            last: info.last.clone(),
            sequence_first: info.sequence_first,
            sequence_last: info.sequence_last,
        };
        if found == expected {
            return Ok(());
        }
        let expected = format!("{expected:?} as in the manifest");
        Err(self.corrupt(self.footer.properties.offset, &expected, &format!("{found:?}"), "the whole file"))
    }

    /// An error unless every byte is in the header, the footer or exactly one block: those given, index, filter, properties.
    pub(in crate::index) fn verify_cover(&self, mut places: Vec<BlockAt>, affected: &str) -> Result<()> {
        places.extend(self.footer.filter);
        places.extend([self.footer.index, self.footer.properties]);
        places.sort_unstable();
        let mut end = FILE_HEADER_LEN as u64;
        for at in places {
            if at.offset != end {
                let expected = format!("a block at byte {end}");
                return Err(self.corrupt(
                    end,
                    &expected,
                    &format!("the next one at byte {}", at.offset),
                    affected,
                ));
            }
            end = at.end();
        }
        if end == self.footer_at() {
            return Ok(());
        }
        Err(self.corrupt(end, "the footer", "bytes that belong to no block", affected))
    }

    /// The file's BLAKE3.
    pub(in crate::index) fn hash(&self, progress: &mut dyn FnMut(u64) -> Result<()>) -> Result<[u8; 32]> {
        let mut hasher = blake3::Hasher::new();
        let mut at = 0;
        while at < self.len {
            let step = HASH_STEP.min(self.len.saturating_sub(at));
            hasher.update(&self.bytes(at, step as usize)?);
            at = at.saturating_add(step);
            progress(step)?;
        }
        Ok(*hasher.finalize().as_bytes())
    }

    /// An error if the file's BLAKE3 is another one.
    pub(in crate::index) fn verify_hash(
        &self,
        expected: &[u8; 32],
        affected: &str,
        progress: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<()> {
        let found = self.hash(progress)?;
        if found == *expected {
            return Ok(());
        }
        let hex = |hash| format!("BLAKE3 {}", blake3::Hash::from_bytes(hash).to_hex());
        Err(self.corrupt(0, &hex(*expected), &hex(found), affected))
    }

    pub(in crate::index) fn corrupt(
        &self,
        offset: u64,
        expected: &str,
        found: &str,
        affected: impl Into<String>,
    ) -> Error {
        Error::corrupt(&self.path, offset, expected, found, affected)
    }
}

fn read_from(
    file: &Arc<dyn File>,
    path: &Path,
    map: Option<&Bytes>,
    offset: u64,
    len: usize,
) -> Result<Bytes> {
    let Some(map) = map else {
        return Ok(Bytes::from(read_vec_at(&**file, len, offset).context("read", path)?));
    };
    let start = usize::try_from(offset).ok().filter(|start| *start <= map.len());
    let end = start.and_then(|start| start.checked_add(len)).filter(|end| *end <= map.len());
    match (start, end) {
        (Some(start), Some(end)) => Ok(map.slice(start..end)),
        _ => Err(Error::corrupt(path, offset, format!("{len} bytes"), "the end of the file", "a block")),
    }
}
