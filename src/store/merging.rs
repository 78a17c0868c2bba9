//! Merging packs in tiers.
//!
//! ```text
//! sequence ►  ┌────────────┬─────┬─────┬──┬──┬──┐      a merge of the last three, half done:   ┌────┬─────────┐
//!             │   tier 2   │  1  │  1  │0 │0 │0 │                                          n │ 0  │ 0  │ 0  │   parts by
//!             │            │     │     │  │  │  │                                          ▲ ├────┴────┴────┤   entity, one
//!             └────────────┴─────┴─────┴──┴──┴──┘                                          a │     1, new   │   edit each
//!                                                                                            └──────────────┘
//! ```
//! Packs that share sequence numbers are a *run*: parts of it by entity, or a merge that is half done. When enough neighbouring runs are of one
//! size, they become one run of the next size: the revisions of an entity that were spread over them then fill groups.
//!
//! 1. A merge goes from the smallest entities to the largest, part by part. Each part is one edit of the manifest: the part is added, and of
//!    every source the rectangle is cut down to what is left, or it is removed. So no more than a part and what is left of its sources
//!    takes space twice, and a crash leaves a state that is as good as any.
//! 2. A merge that is half done is finished before another one begins; but where there are many runs (`turns`), smaller ones of a lower tier go first,
//!    or packs would gather for as long as a large one takes. What is half done is not merged with anything else.
//! 3. It is done if it pays: if the groups that it fills are expected to save enough of the bytes that it writes. Full groups are copied. `pack_runs`
//!    neighbours are merged also if it does not pay, each being a file that is kept open, if enough of them are of the largest one's tier: so a
//!    byte is written anew for that at most once a tier, and a large run not each time small ones have gathered behind it.
//! 4. Memory is bounded by the changes of a part, and by a sample of the entities where a part must end.
//! 5. What is damaged or cannot be read is left as it is (`unpackable`).

use crate::sync::atomic::Ordering;
use std::sync::Arc;

use bytes::Bytes;

use super::inner::Inner;
use crate::codec::FileKind;
use crate::manifest::{Edit, ValueFileInfo};
use crate::pack::{Pack, PackInput, PackOptions, Rectangle};
use crate::{Error, Result};

use super::tables::PinnedFile;

/// A content that begins a group costs about so much of its length more than one that follows a neighbour: contents alone compress to
/// about a quarter, with their neighbours to a small part of that.
const FIRST_OF_GROUP: u64 = 4;

/// Value files whose ranges of sequence numbers overlap.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) files: Vec<ValueFileInfo>,
}

impl Run {
    fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.len).sum()
    }

    pub(crate) fn is_packed(&self) -> bool {
        self.files.iter().all(|file| file.kind == FileKind::Pack)
    }

    /// What is not yet part of the run as a whole: something of a merge that is half done, or nothing.
    fn unfinished(&self) -> Vec<ValueFileInfo> {
        let part =
            |file: &&ValueFileInfo| (file.sequence_first, file.sequence_last) != (self.first, self.last);
        self.files.iter().filter(part).cloned().collect()
    }
}

/// What becomes one run.
#[derive(Clone, Debug)]
pub(crate) struct Merge {
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// What is left to be merged of it: everything from its smallest entity on.
    pub(crate) inputs: Vec<ValueFileInfo>,
    pub(crate) options: PackOptions,
    /// Only to leave out what is forgotten: the run need not become whole by it.
    pub(crate) rewrites: bool,
}

impl Merge {
    fn of(runs: &[Run], options: PackOptions) -> Option<Self> {
        let (first, last) = (runs.first()?.first, runs.last()?.last);
        let files = runs.iter().flat_map(|run| &run.files);
        let whole = |file: &&ValueFileInfo| (file.sequence_first, file.sequence_last) == (first, last);
        let inputs: Vec<_> = files.filter(|file| !whole(file)).cloned().collect();
        (!inputs.is_empty()).then_some(Self { first, last, inputs, options, rewrites: false })
    }

    pub(super) fn entity_first(&self) -> Bytes {
        self.inputs.iter().map(|file| file.entity_first.clone()).min().unwrap_or_default()
    }

    /// The largest entity that may be in it; empty: no bound. A part of a run that is compressed anew has one: other parts begin behind it.
    pub(super) fn entity_last(&self) -> Bytes {
        if self.inputs.iter().any(|file| file.entity_last.is_empty()) {
            return Bytes::new();
        }
        self.inputs.iter().map(|file| file.entity_last.clone()).max().unwrap_or_default()
    }
}

