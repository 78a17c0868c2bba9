//! The start of a stream, read ahead.

use std::io::{self, Read};

/// Gives what was read ahead, then the error that ended it if there was one, then the rest.
pub(super) struct Head<R> {
    bytes: Vec<u8>,
    given: usize,
    error: Option<io::Error>,
    rest: R,
}

impl<R: Read> Head<R> {
    /// Reads up to `len` bytes ahead. An error is kept for later.
    pub fn read(mut rest: R, len: usize) -> Self {
        let mut bytes = Vec::new();
        let error = rest.by_ref().take(len as u64).read_to_end(&mut bytes).err();
        Self { bytes, given: 0, error, rest }
    }

    /// What was read ahead.
    pub fn ahead(&self) -> &[u8] {
        &self.bytes
    }
}

impl<R: Read> Read for Head<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.bytes.get(self.given..).unwrap_or_default().read(buf)?;
        self.given += len;
        if len > 0 || buf.is_empty() {
            return Ok(len);
        }
        match self.error.take() {
            Some(error) => Err(error),
            None => self.rest.read(buf),
        }
    }
}
