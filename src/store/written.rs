//! What was written over all openings: for the accounts.
//!
//! Counters speak of one opening. `close` adds them to what the manifest keeps, in the commit that it makes anyway. An opening that was not closed
//! is not in it: what is told is what is known, and a count that is kept beside each write would be a write more.

use crate::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::inner::Inner;
use crate::codec::put_u64;
use crate::manifest::{Edit, State};

/// The manifest's option that keeps it.
const KEY: &str = "written";

/// Bytes written for bytes of contents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// Bytes written to the log, to tables and to packs.
    pub to_files: u64,
    /// Bytes of contents committed, uncompressed.
    pub raw: u64,
}

impl Written {
    /// Bytes written for each byte of contents.
    pub fn amplification(&self) -> Option<f64> {
        (self.raw > 0).then(|| self.to_files as f64 / self.raw as f64)
    }

    fn and(self, other: Self) -> Self {
        Self {
            to_files: self.to_files.saturating_add(other.to_files),
            raw: self.raw.saturating_add(other.raw),
        }
    }

    fn kept(state: &State) -> Self {
        let Some(value) = state.options.get(KEY) else { return Self::default() };
        let number = |at: usize| {
            let bytes = value.get(at..at.saturating_add(8)).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
            bytes.map_or(0, u64::from_le_bytes)
        };
        Self { to_files: number(0), raw: number(8) }
    }
}

impl Inner {
    /// In this opening.
    fn written_now(&self) -> Written {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
        let to_files = load(&counters.log_bytes)
            .saturating_add(load(&counters.table_bytes))
            .saturating_add(load(&counters.pack_bytes));
        Written { to_files, raw: load(&counters.raw_bytes) }
    }

    /// In all openings that were closed, and this one.
    pub(crate) fn written_ever(&self, state: &State) -> Written {
        Written::kept(state).and(self.written_now())
    }

    /// What `close` has the manifest keep; `None` if this opening wrote nothing.
    pub(crate) fn keep_written(&self, state: &State) -> Option<Edit> {
        if self.written_now() == Written::default() {
            return None;
        }
        let all = self.written_ever(state);
        let mut value = Vec::with_capacity(16);
        put_u64(&mut value, all.to_files);
        put_u64(&mut value, all.raw);
        Some(Edit::SetOption { key: KEY.into(), value: Bytes::from(value) })
    }
}