impl Inner {
    /// All runs in order.
    pub(crate) fn runs(&self) -> Vec<Run> {
        let state = self.manifest.state();
        // An empty segment covers nothing; a part of a pack without changes covers its rectangle.
        let covers = |file: &&ValueFileInfo| file.sequence_first <= file.sequence_last;
        let mut files: Vec<_> = state.value_files.values().filter(covers).cloned().collect();
        files.sort_by(|a, b| (a.sequence_first, &a.entity_first).cmp(&(b.sequence_first, &b.entity_first)));
        let mut runs: Vec<Run> = Vec::new();
        for file in files {
            match runs.last_mut() {
                Some(run) if file.sequence_first <= run.last => {
                    run.last = run.last.max(file.sequence_last);
                    run.files.push(file);
                }
                _ => {
                    runs.push(Run { first: file.sequence_first, last: file.sequence_last, files: vec![file] })
                }
            }
        }
        runs
    }

    /// Neighbouring runs of packs, as far as nothing else stands between them and they were not found damaged.
    pub(super) fn stretches(&self) -> Vec<Vec<Run>> {
        let unpackable = self.background.unpackable.lock();
        let mut stretches = vec![Vec::new()];
        for run in self.runs() {
            if !run.is_packed() || run.files.iter().any(|file| unpackable.contains(&file.id)) {
                stretches.push(Vec::new());
            } else if let Some(stretch) = stretches.last_mut() {
                stretch.push(run);
            }
        }
        stretches
    }

    /// What background merging would do next.
    pub(crate) fn next_merge(&self) -> Result<Option<Merge>> {
        let stretches = self.stretches();
        let half_done = stretches.iter().flatten().filter(|run| !run.unfinished().is_empty());
        let half_done = half_done.min_by_key(|run| self.tier(run));
        let tiers = match half_done {
            None => stretches.iter().flatten().map(|run| self.tier(run) + 1).max().unwrap_or(0),
            Some(run) if self.has_many_runs() => self.tier(run),
            Some(_) => 0,
        };
        let fan_in = self.options.limits.pack_fan_in.max(2) as usize;
        for tier in 0..tiers {
            let fits = |run: &Run| self.tier(run) <= tier && run.unfinished().is_empty();
            for stretch in &stretches {
                let chunks = stretch.chunk_by(|a, b| fits(a) && fits(b));
                for runs in chunks.filter(|runs| runs.len() >= fan_in) {
                    if self.pays(runs, tier)? {
                        if half_done.is_some() {
                            probe!("merge: a smaller one before one that is half done");
                        }
                        return Ok(Merge::of(runs, PackOptions::FAST));
                    }
                }
            }
        }
        Ok(half_done.and_then(|run| Merge::of(std::slice::from_ref(run), PackOptions::FAST)))
    }

    /// What is left to do for the best layout of what there is up to a change: to merge everything into one run, then to compress better what was compressed fast.
    pub(crate) fn next_full_merge(&self, up_to: u64) -> Result<Option<Merge>> {
        for mut stretch in self.stretches() {
            stretch.retain(|run| run.last <= up_to);
            // A merge that is half done first: what is left of its sources is cut in the manifest only, and would meet what was made of them.
            if let Some(run) = stretch.iter().find(|run| !run.unfinished().is_empty()) {
                return Ok(Merge::of(std::slice::from_ref(run), PackOptions::BEST));
            }
            if let Some(merge) = Merge::of(&stretch, PackOptions::BEST) {
                return Ok(Some(merge));
            }
            for info in stretch.iter().flat_map(|run| &run.files) {
                let Some(pack) = self.packable(info.id, self.open_pack(info))? else { continue };
                if pack.trailer().level < PackOptions::BEST.level.unsigned_abs() {
                    let (first, last) = (info.sequence_first, info.sequence_last);
                    let inputs = vec![info.clone()];
                    let options = PackOptions::BEST;
                    return Ok(Some(Merge { first, last, inputs, options, rewrites: false }));
                }
            }
        }
        Ok(None)
    }

    /// Whether a merge is half done that could go on.
    pub(crate) fn is_merge_unfinished(&self) -> bool {
        self.stretches().iter().flatten().any(|run| !run.unfinished().is_empty())
    }

    pub(crate) fn tier(&self, run: &Run) -> u32 {
        let limits = &self.options.limits;
        let fan_in = u64::from(limits.pack_fan_in.max(2));
        let (mut tier, mut most) = (0, limits.pack_tier_bytes.max(1));
        while run.bytes() > most {
            (tier, most) = (tier + 1, most.saturating_mul(fan_in));
        }
        tier
    }

