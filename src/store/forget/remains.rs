//! What is forgotten and not erased yet, in bytes: for the accounts.
//!
//! 1. *Live bytes are what some revision still has.* A content that nobody has any more is dead from the moment at which the last revision forgets
//!    it, not from the moment at which its file is written anew.
//! 2. *Counted anew, not kept.* Forgetting writes an annotation and nothing else; a count that was kept beside it would have to be mended after
//!    crashes. What has to be looked at is what was forgotten behind the mark `erased-up-to`: by default that of a day.
//! 3. *A content of a group takes the share of the group's bytes that its length has of all lengths*, rounded down for the group; a group of which nobody has
//!    anything any more is dead as a whole. The members of a group cannot be told apart otherwise: they are compressed together.
//! 4. The answer is kept until another file, another annotation or another mark is there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::erasures::ViewErasures;
use crate::codec::FileId;
use crate::index::Order;
use crate::index::annotations::Erasures;
use crate::log::{Change, StoredIn, ValueFile};
use crate::manifest::State;
use crate::model::{
    AnnotationKind, Bound, ContentRef, Entity, FieldMask, Fields, Row, Timestamp, purged_name,
};
use crate::store::inner::Inner;
use crate::store::reclaim::erased_up_to;
use crate::store::values::{ValueEntry, ValueMap};
use crate::{Error, Result};

/// What is forgotten and still in the store's files. See [`Store::erasure_report`](crate::Store::erasure_report) for which files these are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotErased {
    /// Changes that made something forgotten and are not known to be erased everywhere.
    pub annotations: u64,
    /// When the first of them was committed. By the option `erase_within`, its bytes are gone so long after that.
    pub since: Option<Timestamp>,
    /// Contents that no revision has any more.
    pub contents: u64,
    /// Their bytes, uncompressed.
    pub raw_bytes: u64,
    /// Their bytes as stored in sealed segments and packs: part of the dead ones. Of contents that are compressed together with others each has the share
    /// that its length is of all lengths. (Less than that is won if the others stay: they lose neighbours that they were compressed against.)
    pub stored_bytes: u64,
    /// Their bytes as stored in segments that are not sealed.
    pub unsealed_bytes: u64,
    /// Files that could not be written anew when that was tried last since the opening, and why. In the background it is tried again.
    pub unreclaimed: Vec<(String, String)>,
    /// Why that is not all, if something could not be read; then more is dead than is said here.
    pub unreadable: Option<String>,
}

impl NotErased {
    /// How much longer ago than `within` the first of it was forgotten, at the time `now` (µs).
    pub(crate) fn overdue(&self, within: Duration, now: i64) -> Option<Duration> {
        let since = u64::try_from(now.saturating_sub(self.since?.0)).ok()?;
        Duration::from_micros(since).checked_sub(within).filter(|by| !by.is_zero())
    }
}

/// The answer, and what it was made of.
pub(crate) struct Known {
    up_to: u64,
    mark: u64,
    /// Not the map itself: it would hold its files.
    values: Weak<ValueMap>,
    found: NotErased,
}

/// Contents that stand together, and what of them is gone.
struct Shared {
    all: StoredIn,
    contents: u64,
    raw_bytes: u64,
}

impl Shared {
    fn stored_bytes(&self) -> u64 {
        if self.contents >= self.all.contents {
            return self.all.stored_bytes;
        }
        let share = u128::from(self.all.stored_bytes).saturating_mul(u128::from(self.raw_bytes));
        let share = share.checked_div(u128::from(self.all.raw_bytes)).unwrap_or(0);
        u64::try_from(share).unwrap_or(u64::MAX).min(self.all.stored_bytes)
    }
}

impl Inner {
    /// What is forgotten and not erased, with the state of the manifest that it is true of.
    pub(crate) fn not_erased(&self) -> (Arc<State>, NotErased) {
        let erasures = self.erasures();
        let (state, values) = {
            // Value files are put into both under this lock.
            let _installing = self.install_lock.lock();
            (self.manifest.state(), self.values())
        };
        let (up_to, mark) = (erasures.up_to(), erased_up_to(&state));
        if up_to <= mark {
            return (state, NotErased::default());
        }
        let unreclaimed = self.background.not_reclaimed.lock().clone();
        let mut kept = self.background.not_erased.lock();
        if let Some(known) = kept.as_ref()
            && (known.up_to, known.mark) == (up_to, mark)
            && Weak::ptr_eq(&known.values, &Arc::downgrade(&values))
        {
            return (state, NotErased { unreclaimed, ..known.found.clone() });
        }
        let mut count = Count {
            erasures: &erasures,
            values: &values,
            shared: BTreeMap::new(),
            found: NotErased::default(),
        };
        if let Err(error) = self.count_not_erased(&mut count, &state, mark) {
            count.unreadable(&error);
        }
        let found = count.end(&state);
        if found.unreadable.is_none() {
            let values = Arc::downgrade(&values);
            *kept = Some(Known { up_to, mark, values, found: found.clone() });
        }
        (state, NotErased { unreclaimed, ..found })
    }

