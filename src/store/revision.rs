//! A revision as a reader gets it: metadata at hand, content on demand.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::head_cache::HeadEntry;
use super::inner::Inner;
use crate::Result;
use crate::index::annotations::{Visibility, take_fields};
use crate::model::{
    Address, ContentRef, Digest, Entity, FieldMask, Fields, Flags, RevisionKind, Row, Timestamp,
};

/// What there is of a content.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Content {
    /// The bytes.
    Present(Bytes),
    /// Hidden from ordinary reads; can be shown again.
    Hidden,
    /// Destroyed.
    Forgotten,
    /// The source of an import had none to give.
    Withheld,
    /// A tombstone has no content.
    Deleted,
}

impl Content {
    /// The bytes, if they are there.
    pub fn bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Present(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The bytes, if they are there.
    pub fn into_bytes(self) -> Option<Bytes> {
        match self {
            Self::Present(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// One immutable state of an entity. Owns its metadata; the content is read when asked for.
#[derive(Clone)]
pub struct Revision {
    inner: Arc<Inner>,
    /// Shared with the cache of heads: making a revision of a cached head copies nothing.
    entry: Arc<HeadEntry>,
    /// What the gate said when it was found.
    seen: Visibility,
    fields: OnceLock<Box<Shown>>,
}

/// Fields as they were shown, and as they are since something was hidden, forgotten or shown again. References to the older ones may still
/// be out.
#[derive(Clone)]
struct Shown {
    seen: Visibility,
    fields: Fields,
    since: OnceLock<Box<Shown>>,
}

impl Revision {
    /// `None` if its entity was purged: there is nothing left of it.
    pub(crate) fn new(inner: &Arc<Inner>, entity: Entity, row: Row) -> Result<Option<Self>> {
        Self::of_entry(inner, Arc::new(HeadEntry::new(entity, row)))
    }

    /// The same of a shared entry.
    pub(crate) fn of_entry(inner: &Arc<Inner>, entry: Arc<HeadEntry>) -> Result<Option<Self>> {
        let seen = inner.visibility(&entry.entity, entry.row.number)?;
        let found = || Self { inner: inner.clone(), entry, seen, fields: OnceLock::new() };
        Ok((!seen.purged).then(found))
    }

    /// Whose.
    pub fn entity(&self) -> &Entity {
        &self.entry.entity
    }

    /// Its number within the entity, from 1.
    pub fn number(&self) -> u64 {
        self.entry.row.number
    }

    /// The number of the revision that it was made from; 0 for none.
    pub fn parent(&self) -> u64 {
        self.entry.row.parent
    }

    /// Its sequence number within the store.
    pub fn sequence(&self) -> u64 {
        self.entry.row.sequence
    }

    /// When it was committed.
    pub fn commit_time(&self) -> Timestamp {
        Timestamp(self.entry.row.commit_time)
    }

    /// When its author made it, as the writer claimed; `None` if nothing was claimed.
    pub fn authored_time(&self) -> Option<Timestamp> {
        self.entry.row.authored_time.map(Timestamp)
    }

    /// The time that "as of" means: never goes back along an entity's revisions.
    pub fn effective_time(&self) -> Timestamp {
        Timestamp(self.entry.row.effective_time)
    }

    /// Whether it is a tombstone.
    pub fn is_tombstone(&self) -> bool {
        self.entry.row.kind == RevisionKind::Delete
    }

    /// Minor, bot, withheld…
    pub fn flags(&self) -> Flags {
        self.entry.row.flags
    }

    /// Length of the main content, bytes; `None` for a tombstone or a withheld content.
    pub fn content_len(&self) -> Option<u32> {
        self.entry.row.content.map(|content| content.len)
    }

    /// Where the bytes of the main content were first written. Equal addresses mean one content.
    pub fn content_address(&self) -> Option<Address> {
        self.entry.row.content.map(|content| content.address)
    }

    /// Which fields are hidden, and not forgotten.
    pub fn hidden(&self) -> FieldMask {
        self.seen.hidden
    }

    /// Which fields are forgotten.
    pub fn forgotten(&self) -> FieldMask {
        self.seen.forgotten
    }

    /// Author, comment and the other fields. Hidden and forgotten ones are absent.
    ///
    /// # Errors
    /// `Corrupt` if they cannot be decoded.
    pub fn fields(&self) -> Result<&Fields> {
        // Asked again each time: what was hidden or forgotten since is not given out either, though this handle was used before.
        let seen = self.visibility_now()?;
        let mut place = &self.fields;
        while let Some(shown) = place.get() {
            if shown.seen == seen && shown.since.get().is_none() {
                return Ok(&shown.fields);
            }
            place = &shown.since;
        }
        let mut fields = Fields::decode(&self.entry.row.cold)
            .map_err(|bad| self.inner.bad_fields(&self.entry.entity, &self.entry.row, bad))?;
        fields.resolve(self.entry.row.sequence);
        conceal(&mut fields, seen);
        Ok(&place.get_or_init(|| Box::new(Shown { seen, fields, since: OnceLock::new() })).fields)
    }

    /// The main content.
    ///
    /// # Errors
    /// `Corrupt` if the bytes on disk are not what was written, `Io` if they cannot be read.
    pub fn content(&self) -> Result<Content> {
        if self.is_tombstone() {
            return Ok(Content::Deleted);
        }
        let Some(reference) = self.entry.row.content else { return self.none_given() };
        if let Some(instead) = self.instead_of_content()? {
            return Ok(instead);
        }
        if let Some(content) = self.entry.content() {
            return Ok(Content::Present(content.clone()));
        }
        self.unless_gone(self.inner.content_of(&self.entry, reference, || self.whose()))
    }

    /// What was read; or, if it was forgotten and erased between the gate's answer and the reading, that. No other error is covered up.
    fn unless_gone(&self, read: Result<Bytes>) -> Result<Content> {
        match read {
            Ok(bytes) => Ok(Content::Present(bytes)),
            Err(error) => match self.instead_of_content()? {
                Some(Content::Forgotten) => Ok(Content::Forgotten),
                _ => Err(error),
            },
        }
    }

    /// The contents beside the main one: role and bytes, in the order in which they were written.
    ///
    /// # Errors
    /// As for [`Revision::content`].
    pub fn slots(&self) -> Result<Vec<(Bytes, Content)>> {
        let slots = &self.fields()?.slots;
        let read = |reference: &Option<ContentRef>| match reference {
            Some(reference) => self.read(*reference),
            None => self.none_given(),
        };
        slots.iter().map(|(role, reference)| Ok((role.clone(), read(reference)?))).collect()
    }

    /// The digest of the main content; `None` if it is hidden or forgotten, or there is none.
    ///
    /// # Errors
    /// As for [`Revision::content`].
    pub fn digest(&self) -> Result<Option<Digest>> {
        match self.entry.row.content {
            // It would tell whether a guess is right.
            Some(_) if self.instead_of_content()?.is_some() => Ok(None),
            Some(reference) => {
                let digest = self.inner.values().digest(self.entry.entity.as_bytes(), reference.address)?;
                Ok((!digest.is_erased()).then_some(digest))
            }
            None => Ok(None),
        }
    }

    /// The content even if it is hidden: for those who may see it. What is forgotten is forgotten for everybody.
    ///
    /// # Errors
    /// As for [`Revision::content`].
    pub fn content_unhidden(&self) -> Result<Content> {
        match self.entry.row.content {
            Some(_) if self.instead_of_content()? == Some(Content::Forgotten) => Ok(Content::Forgotten),
            Some(reference) => {
                self.unless_gone(self.inner.read_content(&self.entry.entity, reference, || self.whose()))
            }
            None => self.content(),
        }
    }

    fn read(&self, reference: ContentRef) -> Result<Content> {
        match self.instead_of_content()? {
            Some(instead) => Ok(instead),
            None => self.unless_gone(self.inner.read_content(&self.entry.entity, reference, || self.whose())),
        }
    }

    /// The gate is asked again: what was hidden or forgotten after this revision was read is.
    fn visibility_now(&self) -> Result<Visibility> {
        if planted!("forget not asked again") {
            return Ok(self.seen);
        }
        self.inner.visibility(&self.entry.entity, self.entry.row.number)
    }

    /// What stands in place of a content that may not be shown.
    fn instead_of_content(&self) -> Result<Option<Content>> {
        let seen = self.visibility_now()?;
        Ok(if seen.forgotten.contains(FieldMask::CONTENT) {
            Some(Content::Forgotten)
        } else if seen.hidden.contains(FieldMask::CONTENT) {
            Some(Content::Hidden)
        } else {
            None
        })
    }

    /// What stands in place of a content that the source did not give, or that was erased before it came into this store (see `repair`).
    fn none_given(&self) -> Result<Content> {
        match self.instead_of_content()? {
            Some(Content::Forgotten) => Ok(Content::Forgotten),
            _ => Ok(Content::Withheld),
        }
    }

    fn whose(&self) -> String {
        format!("the content of revision {} of {}", self.entry.row.number, self.entry.entity)
    }
}

impl std::fmt::Debug for Revision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Revision")
            .field("entity", &self.entry.entity)
            .field("number", &self.entry.row.number)
            .field("sequence", &self.entry.row.sequence)
            .field("kind", &self.entry.row.kind)
            .finish_non_exhaustive()
    }
}

impl PartialEq for Revision {
    /// (entity, number) names one revision for ever; the sequence tells stores apart that share nothing else.
    fn eq(&self, other: &Self) -> bool {
        self.entry.entity == other.entry.entity
            && self.entry.row.number == other.entry.row.number
            && self.entry.row.sequence == other.entry.row.sequence
    }
}

/// Takes away what is hidden or forgotten.
pub(crate) fn conceal(fields: &mut Fields, seen: Visibility) {
    take_fields(fields, seen.withheld());
    if seen.forgotten.contains(FieldMask::ATTRIBUTES) {
        // Whatever they are, they are attributes of some kind.
        fields.unknown.clear();
    }
}

/// The head of an entity.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Head {
    /// The entity never had a revision.
    Absent,
    /// The newest revision is a state.
    Live(Revision),
    /// The newest revision is a tombstone. The history stays readable.
    Deleted(Revision),
    /// The entity was purged; the number is the last one that was used.
    Purged(u64),
}

impl Head {
    pub(crate) fn of(revision: Revision) -> Self {
        match revision.entry.row.kind {
            RevisionKind::Put => Self::Live(revision),
            RevisionKind::Delete => Self::Deleted(revision),
        }
    }

    /// The newest revision, live or tombstone.
    pub fn revision(&self) -> Option<&Revision> {
        match self {
            Self::Live(revision) | Self::Deleted(revision) => Some(revision),
            Self::Absent | Self::Purged(_) => None,
        }
    }

    /// The newest revision if it is live.
    pub fn live(self) -> Option<Revision> {
        match self {
            Self::Live(revision) => Some(revision),
            _ => None,
        }
    }

    /// The number to expect in the next write; 0 if there is no revision.
    pub fn number(&self) -> u64 {
        match self {
            Self::Absent => 0,
            Self::Live(revision) | Self::Deleted(revision) => revision.number(),
            Self::Purged(number) => *number,
        }
    }
}

/// How an "as of" read names its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AsOf {
    /// All commits up to this sequence number.
    Sequence(u64),
    /// All commits made at or before this time.
    CommitTime(Timestamp),
    /// All revisions in effect at this time: what their authors claim, made monotone per entity.
    EffectiveTime(Timestamp),
}

impl AsOf {
    pub(crate) fn bound(self, published: u64) -> crate::model::Bound {
        let mut bound = crate::model::Bound::at(published);
        match self {
            Self::Sequence(sequence) => bound.sequence = sequence.min(published),
            Self::CommitTime(time) => bound.commit_time = time.0,
            Self::EffectiveTime(time) => bound.effective_time = time.0,
        }
        bound
    }
}
