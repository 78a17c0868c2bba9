//! Packing: sealed segments are rewritten so that the revisions of one entity stand together (design §6).
//!
//! ```text
//! announce the pack ─ write it ─ sync it ─ sync its name ─ verify it ─ one manifest edit ─ exchange the value map ─ delete the segment
//! └────── a crash here leaves the segment; what was written is removed at the next open ──┘└── a crash here leaves the pack ──┘
//! ```
//!
//! 1. **The source is deleted only after its successor is durable and audited.** Every content was decoded again and compared with its
//!    digest while the pack was made; then the file is read back: all checksums, and that directory, locators and groups agree.
//! 2. One edit of the manifest removes the segment and adds the pack. If it was the newest segment, the edit remembers its end, which the
//!    header of the segment behind it names.
//! 3. Whoever has the old value map reads on from the segment; its name goes when the last of them is done.
//! 4. A segment that is damaged or cannot be read is not packed and nothing is latched: it is as readable as before, and `check` names what is
//!    wrong (`unpackable`). Nor does a pack latch that cannot be written: it is given up, and tried again later. A failed sync does.
//! 5. Sealed segments are durable, so nothing here waits for the log.

use crate::sync::atomic::Ordering;
use std::cell::RefCell;
use std::io::ErrorKind;
use std::sync::Arc;

use super::Progress;
use super::inner::Inner;
use super::tail_blocks::TailBlocks;
use super::unpackable::is_failed_sync;
use super::values::ValueEntry;
use crate::codec::{FileId, FileKind};
use crate::env::Access;
use crate::error::IoContext;
use crate::index::annotations::Erasures;
use crate::log::{BlockCache, SealedSegment, VerifyDepth};
use crate::manifest::{Edit, PackedEnd, ValueFileInfo};
use crate::pack::{PackInput, PackOptions, PackRequest, Rectangle, pack_erasing};
use crate::{Error, Result};

/// A segment becomes a pack of about so much of its size at best.
const SMALLEST_OF: u64 = 8;

impl Inner {
    /// The oldest segment that is to be packed.
    pub(crate) fn next_to_pack(&self) -> Option<ValueFileInfo> {
        let state = self.manifest.state();
        let unpackable = self.background.unpackable.lock();
        let segments = state.value_files.values().filter(|file| {
            file.kind == FileKind::Segment && file.records > 0 && !unpackable.contains(&file.id)
        });
        segments.min_by_key(|file| file.sequence_first).cloned()
    }

    /// Packs one segment; `false` if there is none to pack. `Cancelled` leaves everything as it was.
    pub(crate) fn pack_one(self: &Arc<Self>, cancel: &dyn Fn() -> bool) -> Result<bool> {
        let _one_at_a_time = self.background.packing.turn();
        self.check_writable()?;
        let Some(segment) = self.next_to_pack() else { return Ok(false) };
        self.pack_segment(&segment, cancel)?;
        Ok(true)
    }

    /// Ends the active segment and packs all that there is.
    pub(crate) fn pack_all(self: &Arc<Self>, progress: &mut Progress<'_>) -> Result<()> {
        self.check_writable()?;
        let _hurry = self.background.packing.hurry();
        self.roll_over()?;
        // Whoever rolled over, the group that did is written now, and its segment queued for sealing.
        self.sync()?;
        if self.is_replay_long() {
            // After an import the store is closed; what that would flush is flushed meanwhile.
            self.rotate_what_is_there();
            self.flush_in_background();
        }
        self.seal_all()?;
        let progress = RefCell::new(progress);
        let mut done = 0;
        while let Some(next) = self.next_to_pack() {
            let of = self.segments_to_pack().1.saturating_add(done);
            progress.borrow_mut().step("pack", done, of)?;
            let stop = || self.is_ending() || progress.borrow_mut().step("pack", done, of).is_err();
            self.latching(self.pack_one(&stop))?;
            done = done.saturating_add(next.len);
        }
        progress.borrow_mut().step("pack", done, done)
    }

    /// Packs all that there is, merges it into one run, and compresses anew what could be compressed better.
    pub(crate) fn pack_fully(self: &Arc<Self>, progress: &mut Progress<'_>) -> Result<()> {
        let background = &self.background.packing_fully;
        if background.swap(true, Ordering::AcqRel) {
            return Err(Error::invalid("a full compaction is running already"));
        }
        let _hurry = self.background.packing.hurry();
        // Asked for: what could not be read before is tried again.
        self.background.unpackable.lock().clear();
        let done = self.pack_all(progress).and_then(|()| self.merge_fully(progress));
        background.store(false, Ordering::Release);
        self.pack_in_background();
        done
    }

    fn merge_fully(self: &Arc<Self>, progress: &mut Progress<'_>) -> Result<()> {
        let progress = RefCell::new(progress);
        let mut done = 0_u64;
        // What is written from now on is not waited for: there would be no end to it.
        let up_to = self.runs().last().map_or(0, |run| run.last);
        loop {
            progress.borrow_mut().step("merge", done, 0)?;
            let _one_at_a_time = self.background.packing.turn();
            self.check_writable()?;
            let Some(merge) = self.next_full_merge(up_to)? else { return Ok(()) };
            let stop = || self.is_ending() || progress.borrow_mut().step("merge", done, 0).is_err();
            self.latching(self.packing_meanwhile(&stop, &|stop| self.merge_part(&merge, stop)))?;
            done = done.saturating_add(1);
        }
    }

