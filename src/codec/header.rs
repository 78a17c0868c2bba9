//! The first 64 bytes of every file.
//!
//! ```text
//!  0  magic            8    89 52 43 4e 53 0d 0a 1a   (not text, notices line-end and 7-bit damage)
//!  8  kind             u16  1 segment, 2 revision table, 3 plain table, 4 manifest, 5 pack, 6 view checkpoint
//! 10  format version   u16  per kind
//! 12  header length    u32  these 64 bytes and what the kind adds behind them
//! 16  store id         16
//! 32  epoch            u64  writer epoch
//! 40  file number      u64  never reused within a store
//! 48  features         u64  reserved: a set bit that the reader does not know is `Unsupported`
//! 56  crypt            u8   reserved: 0 = not encrypted
//! 57  reserved         u8   0
//! 58  key id           u16  reserved: 0
//! 60  checksum         u32  masked CRC of bytes 0..60
//! ```

use std::path::Path;

use super::{Reader, crc, put_u16, put_u32, put_u64};
use crate::{Error, Result};

/// Length of the common header, bytes.
pub const FILE_HEADER_LEN: usize = 64;

/// The first bytes of every file.
pub const MAGIC: [u8; 8] = *b"\x89RCNS\r\n\x1a";

/// What a file is. The number is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
#[non_exhaustive]
pub enum FileKind {
    /// A log segment.
    Segment = 1,
    /// A table of revision rows.
    RevisionTable = 2,
    /// A table of plain keys and values.
    PlainTable = 3,
    /// A manifest.
    Manifest = 4,
    /// A pack.
    Pack = 5,
    /// A view's checkpoint (reserved).
    ViewCheckpoint = 6,
}

impl FileKind {
    /// From its number on disk.
    pub fn from_u16(n: u16) -> Option<Self> {
        [
            Self::Segment,
            Self::RevisionTable,
            Self::PlainTable,
            Self::Manifest,
            Self::Pack,
            Self::ViewCheckpoint,
        ]
        .into_iter()
        .find(|kind| *kind as u16 == n)
    }

    fn extension(self) -> &'static str {
        match self {
            Self::Segment => "seg",
            Self::RevisionTable => "tab",
            Self::PlainTable => "kv",
            Self::Manifest => "manifest",
            Self::Pack => "pack",
            Self::ViewCheckpoint => "view",
        }
    }
}

/// A file's name within its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    /// Writer epoch.
    pub epoch: u64,
    /// Number; never reused.
    pub number: u64,
}

impl FileId {
    /// `EPOCH-NUMBER.EXTENSION`, both as 8 or more hexadecimal digits: `00000001-0000002a.seg`.
    pub fn file_name(self, kind: FileKind) -> String {
        format!("{:08x}-{:08x}.{}", self.epoch, self.number, kind.extension())
    }

    /// The inverse of [`FileId::file_name`]; `None` for any other name.
    pub fn parse(name: &str) -> Option<(Self, FileKind)> {
        let (stem, extension) = name.split_once('.')?;
        let (epoch, number) = stem.split_once('-')?;
        let hex = |digits: &str| {
            let lower = digits.len() >= 8 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            lower.then(|| u64::from_str_radix(digits, 16).ok()).flatten()
        };
        let id = Self { epoch: hex(epoch)?, number: hex(number)? };
        let kind = (1..=6).filter_map(FileKind::from_u16).find(|kind| kind.extension() == extension)?;
        (id.file_name(kind) == name).then_some((id, kind))
    }
}

/// The common header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileHeader {
    /// What the file is.
    pub kind: FileKind,
    /// Format version of that kind.
    pub version: u16,
    /// This header and what the kind adds, bytes.
    pub header_len: u32,
    /// Which store it belongs to.
    pub store: [u8; 16],
    /// Which file it is.
    pub id: FileId,
}

impl FileHeader {
    /// The 64 bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FILE_HEADER_LEN);
        out.extend_from_slice(&MAGIC);
        put_u16(&mut out, self.kind as u16);
        put_u16(&mut out, self.version);
        put_u32(&mut out, self.header_len);
        out.extend_from_slice(&self.store);
        put_u64(&mut out, self.id.epoch);
        put_u64(&mut out, self.id.number);
        put_u64(&mut out, 0);
        put_u32(&mut out, 0);
        let checksum = crc(&out);
        put_u32(&mut out, checksum);
        out
    }

    /// Reads the 64 bytes of a file of any kind.
    ///
    /// # Errors
    /// `Corrupt` for wrong magic or checksum, `Unsupported` for an unknown kind, feature or encryption. The version is the
    /// kind's own to judge: see [`FileHeader::require`].
    pub fn decode(path: &Path, bytes: &[u8]) -> Result<Self> {
        let all = "the whole file";
        let head = bytes.get(..FILE_HEADER_LEN).ok_or_else(|| {
            Error::corrupt(path, 0, "a file header of 64 bytes", format!("{} bytes", bytes.len()), all)
        })?;
        let mut reader = Reader::new(head);
        let bad = |bad| Error::malformed(path, 0, bad, all);
        if reader.array::<8>("the magic").map_err(bad)? != MAGIC {
            return Err(Error::corrupt(path, 0, "the magic of a Recension file", "other bytes", all));
        }
        let (body, sum) = head.split_at(FILE_HEADER_LEN - 4);
        let stored = Reader::new(sum).u32("a checksum").map_err(bad)?;
        if stored != crc(body) {
            return Err(Error::corrupt(
                path,
                60,
                format!("header checksum {:08x}", crc(body)),
                format!("{stored:08x}"),
                all,
            ));
        }
        let kind_number = reader.u16("a kind").map_err(bad)?;
        let version = reader.u16("a version").map_err(bad)?;
        let header_len = reader.u32("a header length").map_err(bad)?;
        let store = reader.array("a store id").map_err(bad)?;
        let epoch = reader.u64("an epoch").map_err(bad)?;
        let number = reader.u64("a file number").map_err(bad)?;
        let features = reader.u64("features").map_err(bad)?;
        let crypt = reader.u32("crypt").map_err(bad)?;
        let unsupported = |what| Error::Unsupported { path: path.to_path_buf(), what };
        let kind =
            FileKind::from_u16(kind_number).ok_or_else(|| unsupported(format!("file kind {kind_number}")))?;
        if features != 0 {
            return Err(unsupported(format!("features {features:#x}")));
        }
        if crypt != 0 {
            return Err(unsupported("encryption".into()));
        }
        Ok(Self { kind, version, header_len, store, id: FileId { epoch, number } })
    }

    /// Checks that the file is what it is taken for.
    ///
    /// # Errors
    /// `Unsupported` for a version above `version_max`, `Corrupt` for another kind, store or file.
    pub fn require(
        &self,
        path: &Path,
        kind: FileKind,
        version_max: u16,
        store: &[u8; 16],
        id: FileId,
    ) -> Result<()> {
        let wrong = |offset, expected: String, found: String| {
            Err(Error::corrupt(path, offset, expected, found, "the whole file"))
        };
        if self.kind != kind {
            return wrong(8, format!("{kind:?}"), format!("{:?}", self.kind));
        }
        if self.version == 0 || self.version > version_max {
            return Err(Error::Unsupported {
                path: path.to_path_buf(),
                what: format!("format version {} of {kind:?} (known up to {version_max})", self.version),
            });
        }
        if self.store != *store {
            return wrong(16, "a file of this store".into(), "a file of another store".into());
        }
        if self.id != id {
            return wrong(32, format!("file {}", id.file_name(kind)), self.id.file_name(kind));
        }
        Ok(())
    }
}
