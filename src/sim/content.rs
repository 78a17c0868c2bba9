//! The bytes of a file as shared pages: copying a file copies pointers, and a write copies only the pages it touches.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

/// A page, and a block of the simulated disk.
pub(super) const PAGE: usize = 4096;
const PAGE_U64: u64 = PAGE as u64;

type Page = [u8; PAGE];

static ZEROS: LazyLock<Arc<Page>> = LazyLock::new(|| Arc::new([0; PAGE]));

/// Sparse content: a page that is not there reads as zeros and holds no space.
#[derive(Clone, Default)]
pub(super) struct Content {
    pages: BTreeMap<u64, Arc<Page>>,
    pub(super) len: u64,
}

/// The pages that `offset..offset + len` touches.
fn span(offset: u64, len: u64) -> std::ops::Range<u64> {
    if len == 0 {
        return 0..0;
    }
    offset / PAGE_U64..(offset.saturating_add(len - 1) / PAGE_U64).saturating_add(1)
}

/// Cuts `offset..offset + len` at page borders: (page, place in it, length).
fn pieces(mut offset: u64, mut len: usize) -> impl Iterator<Item = (u64, usize, usize)> {
    std::iter::from_fn(move || {
        (len != 0).then(|| {
            let at = usize::try_from(offset % PAGE_U64).unwrap_or_default();
            let n = len.min(PAGE - at);
            let page = offset / PAGE_U64;
            offset = offset.saturating_add(n as u64);
            len -= n;
            (page, at, n)
        })
    })
}

impl Content {
    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        let mut content = Self { pages: BTreeMap::new(), len: bytes.len() as u64 };
        content.write(bytes, 0);
        content
    }

    /// Reads up to the end of the file; answers how much.
    pub(super) fn read(&self, buf: &mut [u8], offset: u64) -> usize {
        let n = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX).min(buf.len());
        let mut rest = buf.get_mut(..n).unwrap_or_default();
        for (page, at, n) in pieces(offset, n) {
            let (now, later) = rest.split_at_mut(n);
            match self.pages.get(&page).and_then(|page| page.get(at..at + n)) {
                Some(bytes) => now.copy_from_slice(bytes),
                None => now.fill(0),
            }
            rest = later;
        }
        n
    }

    pub(super) fn to_vec(&self) -> Vec<u8> {
        self.slice(0, self.len)
    }

    /// The bytes of a range, cut at the end of the file.
    pub(super) fn slice(&self, offset: u64, len: u64) -> Vec<u8> {
        let n = len.min(self.len.saturating_sub(offset));
        let mut out = vec![0; usize::try_from(n).unwrap_or_default()];
        self.read(&mut out, offset);
        out
    }

    /// Writes without touching the length: bytes behind the end stay unseen until the length covers them.
    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) {
        let mut rest = bytes;
        for (page, at, n) in pieces(offset, bytes.len()) {
            let (now, later) = rest.split_at(n);
            let page = self.pages.entry(page).or_insert_with(|| Arc::clone(&ZEROS));
            if let Some(to) = Arc::make_mut(page).get_mut(at..at + n) {
                to.copy_from_slice(now);
            }
            rest = later;
        }
    }

    /// Cuts what is behind `len`, or extends with a hole.
    pub(super) fn set_len(&mut self, len: u64) {
        self.len = len;
        let first_gone = len.div_ceil(PAGE_U64);
        if self.pages.last_key_value().is_some_and(|(last, _)| *last >= first_gone) {
            self.pages.split_off(&first_gone);
        }
        let at = usize::try_from(len % PAGE_U64).unwrap_or_default();
        if at != 0
            && let Some(page) = self.pages.get_mut(&(len / PAGE_U64))
            && page.iter().skip(at).any(|byte| *byte != 0)
            && let Some(tail) = Arc::make_mut(page).get_mut(at..)
        {
            tail.fill(0);
        }
    }

    /// Gives every page of the range a place on the disk.
    pub(super) fn reserve(&mut self, offset: u64, len: u64) {
        for page in span(offset, len) {
            self.pages.entry(page).or_insert_with(|| Arc::clone(&ZEROS));
        }
    }

    /// How many pages of the range have no place yet.
    pub(super) fn missing(&self, offset: u64, len: u64) -> u64 {
        let span = span(offset, len);
        let there = self.pages.range(span.clone()).count() as u64;
        (span.end - span.start).saturating_sub(there)
    }

    /// Blocks held.
    pub(super) fn blocks(&self) -> u64 {
        self.pages.len() as u64
    }

    /// Takes over the pages of a range.
    pub(super) fn adopt(&mut self, from: &Self, offset: u64, len: u64) {
        for page in span(offset, len) {
            match from.pages.get(&page) {
                Some(bytes) => _ = self.pages.insert(page, Arc::clone(bytes)),
                None => _ = self.pages.remove(&page),
            }
        }
    }

    /// Whether both read alike.
    pub(super) fn same(&self, other: &Self) -> bool {
        let zero = &*ZEROS;
        let keys = self.pages.keys().chain(other.pages.keys());
        self.len == other.len
            && keys.into_iter().all(|key| {
                let (a, b) = (self.pages.get(key).unwrap_or(zero), other.pages.get(key).unwrap_or(zero));
                Arc::ptr_eq(a, b) || a == b
            })
    }
}
