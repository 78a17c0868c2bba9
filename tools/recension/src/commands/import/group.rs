//! Records gathered into one frame.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use recension::{Batch, Content, Draft, Durability, ErrorKind, Expect, Store};

use super::decide::{Decider, Decision, Known, PARENT_ID};
use super::foreign::Foreign;
use super::rejects::Rejects;
use super::report::Summary;
use super::resume::Progress;
use super::source::contents_len;
use crate::convert::draft_of;
use crate::exit::Outcome;
use crate::formats::{Place, Record};
use crate::reserved;

/// A frame holds so many revisions or so many content bytes, whichever comes first.
const REVISIONS_MAX: usize = 1000;
const BYTES_MAX: usize = 4 << 20;
/// Revisions that the store compresses together if they are of one entity: a frame does not end in the middle of so many while they follow
/// each other,
const TOGETHER: usize = 32;
/// unless it gets as large as this.
const BYTES_WITH_MORE: usize = 10 << 20;
/// The log is synced after so many content bytes or so long.
const SYNC_BYTES: u64 = 64 << 20;
const SYNC_AFTER: Duration = Duration::from_secs(5);
/// How often a busy store is asked again.
const TRIES: u32 = 50;

/// A revision to be written.
struct Planned {
    entity: Vec<u8>,
    draft: Draft,
    place: Place,
    fingerprint: String,
    is_new: bool,
    bytes: u64,
}

/// Records that will be committed together.
pub struct Group<'a> {
    store: &'a Store,
    decider: Decider<'a>,
    planned: Vec<Planned>,
    bytes: usize,
    /// How many of the last ones are of the same entity.
    of_last: usize,
    /// Heads of the entities in `planned`.
    heads: BTreeMap<Vec<u8>, u64>,
    site_info: Option<String>,
    unsynced: u64,
    synced: Instant,
}

impl<'a> Group<'a> {
    pub fn new(store: &'a Store, append: bool) -> Self {
        Self {
            store,
            decider: Decider { store, append, foreign: Foreign::default() },
            planned: Vec::new(),
            bytes: 0,
            of_last: 0,
            heads: BTreeMap::new(),
            site_info: None,
            unsynced: 0,
            synced: Instant::now(),
        }
    }

    pub fn is_full(&self) -> bool {
        let whole = self.of_last.is_multiple_of(TOGETHER);
        whole && self.has_enough(0) || self.bytes >= BYTES_WITH_MORE
    }

    fn has_enough(&self, more: usize) -> bool {
        self.planned.len() >= REVISIONS_MAX || self.bytes + more > BYTES_MAX || self.bytes >= BYTES_MAX
    }

    /// Whether a record of so many bytes must wait for the next frame.
    fn is_closed_to(&self, record: &Record, len: usize) -> bool {
        let goes_on = self.planned.last().is_some_and(|last| last.entity == record.entity)
            && !self.of_last.is_multiple_of(TOGETHER);
        let max = if goes_on { self.bytes + len > BYTES_WITH_MORE } else { self.has_enough(len) };
        !self.planned.is_empty() && max
    }

    /// What a dump says of its wiki, to be written if it is news.
    pub fn site_info(&mut self, json: String) -> Outcome {
        let kept = self.store.get(reserved::SITE_INFO)?;
        let content = kept.map(|revision| revision.content()).transpose()?;
        let same = content.as_ref().and_then(Content::bytes).is_some_and(|kept| *kept == json.as_bytes());
        self.site_info = (!same).then_some(json);
        Ok(())
    }

    /// Takes a record, whatever becomes of it; gives it back if what is gathered must be committed first.
    pub fn offer(
        &mut self,
        record: Box<Record>,
        fingerprint: &str,
        summary: &mut Summary,
        rejects: &mut Rejects,
    ) -> Outcome<Option<Box<Record>>> {
        let len = contents_len(&record);
        if self.is_closed_to(&record, len) {
            return Ok(Some(record));
        }
        let known = match self.heads.get(&record.entity) {
            Some(head) => Known { head: *head, gathered: true },
            None => match self.decider.look_up(&record.entity)? {
                Some(known) => known,
                None => {
                    summary.forgotten += 1;
                    return Ok(None);
                }
            },
        };
        match self.decider.decide(&record, known)? {
            Decision::CommitFirst => return Ok(Some(record)),
            Decision::Skip => summary.skipped += 1,
            Decision::Forgotten => summary.forgotten += 1,
            Decision::Reject(reason) => rejects.put(&record.place, Some(&record.entity), &reason, summary)?,
            Decision::Write { number, parent, origin, parent_id } => {
                let (entity, place) = (record.entity.clone(), record.place.clone());
                self.decider.foreign.add(&entity, origin.unwrap_or(number), number);
                let mut draft = draft_of(*record).number(number);
                draft = parent.into_iter().fold(draft, Draft::parent);
                draft = origin.into_iter().fold(draft, Draft::origin_id);
                draft = parent_id.into_iter().fold(draft, |d, id| d.attribute(PARENT_ID, id.to_string()));
                self.heads.insert(entity.clone(), number);
                self.bytes += len;
                let again = self.planned.last().is_some_and(|last| last.entity == entity);
                self.of_last = if again { self.of_last + 1 } else { 1 };
                let is_new = known.head == 0;
                let fingerprint = fingerprint.to_owned();
                self.planned.push(Planned { entity, draft, place, fingerprint, is_new, bytes: len as u64 });
            }
        }
        Ok(None)
    }

