//! Space in the log, reserved before numbers are given out.
//!
//! The tail segment has a reserved part (`fallocate`), in which frames are placed. When it is used up, whoever needs more extends it
//! outside the critical section: from 256 KiB doubling up to the segment size, so a small store holds little empty space. A
//! segment that is reserved to its full size gets a successor prepared in the background: a file with its name synced and its
//! whole length reserved, so that rolling over is a change of state without I/O.

use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::path::PathBuf;
use std::sync::Arc;

use crate::sync::Mutex;

use super::inner::Inner;
use super::pipeline::Pipeline;
use crate::codec::{FileId, FileKind};
use crate::env::{Access, File, JobClass};
use crate::error::IoContext;
use crate::limits::Limits;
use crate::log::{FrameKind, SEGMENT_HEADER_LEN};
use crate::{Error, Result};

/// A segment's file while it is being written.
pub(crate) struct SegmentFile {
    pub(crate) id: FileId,
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn File>,
    pub(crate) salt: u64,
    /// Bytes from the front that are reserved.
    pub(crate) reserved: AtomicU64,
    /// It ends in a clean-close mark: space behind the mark must be durable before the next frame is anywhere, here or in the next
    /// segment, or a power cut could take that frame and leave what looks like a clean close.
    pub(crate) must_sync: AtomicBool,
    /// Held while it is synced; whether that ever failed.
    pub(crate) sync_failed: Mutex<bool>,
}

/// The segment that frames are placed in.
pub(crate) struct Tail {
    pub(crate) segment: Arc<SegmentFile>,
    /// Where the next frame goes.
    pub(crate) offset: u64,
    /// Records placed in it so far.
    pub(crate) records: u64,
}

impl Pipeline {
    /// A place for a frame, rolling over to the spare if need be; `None` if there is no reserved room.
    pub(crate) fn place(
        &mut self,
        len: usize,
        records: u64,
        limits: &Limits,
    ) -> Option<(Arc<SegmentFile>, u64)> {
        let len = len as u64;
        if self.tail.segment.must_sync.load(Ordering::Acquire) && !planted!("clean close outlives commits") {
            return None;
        }
        if self.tail.is_full_for(len, records, limits) {
            let spare = self.spare.as_ref()?;
            if spare.reserved.load(Ordering::Acquire) < SEGMENT_HEADER_LEN as u64 + len {
                return None;
            }
            probe!("pipeline: roll over to the spare");
            let segment = self.spare.take()?;
            self.tail = Tail { segment, offset: SEGMENT_HEADER_LEN as u64, records: 0 };
        }
        let end = self.tail.offset.checked_add(len)?;
        if end > self.tail.segment.reserved.load(Ordering::Acquire) {
            return None;
        }
        let offset = self.tail.offset;
        self.tail.offset = end;
        self.tail.records = self.tail.records.saturating_add(records);
        Some((self.tail.segment.clone(), offset))
    }
}

impl Tail {
    /// Whether a frame must go to the next segment. An empty segment takes any frame.
    fn is_full_for(&self, len: u64, records: u64, limits: &Limits) -> bool {
        let empty = self.records == 0;
        let bytes = self.offset.saturating_add(len) > limits.segment_bytes;
        let count = self.records.saturating_add(records) > u64::from(limits.segment_records);
        !empty && (bytes || count)
    }
}

impl Inner {
    /// Makes room for a frame of `len` bytes with `records` records, by extending the tail or preparing the next segment.
    pub(crate) fn make_space(&self, len: usize, records: u64, kind: FrameKind) -> Result<()> {
        let _one_at_a_time = self.space.lock();
        if kind != FrameKind::CleanClose {
            // The directory may be somebody else's by now.
            self.check_writable()?;
        }
        let limits = &self.options.limits;
        let len = len as u64;
        let (segment, needed, spare) = {
            let pipeline = self.pipeline.lock();
            let tail = &pipeline.tail;
            if tail.segment.must_sync.load(Ordering::Acquire) && !planted!("clean close outlives commits") {
                let (segment, full) = (tail.segment.clone(), tail.is_full_for(len, records, limits));
                let needed = if full { 0 } else { tail.offset.saturating_add(len) };
                drop(pipeline);
                return self.outgrow_mark(&segment, needed);
            }
            if tail.is_full_for(len, records, limits) {
                (None, SEGMENT_HEADER_LEN as u64 + len, pipeline.spare.clone())
            } else {
                (Some(tail.segment.clone()), tail.offset.saturating_add(len), None)
            }
        };
        match segment.or(spare) {
            Some(segment) => {
                extend(&segment, needed, limits)?;
                // Behind the log's own need: a reserve that was just given up for that is not taken back before it.
                if needed > limits.reserve_first {
                    self.hold_reserve();
                }
                Ok(())
            }
            None => {
                let segment = self.create_segment(needed)?;
                self.pipeline.lock().spare = Some(segment);
                Ok(())
            }
        }
    }

