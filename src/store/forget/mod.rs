//! Forgetting: destroying fields of revisions, whole entities, and what has been superseded for long.
//!
//! ```text
//!  what is meant ──► for each entity: which revisions ──► annotations (ranges of numbers) ──► the log, some entities a commit
//!  (author, digest,      checked: shared contents           under one job, the last one
//!   range, age)          guarded: the head                  says that the job is done
//! ```
//! 1. *The log does not record what it erases.* An author or a digest is resolved to ranges of revision numbers first, and only those are logged.
//! 2. *Resolved and logged without a gap.* Each commit carries the heads that its ranges were made out with as conditions; if a
//!    revision came in between (a revert, say, to what is to be forgotten), they are made out again.
//! 3. *Current at once, on every path*: the gate of [`crate::index::annotations`] is what every read asks.
//! 4. *Nothing is forgotten by accident.* A content that other revisions have too is refused unless the caller says what is meant; a
//!    range ends at the head that is there, never at one to come.
//! 5. *A job may be long and may be interrupted.* What was committed holds; the same call again goes on with what is left, under the id of the job if that is
//!    given. Until then the erasure report lists it.

pub(crate) mod erasures;
pub(crate) mod interrupted;
mod job;
pub(crate) mod remains;
mod select;

pub use interrupted::InterruptedJob;
pub use remains::NotErased;
pub use select::{ForgetWhat, Sharing};

use std::sync::Arc;

use super::Progress;
use super::draft::{Batch, Committed, Durability, Op};
use super::inner::Inner;
use crate::index::{EntityRange, Order};
use crate::model::{
    Annotation, AnnotationKind, Bound, Digest, Entity, Erasure, Expect, FieldMask, Timestamp, purged_name,
};
use crate::{Error, Result};
use job::{Job, Planned, Span};

/// Actor and reason of an erasure have at most this many bytes together: they stand in every change of the job.
pub const ERASURE_TEXT_MAX: usize = 4 << 10;

/// Whether something is done or only counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErasureMode {
    /// It is done. There is no way back.
    #[default]
    Do,
    /// It is counted what would be done.
    Preview,
    /// It is done, as the rest of a job that was interrupted: the call must be the same as before. See
    /// [`ErasureReport::interrupted`](crate::ErasureReport::interrupted).
    Resume(u64),
}

/// What to forget, and on whose word.
///
/// ```
/// use recension::{FieldMask, Forgetting};
/// let wanted = Forgetting::revisions("Talk:Main Page", 3, 5).actor("oversight").reason("request 1311");
/// let everywhere = Forgetting::author("Jane Doe").fields(FieldMask::AUTHOR.with(FieldMask::COMMENT));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Forgetting {
    pub(crate) what: ForgetWhat,
    pub(crate) fields: FieldMask,
    pub(crate) sharing: Sharing,
    pub(crate) mode: ErasureMode,
    pub(crate) actor: String,
    pub(crate) reason: String,
}

impl Forgetting {
    fn new(what: ForgetWhat, fields: FieldMask) -> Self {
        Self {
            what,
            fields,
            sharing: Sharing::default(),
            mode: ErasureMode::default(),
            actor: String::new(),
            reason: String::new(),
        }
    }

    /// The contents of the revisions `first..=last` of an entity, as far as they are there now.
    pub fn revisions(entity: impl AsRef<[u8]>, first: u64, last: u64) -> Self {
        let what = ForgetWhat::Revisions { entity: entity.as_ref().to_vec(), first, last };
        Self::new(what, FieldMask::CONTENT)
    }

    /// The author of all revisions that somebody made, in the whole store.
    pub fn author(author: impl AsRef<[u8]>) -> Self {
        Self::new(ForgetWhat::Author(author.as_ref().to_vec()), FieldMask::AUTHOR)
    }

    /// The contents of all revisions that have this very content, in the whole store.
    pub fn digest(digest: Digest) -> Self {
        Self::new(ForgetWhat::Digest(digest), FieldMask::CONTENT)
    }

    /// Other fields than those.
    pub fn fields(mut self, fields: FieldMask) -> Self {
        self.fields = fields;
        self
    }

    /// What to do about contents that other revisions of the entity have, too.
    pub fn sharing(mut self, sharing: Sharing) -> Self {
        self.sharing = sharing;
        self
    }

    /// Go on with a job that was interrupted: everything else must be as it was then.
    pub fn resume(mut self, job: u64) -> Self {
        self.mode = ErasureMode::Resume(job);
        self
    }

    /// Only count.
    pub fn preview(mut self) -> Self {
        self.mode = ErasureMode::Preview;
        self
    }

    /// Who does it; kept in the log.
    pub fn actor(mut self, actor: impl Into<String>) -> Self {
        self.actor = actor.into();
        self
    }

    /// Why; kept in the log, so it should not repeat what is to be forgotten.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = reason.into();
        self
    }
}

/// A retention watermark for each entity of a range: what was superseded before a time is forgotten, but so many older versions are
/// kept. The head is always kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Which entities.
    pub range: EntityRange,
    /// What a later revision superseded before this *commit* time. (Not effective time: what is destroyed must not rest on what a
    /// writer claims.)
    pub superseded_before: Timestamp,
    /// So many revisions below the head are kept whatever their age.
    pub keep_older: u64,
    /// What is forgotten of the others.
    pub fields: FieldMask,
    /// Whether it is done.
    pub mode: ErasureMode,
    /// Who does it; kept in the log.
    pub actor: String,
    /// Why; kept in the log.
    pub reason: String,
}