    /// Commits what was gathered together with the progress; without either nothing happens.
    pub fn commit(
        &mut self,
        progress: &mut Progress,
        summary: &mut Summary,
        rejects: &mut Rejects,
    ) -> Outcome {
        let planned = std::mem::take(&mut self.planned);
        self.heads.clear();
        (self.bytes, self.of_last) = (0, 0);
        let site_info = self.site_info.take();
        let mut batch = Batch::new();
        for one in &planned {
            batch = batch.put(&one.entity, Expect::Any, one.draft.clone())?;
        }
        batch = with_site_info(batch, site_info.as_deref())?;
        match self.write(batch, progress) {
            Ok(()) => planned.iter().for_each(|one| self.was_written(one, summary)),
            Err(error) if error.kind() == ErrorKind::Invalid && !planned.is_empty() => {
                // One of them is not acceptable: find out which. The others go through.
                self.one_by_one(planned, site_info.as_deref(), progress, summary, rejects)?;
            }
            Err(error) => return Err(error.into()),
        }
        if self.unsynced >= SYNC_BYTES || self.unsynced > 0 && self.synced.elapsed() >= SYNC_AFTER {
            self.store.sync()?;
            self.unsynced = 0;
            self.synced = Instant::now();
        }
        Ok(())
    }

    fn one_by_one(
        &mut self,
        planned: Vec<Planned>,
        site_info: Option<&str>,
        progress: &mut Progress,
        summary: &mut Summary,
        rejects: &mut Rejects,
    ) -> Outcome {
        self.decider.foreign.forget();
        let (end, last) = (progress.ordinal, std::mem::take(&mut progress.last));
        let done = std::mem::replace(&mut progress.done, false);
        for one in planned {
            progress.pass(one.place.ordinal, Some(one.fingerprint.clone()));
            progress.rejected = rejects.of_source();
            let batch = Batch::new().put(&one.entity, Expect::Any, one.draft.clone())?;
            match self.write(batch, progress) {
                Ok(()) => self.was_written(&one, summary),
                Err(error) if error.kind() == ErrorKind::Invalid => {
                    rejects.put(&one.place, Some(&one.entity), &error.to_string(), summary)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        (progress.ordinal, progress.last) = (end, last);
        (progress.done, progress.rejected) = (done, rejects.of_source());
        rejects.flush()?;
        Ok(self.write(with_site_info(Batch::new(), site_info)?, progress)?)
    }

    fn was_written(&mut self, one: &Planned, summary: &mut Summary) {
        summary.written += 1;
        summary.entities += u64::from(one.is_new);
        summary.raw_bytes += one.bytes;
        self.unsynced += one.bytes.max(1);
    }

    fn write(&self, mut batch: Batch, progress: &mut Progress) -> recension::Result<()> {
        if let Some((entity, draft)) = progress.draft(!batch.is_empty()) {
            batch = batch.put(entity, Expect::Any, draft)?;
        }
        if batch.is_empty() {
            return Ok(());
        }
        let batch = batch.as_run();
        let mut tries = 0;
        loop {
            match self.store.commit_with(batch.clone(), Durability::Buffered) {
                Err(recension::Error::Busy { retry_after, .. }) if tries < TRIES => {
                    tries += 1;
                    std::thread::sleep(retry_after);
                }
                other => {
                    other?;
                    progress.was_kept();
                    return Ok(());
                }
            }
        }
    }
}

fn with_site_info(batch: Batch, json: Option<&str>) -> recension::Result<Batch> {
    match json {
        Some(json) => {
            let draft = Draft::new(json.to_owned()).content_type("application/json");
            batch.put(reserved::SITE_INFO, Expect::Any, draft)
        }
        None => Ok(batch),
    }
}
