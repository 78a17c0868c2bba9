//! A file that is gone through without being believed: bytes as far as there are any, and the search for a flipped bit.
//!
//! What all `dissect` modules share.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::Result;
use crate::codec::{Flip, Sum, find_flip};
use crate::env::{File, read_at_most};
use crate::error::IoContext;

/// A file under suspicion.
#[derive(Clone, Copy)]
pub(crate) struct Suspect<'a> {
    /// The file.
    pub file: &'a Arc<dyn File>,
    /// Where it is, for errors and for what its name says.
    pub path: &'a Path,
}

impl Suspect<'_> {
    /// Bytes of the file, fewer at its end.
    pub fn read(&self, at: u64, len: usize) -> Result<Bytes> {
        let mut bytes = vec![0; len];
        let n = read_at_most(&**self.file, &mut bytes, at).context("read", self.path)?;
        bytes.truncate(n);
        Ok(Bytes::from(bytes))
    }

    /// The single bit that explains a wrong checksum.
    pub fn flip(&self, sum: &Sum) -> Result<Option<Flip>> {
        find_flip(sum, &mut |at, len| self.read(at, len))
    }
}