    /// Makes space behind a clean-close mark durable, so that the mark is not the end of its file any more.
    fn outgrow_mark(&self, segment: &SegmentFile, needed: u64) -> Result<()> {
        let reserved = segment.reserved.load(Ordering::Acquire);
        let step = needed.max(reserved.saturating_add(self.options.limits.reserve_first));
        if step > self.options.limits.reserve_first {
            self.hold_reserve();
        }
        // Shown to nobody before it is durable.
        allocate(segment, step)?;
        segment.sync().map_err(|error| self.latch(&error))?;
        segment.must_sync.store(false, Ordering::Release);
        segment.reserved.store(step, Ordering::Release);
        Ok(())
    }

    /// A new segment file with its name synced and `needed` bytes (at least a first step) reserved. Nothing is written.
    pub(crate) fn create_segment(&self, needed: u64) -> Result<Arc<SegmentFile>> {
        // A manifest that takes no more commits ends this life of the store: its caller is told so, and so is the next.
        let id = self.latching(self.manifest.allocate_file())?;
        let path = self.path.join(id.file_name(FileKind::Segment));
        let fs = &self.env.fs;
        let file = fs.open(&path, Access::CreateNew).context("create", &path)?;
        let segment = Arc::new(SegmentFile {
            id,
            path,
            file,
            salt: self.env.rng.next_u64(),
            reserved: AtomicU64::new(0),
            must_sync: AtomicBool::new(false),
            sync_failed: Mutex::new(false),
        });
        let made = extend(&segment, needed, &self.options.limits).and_then(|()| {
            // A failed sync is never retried, nor is one of the directory: other names may have been lost with this one.
            if planted!("segment name not synced") {
                return Ok(());
            }
            fs.sync_dir(&self.path).context("sync", &self.path).map_err(|e| self.latch(&e))
        });
        if let Err(e) = made {
            // Nothing was written to it; if this fails too, the next open removes it.
            let _ = fs.remove_file(&segment.path);
            return Err(e);
        }
        Ok(segment)
    }

    /// Prepares the next segment in the background once the tail is reserved to its end.
    pub(crate) fn prepare_spare(self: &Arc<Self>) {
        let wanted = {
            let pipeline = self.pipeline.lock();
            let full =
                pipeline.tail.segment.reserved.load(Ordering::Acquire) >= self.options.limits.segment_bytes;
            let half = pipeline.tail.offset >= self.options.limits.segment_bytes / 2;
            full && half && pipeline.spare.is_none()
        };
        if wanted && self.background.begin_spare() {
            let weak = Arc::downgrade(self);
            self.env.jobs.spawn(
                JobClass::Urgent,
                Box::new(move || {
                    let Some(inner) = weak.upgrade() else { return };
                    let _one_at_a_time = inner.space.lock();
                    if inner.pipeline.lock().spare.is_none() && inner.check_writable().is_ok() {
                        // A failure here is not an error yet: whoever needs the space tries again and reports it.
                        match inner.create_segment(inner.options.limits.segment_bytes) {
                            Ok(segment) => inner.pipeline.lock().spare = Some(segment),
                            Err(error) => tracing::warn!(%error, "could not prepare a segment ahead"),
                        }
                    }
                    inner.background.end_spare();
                }),
            );
        }
    }
}

/// Makes the file system find the space up to `target`.
fn allocate(segment: &SegmentFile, target: u64) -> Result<()> {
    let reserved = segment.reserved.load(Ordering::Acquire);
    let space = segment.file.allocate(reserved, target.saturating_sub(reserved));
    space.map_err(|source| Error::io("reserve log space in", &segment.path, source))
}

/// Reserves `needed` bytes of a segment, or more: the next step of the doubling.
fn extend(segment: &SegmentFile, needed: u64, limits: &Limits) -> Result<()> {
    let reserved = segment.reserved.load(Ordering::Acquire);
    if reserved >= needed {
        return Ok(());
    }
    let step = reserved
        .saturating_mul(2)
        .clamp(limits.reserve_first, limits.segment_bytes.max(limits.reserve_first));
    let target = needed.max(step);
    let result = match segment.file.allocate(reserved, target.saturating_sub(reserved)) {
        // Nearly full: what is needed may still fit.
        Err(_) if target > needed => {
            segment.file.allocate(reserved, needed.saturating_sub(reserved)).map(|()| needed)
        }
        other => other.map(|()| target),
    };
    match result {
        Ok(reserved) => {
            segment.reserved.store(reserved, Ordering::Release);
            Ok(())
        }
        Err(source) => Err(Error::io("reserve log space in", &segment.path, source)),
    }
}