/// What was forgotten, or would be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Forgot {
    /// The job that the changes carry; 0 if nothing was to be done.
    pub job: u64,
    /// Revisions of which something was forgotten that was not before.
    pub revisions: u64,
    /// Their entities.
    pub entities: u64,
    /// Commits that it took.
    pub commits: u64,
    /// The sequence number of the last of them; 0 for none.
    pub sequence: u64,
}

impl Inner {
    pub(crate) fn forget(
        self: &Arc<Self>,
        forgetting: &Forgetting,
        progress: &mut Progress<'_>,
    ) -> Result<Forgot> {
        let Forgetting { what, fields, sharing, mode, actor, reason } = forgetting;
        check_fields(*fields)?;
        let plan = |entity: &Entity| self.select(entity, what, *fields, *sharing);
        let job = Job::new(self, AnnotationKind::Forget, *fields, *mode, text(actor, reason)?, 0, &plan)?;
        match what {
            ForgetWhat::Revisions { entity, first, last } => {
                if *first == 0 || first > last {
                    return Err(Error::invalid(format!(
                        "revisions {first} to {last} are not a range: give the first (from 1) and the last"
                    )));
                }
                let entity = Entity::new(entity)?;
                if self.head(entity.as_bytes())?.revision().is_none() {
                    return Err(Error::invalid(format!("{entity} has no revisions to forget")));
                }
                job.run([entity].into_iter().map(Ok), progress)
            }
            _ => {
                if fields.contains(FieldMask::CONTENT) && *sharing == Sharing::Refuse {
                    // Refused as a whole, not in the middle.
                    for entity in self.entities(EntityRange::default()) {
                        progress.step("shared contents", 0, 0)?;
                        plan(&entity?)?;
                    }
                }
                job.run(self.entities(EntityRange::default()), progress)
            }
        }
    }

    pub(crate) fn retain(
        self: &Arc<Self>,
        retention: &Retention,
        progress: &mut Progress<'_>,
    ) -> Result<Forgot> {
        let Retention { range, superseded_before, keep_older, fields, mode, actor, reason } = retention;
        check_fields(*fields)?;
        let before = superseded_before.0;
        let plan = |entity: &Entity| self.select_superseded(entity, before, *keep_older, *fields);
        let text = text(actor, reason)?;
        let job = Job::new(self, AnnotationKind::Retain, *fields, *mode, text, before, &plan)?;
        job.run(self.entities(range.clone()), progress)
    }

    pub(crate) fn purge_entity(
        self: &Arc<Self>,
        entity: &[u8],
        expect: Expect,
        actor: &str,
        reason: &str,
    ) -> Result<Committed> {
        let entity = Entity::new(entity)?;
        let (actor, reason) = text(actor, reason)?;
        let annotation = Annotation {
            entity: purged_name(&self.store, entity.as_bytes()),
            // Both are made out together with the head.
            first: 1,
            last: 1,
            kind: AnnotationKind::Purge,
            fields: FieldMask::ALL,
            actor,
            reason,
            erasure: Some(Erasure { job: self.env.rng.next_u64().max(1), more: false, time: 0 }),
        };
        let guard = Op::Guard { entity: entity.clone(), expect, sequence: None };
        let batch = Batch { ops: vec![guard, Op::Annotate { entity, annotation }], ..Batch::new() };
        let mut committed = self.commit(batch, Durability::Sync)?;
        probe!("forget: purged");
        committed.outcomes.drain(..1);
        Ok(committed)
    }

    /// The names of a range, as they are now; the index is pinned anew every few hundred.
    fn entities(self: &Arc<Self>, range: EntityRange) -> impl Iterator<Item = Result<Entity>> + use<> {
        const PINNED: usize = 256;
        let (inner, at, mut left) = (self.clone(), self.published(), Some(range));
        let mut names: std::vec::IntoIter<Result<Entity>> = Vec::new().into_iter();
        std::iter::from_fn(move || {
            if let Some(name) = names.next() {
                return Some(name);
            }
            let range = left.as_mut()?;
            let found: Vec<Result<Entity>> = inner
                .view()
                .heads(range, &Bound::at(at), Order::Ascending)
                .take(PINNED)
                .map(|found| found.map(|(entity, _)| entity))
                .collect();
            match found.last() {
                Some(Ok(last)) if found.len() == PINNED => {
                    range.from = [last.as_bytes(), &[0]].concat().into();
                }
                // An error is the last word, too.
                _ => left = None,
            }
            names = found.into_iter();
            names.next()
        })
    }
}

fn check_fields(fields: FieldMask) -> Result<()> {
    if fields.is_empty() || !FieldMask::ALL.contains(fields) {
        return Err(Error::invalid(
            "name at least one field to forget: content, comment, author or attributes",
        ));
    }
    Ok(())
}

fn text(actor: &str, reason: &str) -> Result<(String, String)> {
    if actor.len().saturating_add(reason.len()) > ERASURE_TEXT_MAX {
        return Err(Error::invalid(format!(
            "actor and reason have at most {ERASURE_TEXT_MAX} bytes together"
        )));
    }
    Ok((actor.to_owned(), reason.to_owned()))
}