    /// Whether the bytes saved are worth the bytes rewritten. A merge that was declined is not thought of again until there are other files.
    fn pays(&self, runs: &[Run], tier: u32) -> Result<bool> {
        let (Some(first), Some(last)) = (runs.first(), runs.last()) else { return Ok(false) };
        let range = (first.first, last.last);
        if self.background.declined.lock().contains(&range) {
            return Ok(false);
        }
        let (mut contents, mut groups, mut most, mut raw, mut bytes) = (0_u64, 0_u64, 0, 0_u64, 0_u64);
        for run in runs {
            let mut of_run = 0_u64;
            for file in &run.files {
                let Some(pack) = self.packable(file.id, self.open_pack(file))? else { return Ok(false) };
                contents = contents.saturating_add(pack.trailer().contents);
                of_run = of_run.saturating_add(pack.trailer().groups);
                raw = raw.saturating_add(file.raw_bytes);
                bytes = bytes.saturating_add(file.len);
            }
            groups = groups.saturating_add(of_run);
            most = of_run.max(most);
        }
        let full = contents.div_ceil(u64::from(self.options.limits.pack_group_contents.max(1)));
        let fewer = groups.saturating_sub(full.max(most));
        let saved = fewer.saturating_mul(raw / contents.max(1) / FIRST_OF_GROUP);
        let limits = &self.options.limits;
        let wanted = bytes / 100 * u64::from(limits.pack_gain_percent);
        let largest = runs.iter().filter(|run| self.tier(run) == tier).count();
        let too_many = runs.len() >= limits.pack_runs as usize && largest >= limits.pack_fan_in as usize;
        let pays = saved >= wanted || too_many;
        if !pays {
            self.background.declined.lock().insert(range);
        }
        Ok(pays)
    }

    pub(super) fn open_pack(&self, info: &ValueFileInfo) -> Result<Arc<Pack>> {
        let handle = self.manifest.files().open(info.id, info.kind)?;
        let path = handle.path().to_path_buf();
        let store = self.manifest.state().store;
        Pack::open_file(Arc::new(PinnedFile(handle)), &path, info, &store, None).map(Arc::new)
    }

    /// Does one part of the next merge; `false` if there is none to do. `Cancelled` leaves everything as it was.
    pub(crate) fn merge_one(self: &Arc<Self>, cancel: &dyn Fn() -> bool) -> Result<bool> {
        let _one_at_a_time = self.background.packing.turn();
        self.check_writable()?;
        let Some(merge) = self.next_merge()? else { return Ok(false) };
        self.packing_meanwhile(cancel, &|stop| self.merge_part(&merge, stop))?;
        Ok(true)
    }