    fn count_not_erased(&self, count: &mut Count<'_>, state: &State, mark: u64) -> Result<()> {
        let (mut entities, mut purged) = (BTreeSet::new(), BTreeSet::new());
        let (mut oldest, mut newest_purge) = (u64::MAX, None);
        let erasures = count.erasures;
        erasures.erasing(mark, &mut |stored| {
            count.found.annotations += 1;
            oldest = oldest.min(stored.sequence);
            let note = stored.annotation;
            if note.kind == AnnotationKind::Purge {
                purged.insert(note.entity);
                newest_purge = newest_purge.max(Some(stored.sequence));
            } else if note.fields.contains(FieldMask::CONTENT) {
                entities.insert(note.entity);
            }
            Ok(())
        })?;
        if oldest != u64::MAX {
            match count.values.changes(oldest.saturating_sub(1)).next().transpose() {
                Ok(change) => count.found.since = change.map(|change| Timestamp(change.commit_time)),
                Err(error) => count.unreadable(&error),
            }
        }
        for entity in &entities {
            if let Err(error) = count.entity(entity) {
                count.unreadable(&error);
            }
        }
        // A purge does not say whose it is, and the index may have let go of the rows: the files are asked that were written before.
        let Some(newest) = newest_purge else { return Ok(()) };
        let values = count.values;
        for entry in values.entries() {
            let written = state.value_files.get(&entry.file.id()).map_or(0, |info| info.annotation_watermark);
            if written < newest
                && let Err(error) = count
                    .purged(entry, &|entity| purged.contains(&purged_name(&self.store, entity.as_bytes())))
            {
                count.unreadable(&error);
            }
        }
        Ok(())
    }
}

struct Count<'a> {
    erasures: &'a ViewErasures,
    values: &'a Arc<ValueMap>,
    /// By file and place.
    shared: BTreeMap<(FileId, u64), Shared>,
    found: NotErased,
}

impl Count<'_> {
    fn unreadable(&mut self, error: &Error) {
        self.found.unreadable.get_or_insert_with(|| error.to_string());
    }

    /// The contents in a file of entities that were purged since.
    fn purged(&mut self, entry: &ValueEntry, is_purged: &dyn Fn(&Entity) -> bool) -> Result<()> {
        let mut known: Option<(Entity, bool)> = None;
        let (after, up_to) = (entry.first.saturating_sub(1), entry.last);
        for change in entry.file.clone().changes(after, up_to) {
            let change = change?;
            let Change::Revision { entity, row, digests } = change.change else { continue };
            if digests.is_empty() || !entry.has(entity.as_bytes()) {
                continue;
            }
            if known.as_ref().is_none_or(|(last, _)| *last != entity) {
                known = Some((entity.clone(), is_purged(&entity)));
            }
            if known.as_ref().is_some_and(|(_, purged)| *purged)
                && self.erasures.gate(&entity)?.visibility(row.number).purged
            {
                for content in contents(&entity, &row)?.0 {
                    self.content(&*entry.file, content)?;
                }
            }
        }
        Ok(())
    }

    /// The contents of an entity that no revision has any more.
    fn entity(&mut self, entity: &Entity) -> Result<()> {
        let gate = self.erasures.gate(entity)?;
        let (mut gone, mut kept) = (Vec::new(), BTreeSet::new());
        for row in self.erasures.rows(entity, &Bound::ALL, Order::Descending) {
            let row = row?;
            let seen = gate.visibility(row.number);
            if seen.purged {
                break;
            }
            let (own, others) = contents(entity, &row)?;
            match seen.forgotten.contains(FieldMask::CONTENT) {
                true => gone.extend(own),
                false => kept.extend(others.into_iter().map(|content| content.address)),
            }
        }
        for content in gone.into_iter().filter(|content| !kept.contains(&content.address)) {
            let file = self.values.file(entity.as_bytes(), content.address);
            if let Err(error) = file.and_then(|file| self.content(&**file, content)) {
                self.unreadable(&error);
            }
        }
        Ok(())
    }

    fn content(&mut self, file: &dyn ValueFile, content: ContentRef) -> Result<()> {
        let Some(all) = file.stored_in(content.address)? else { return Ok(()) };
        let len = u64::from(content.len);
        self.found.contents = self.found.contents.saturating_add(1);
        self.found.raw_bytes = self.found.raw_bytes.saturating_add(len);
        let fresh = Shared { all, contents: 0, raw_bytes: 0 };
        let shared = self.shared.entry((file.id(), all.offset)).or_insert(fresh);
        shared.contents = shared.contents.saturating_add(1);
        shared.raw_bytes = shared.raw_bytes.saturating_add(len);
        Ok(())
    }

    fn end(mut self, state: &State) -> NotErased {
        for ((file, _), shared) in &self.shared {
            let bytes = match state.value_files.contains_key(file) {
                true => &mut self.found.stored_bytes,
                false => &mut self.found.unsealed_bytes,
            };
            *bytes = bytes.saturating_add(shared.stored_bytes());
        }
        self.found
    }
}

/// The contents that a revision stored, and those that it reuses.
fn contents(entity: &Entity, row: &Row) -> Result<(Vec<ContentRef>, Vec<ContentRef>)> {
    let mut fields = Fields::decode(&row.cold).map_err(|bad| {
        Error::malformed("index".as_ref(), 0, bad, format!("revision {} of {entity}", row.number))
    })?;
    fields.resolve(row.sequence);
    let slots = fields.slots.iter().filter_map(|(_, content)| *content);
    Ok(row.content.into_iter().chain(slots).partition(|content| content.address.sequence == row.sequence))
}
