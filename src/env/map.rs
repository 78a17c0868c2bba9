//! Memory maps: the one place with `unsafe`.
//!
//! # Why it is sound
//!
//! A map is undefined behaviour if the mapped bytes change under a `&[u8]`. Only sealed files are mapped: tables and packs, and
//! sealed segments. They were completed and synced before their first reader opened them, are never written, cut or extended
//! again, and are removed only by unlinking their name, which leaves the mapped pages in place. The length is checked against
//! the file before mapping, so no page lies wholly behind the end. Another process that writes into the store's files breaks this,
//! as it breaks everything else; the lock file keeps our own processes from doing so.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, ErrorKind};

use bytes::Bytes;

/// Maps the first `len` bytes.
pub(super) fn map(file: &File, len: u64) -> io::Result<Bytes> {
    if len == 0 {
        return Ok(Bytes::new());
    }
    if file.metadata()?.len() < len {
        return Err(io::Error::new(
            ErrorKind::UnexpectedEof,
            "the file is shorter than it was when it was finished",
        ));
    }
    let len = usize::try_from(len).map_err(|_| io::Error::from(ErrorKind::FileTooLarge))?;
    // SAFETY: see the module's opening words: the file is never changed again, and `len` bytes are there.
    let map = unsafe { memmap2::MmapOptions::new().len(len).map(file)? };
    Ok(Bytes::from_owner(map))
}