    /// Merges the smallest entities of what is left, as many as make a part.
    pub(crate) fn merge_part(&self, merge: &Merge, cancel: &dyn Fn() -> bool) -> Result<()> {
        // What a part writes is at most what it reads.
        let bytes: u64 = merge.inputs.iter().map(|info| info.len).sum();
        self.require_space("make a pack", bytes.min(self.options.limits.pack_part_bytes.saturating_mul(2)))?;
        let mut packs = Vec::with_capacity(merge.inputs.len());
        for info in &merge.inputs {
            let Some(pack) = self.packable(info.id, self.open_pack(info))? else { return Ok(()) };
            packs.push((info, pack));
        }
        let entity_first = merge.entity_first();
        let erasures = self.erasures();
        let end = self.part_end(merge, &packs, &erasures, cancel);
        let Some(entity_last) = self.inputs_packable(merge, end)? else {
            return Ok(());
        };
        // An input that begins behind the part has nothing in it.
        packs.retain(|(info, _)| entity_last.is_empty() || info.entity_first <= entity_last);
        let newest = packs.iter().map(|(info, _)| *info).max_by_key(|info| info.sequence_last);
        let Some(newest) = newest else { return Ok(()) };
        let template = ValueFileInfo {
            generation: packs.iter().map(|(info, _)| info.generation).max().unwrap_or(0),
            annotation_watermark: packs.iter().map(|(info, _)| info.annotation_watermark).min().unwrap_or(0),
            ..newest.clone()
        };
        let rectangle = Rectangle {
            sequence_first: merge.first,
            sequence_last: merge.last,
            entity_first,
            entity_last: entity_last.clone(),
        };
        // Of a file that was cut, what was taken out may be in another input.
        let mut inputs: Vec<PackInput> =
            packs.iter().map(|(info, pack)| PackInput::Part(pack.clone(), rectangle_of(info))).collect();
        if planted!("merge leaves an input out") && inputs.len() > 1 {
            inputs.pop();
        }
        let made = self.make_pack(&inputs, rectangle, &template, &erasures, merge.options, cancel);
        let Some((part, entry)) = self.inputs_packable(merge, made)? else { return Ok(()) };
        if merge.rewrites {
            let Some(()) = self.inputs_packable(merge, require_all(&inputs, &part, cancel))? else {
                return Ok(());
            };
        } else {
            self.require_whole(merge, &part)?;
        }
        let mut edits = Vec::with_capacity(packs.len() * 2 + 1);
        let mut rest = Vec::new();
        for (info, pack) in &packs {
            edits.push(Edit::RemoveValueFile(info.id));
            if !ends_within(info, &entity_last) {
                let entity_first = successor(&entity_last);
                let live = self.inputs_packable(merge, pack.stored_bytes_from(&entity_first, cancel))?;
                let Some(live_bytes) = live else { return Ok(()) };
                let left = ValueFileInfo { entity_first, live_bytes, ..(*info).clone() };
                edits.push(Edit::AddValueFile(left.clone()));
                rest.push(left);
            }
        }
        edits.push(Edit::AddValueFile(part));
        if merge.rewrites && planted!("reclaimed pack deleted early") {
            for (info, _) in &packs {
                let _ = self.env.fs.remove_file(&self.manifest.files().path(info.id, info.kind));
            }
        }
        let _installing = self.install_lock.lock();
        self.with_reserve(|| self.manifest.commit(edits.clone()))?;
        {
            let _exchanging = self.view_lock.lock();
            let values = self.values.load();
            let old = |number| values.entries().iter().find(|entry| entry.number == number);
            let rest = rest.iter().filter_map(|left| {
                let entry = old(left.id.number)?.clone();
                Some(super::values::ValueEntry { entity_first: left.entity_first.clone(), ..entry })
            });
            let sources: Vec<u64> = packs.iter().map(|(info, _)| info.id.number).collect();
            self.values.store(Arc::new(values.replaced(&sources, rest.chain([entry]))));
        }
        probe!("merge: part installed");
        if entity_last == merge.entity_last() {
            self.background.part_ends.lock().remove(&(merge.first, merge.last));
        }
        if !entity_last.is_empty() {
            probe!("merge: more parts to come");
        }
        tracing::debug!("packs were merged");
        self.counters.merges.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// When nothing is left of the inputs, the run must have every change of its range: the parts before are in the manifest.
    fn require_whole(&self, merge: &Merge, part: &ValueFileInfo) -> Result<()> {
        if merge.inputs.iter().any(|input| !ends_within(input, &part.entity_last)) {
            return Ok(());
        }
        let is_input = |file: &ValueFileInfo| merge.inputs.iter().any(|input| input.id == file.id);
        let is_of_run =
            |file: &ValueFileInfo| (file.sequence_first, file.sequence_last) == (merge.first, merge.last);
        let state = self.manifest.state();
        let parts = state.value_files.values().filter(|file| is_of_run(file) && !is_input(file));
        let found = parts.map(|file| file.records).fold(part.records, u64::saturating_add);
        let expected = merge.last.saturating_sub(merge.first).saturating_add(1);
        if expected == found {
            return Ok(());
        }
        // Not the disk's fault: the store latches, and what is left of the sources stays.
        let (first, last) = (merge.first, merge.last);
        Err(Error::invalid(format!(
            "internal: a merge of changes {first} to {last} has {found} of {expected}"
        )))
    }
}

/// The rectangle of a file as the manifest has it.
fn rectangle_of(info: &ValueFileInfo) -> Rectangle {
    Rectangle {
        sequence_first: info.sequence_first,
        sequence_last: info.sequence_last,
        entity_first: info.entity_first.clone(),
        entity_last: info.entity_last.clone(),
    }
}

/// A file that was only written anew must have every change of its rectangle that the inputs have.
fn require_all(inputs: &[PackInput], part: &ValueFileInfo, cancel: &dyn Fn() -> bool) -> Result<()> {
    let rectangle = rectangle_of(part);
    let mut expected = 0_u64;
    for input in inputs {
        for change in input.changes(part.sequence_first.saturating_sub(1), part.sequence_last, cancel) {
            expected = expected.saturating_add(u64::from(rectangle.has_entity(change?.change.place())));
        }
    }
    if expected == part.records {
        return Ok(());
    }
    Err(Error::invalid(format!("internal: a file written anew has {} of {expected} changes", part.records)))
}

/// Whether nothing is left of a file behind an entity (empty: behind all).
fn ends_within(file: &ValueFileInfo, entity_last: &Bytes) -> bool {
    entity_last.is_empty() || !file.entity_last.is_empty() && file.entity_last <= *entity_last
}

/// The smallest key behind another.
pub(super) fn successor(key: &Bytes) -> Bytes {
    let mut next = key.to_vec();
    next.push(0);
    next.into()
}
