//! What going through a damaged segment costs.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::mem_fs::MemFs;
use super::support::*;
use crate::codec::PartState;
use crate::env::{Access, File, Fs};
use crate::log::*;

/// Counts what is read.
struct Counting {
    inner: Arc<dyn File>,
    bytes: AtomicU64,
}

impl File for Counting {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let n = self.inner.read_at(buf, offset)?;
        self.bytes.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        Err(io::Error::other("not written to"))
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(io::Error::other("not written to"))
    }

    fn allocate(&self, _: u64, _: u64) -> io::Result<()> {
        Err(io::Error::other("not written to"))
    }

    fn map(&self, len: u64) -> io::Result<bytes::Bytes> {
        self.inner.map(len)
    }

    fn link_count(&self) -> io::Result<u64> {
        self.inner.link_count()
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Where {
    Heads,
    Contents,
}

/// Goes through a segment of `frames` commits of `content` bytes, none of which was promised, with `spots` of them damaged. Answers its length, and
/// how many bytes were read.
fn cost(frames: usize, content: usize, spots: usize, harm: Where) -> (u64, u64) {
    let fs = MemFs::new();
    let mut log = Writer::new(&fs);
    let text = "a content that is not too short ".repeat(content / 32 + 1);
    for n in 0..frames {
        // Nothing that compresses it away.
        let unit = UnitDraft::uncompressed(bytes::Bytes::from(format!("{n} {text}")));
        let RecordDraft::Revision { entity, kind, flags, authored_time, content, cold, .. } = put("page", "")
        else {
            panic!("a revision")
        };
        let units = vec![unit];
        log.commit(vec![RecordDraft::Revision { entity, kind, flags, authored_time, content, units, cold }]);
    }
    let mut bytes = fs.get(&log.path());
    let step = frames / spots;
    for (at, _) in log.frames.iter().skip(1).step_by(step) {
        let end = log.frames.iter().map(|(at, _)| *at).find(|next| next > at).unwrap_or(bytes.len() as u64);
        let place = match harm {
            Where::Heads => at + 40,
            Where::Contents => end - 20,
        };
        bytes[place as usize] ^= 1;
    }
    fs.put(&log.path(), &bytes);
    let inner = fs.open(&log.path(), Access::Read).unwrap();
    let counting = Arc::new(Counting { inner, bytes: AtomicU64::new(0) });
    let file: Arc<dyn File> = counting.clone();
    let mut found = 0;
    dissect_segment(&file, &log.path(), VerifyDepth::Stored, &mut |item| {
        if let SegmentItem::Part(part) = item {
            found += usize::from(matches!(part.state, PartState::Damaged(_) | PartState::Torn(_)));
        }
        Ok(())
    })
    .unwrap();
    assert!(found >= spots, "{found} of {spots} were found");
    (bytes.len() as u64, counting.bytes.load(Ordering::Relaxed))
}

#[test]
fn the_rest_of_a_segment_is_not_read_anew_for_each_damaged_frame() {
    for harm in [Where::Heads, Where::Contents] {
        let (len, few) = cost(6000, 64, 10, harm);
        let (_, many) = cost(6000, 64, 1000, harm);
        // Beside each spot some window is read: no share of the file.
        let window = 3 * (64 << 10);
        assert!(few < 8 * len, "{harm:?}: {few} of {len}");
        assert!(many < 8 * len + 1000 * window, "{harm:?}: {many} of {len}");
    }
}

#[test]
#[ignore = "measures: cargo test --release --lib log::tests::dissect -- --ignored --nocapture"]
#[allow(clippy::disallowed_methods, reason = "measures")]
fn measure_a_full_segment() {
    for harm in [Where::Heads, Where::Contents] {
        for spots in [10, 300, 3000] {
            let start = std::time::Instant::now();
            let (len, read) = cost(60_000, 1000, spots, harm);
            println!("{harm:?}, {spots} spots in {len} bytes: {read} read, {:?}", start.elapsed());
        }
    }
}