    /// Segments that wait to be packed: how many, and their bytes.
    pub(crate) fn segments_to_pack(&self) -> (u64, u64) {
        let state = self.manifest.state();
        let unpackable = self.background.unpackable.lock();
        let waiting = state.value_files.values();
        let waiting = waiting.filter(|it| it.kind == FileKind::Segment && !unpackable.contains(&it.id));
        waiting.fold((0, 0), |(files, bytes), file| (files + 1, bytes.saturating_add(file.len)))
    }

    pub(super) fn pack_segment(&self, info: &ValueFileInfo, cancel: &dyn Fn() -> bool) -> Result<()> {
        self.require_space("make a pack", info.len / SMALLEST_OF)?;
        let store = self.manifest.state().store;
        let path = self.manifest.files().path(info.id, FileKind::Segment);
        let handle = self.manifest.files().open(info.id, FileKind::Segment);
        let opened = handle.and_then(|handle| {
            let blocks: Arc<dyn BlockCache> = Arc::new(TailBlocks::default());
            SealedSegment::open_file(handle.file().clone(), &path, info, &store, Some(blocks))
        });
        let Some(segment) = self.packable(info.id, opened)? else { return Ok(()) };
        let end = PackedEnd {
            id: info.id,
            len: info.len,
            sequence: info.sequence_last,
            checksum: info.last_checksum,
            commit_time: segment.trailer().last_commit_time,
        };
        let input = PackInput::Segment(Arc::new(segment));
        let rectangle = Rectangle {
            sequence_first: info.sequence_first,
            sequence_last: info.sequence_last,
            entity_first: info.entity_first.clone(),
            entity_last: info.entity_last.clone(),
        };
        let erasures = self.erasures();
        let made = self.make_pack(&[input], rectangle, info, &erasures, PackOptions::FAST, cancel);
        let Some((pack, entry)) = self.packable(info.id, made)? else { return Ok(()) };
        let _installing = self.install_lock.lock();
        let mut edits = vec![Edit::RemoveValueFile(info.id), Edit::AddValueFile(pack)];
        if self.manifest.state().packed_end.is_none_or(|before| before.sequence < end.sequence) {
            edits.push(Edit::SetPackedEnd(end));
        }
        if planted!("segment deleted before its pack is installed") {
            let _ = self.env.fs.remove_file(&path);
        }
        self.with_reserve(|| self.manifest.commit(edits.clone()))?;
        let _exchanging = self.view_lock.lock();
        self.values.store(Arc::new(self.values.load().replaced(&[info.id.number], [entry])));
        probe!("pack: installed");
        tracing::debug!(file = info.id.number, segment_bytes = info.len, "a segment was packed");
        self.background
            .waiting_to_pack
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
            .ok();
        self.counters.packs.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Writes a pack, audits it and makes it durable. After an error its file is gone, or will be at the next opening.
    pub(super) fn make_pack(
        &self,
        inputs: &[PackInput],
        rectangle: Rectangle,
        newest: &ValueFileInfo,
        erasures: &dyn Erasures,
        options: PackOptions,
        cancel: &dyn Fn() -> bool,
    ) -> Result<(ValueFileInfo, ValueEntry)> {
        let announced = self.manifest.announce(FileKind::Pack, 1)?;
        let Some(id) = announced.first().copied() else {
            return Err(Error::invalid("internal: no file number"));
        };
        let request = PackRequest {
            store: self.manifest.state().store,
            id,
            rectangle,
            generation: newest.generation.saturating_add(1),
            annotation_watermark: newest.annotation_watermark.max(erasures.up_to()),
            last_checksum: newest.last_checksum,
            options: PackOptions {
                group_contents: self.options.limits.pack_group_contents,
                directory_records: self.options.limits.pack_directory_records,
                ..options
            },
        };
        let made = self.write_pack(inputs, erasures, &request, cancel);
        match made {
            Err(error) if !is_failed_sync(&error) => {
                match self.give_up_pack(id) {
                    // Names that others gave may be lost with it.
                    Err(sync) if is_failed_sync(&sync) => return Err(sync),
                    Err(error) => tracing::warn!(%error, "could not remove a pack that was not finished"),
                    Ok(()) => {}
                }
                Err(error)
            }
            made => made,
        }
    }

    fn write_pack(
        &self,
        inputs: &[PackInput],
        erasures: &dyn Erasures,
        request: &PackRequest,
        cancel: &dyn Fn() -> bool,
    ) -> Result<(ValueFileInfo, ValueEntry)> {
        let fs = &self.env.fs;
        let path = self.manifest.files().path(request.id, FileKind::Pack);
        let info = pack_erasing(&**fs, &path, inputs, erasures, request, &self.background.packing, cancel)?;
        self.counters.pack_bytes.fetch_add(info.len, Ordering::Relaxed);
        let dir = self.manifest.dir();
        if !planted!("pack name not synced") {
            fs.sync_dir(dir).context("sync the directory", dir)?;
        }
        let entry = ValueEntry::open(&self.manifest, &info, Some(&self.cache))?;
        // What was written is read from the disk, not from memory.
        fs.open(&path, Access::Read)
            .and_then(|file| file.drop_cache())
            .context("drop the cached pages of", &path)?;
        entry.file.verify_stored(VerifyDepth::Stored, cancel)?;
        Ok((info, entry))
    }

    /// Removes a pack that is not wanted any more.
    fn give_up_pack(&self, id: FileId) -> Result<()> {
        let path = self.manifest.files().path(id, FileKind::Pack);
        match self.env.fs.remove_file(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            other => other.context("remove", &path)?,
        }
        let dir = self.manifest.dir();
        self.env.fs.sync_dir(dir).context("sync the directory", dir)?;
        self.manifest.commit(vec![Edit::IntentDone(id)]).map(drop)
    }
}
