//! What a caller wants to write.

use bytes::Bytes;

use crate::limits::REVISION_NUMBER_MAX;
use crate::model::{Annotation, AnnotationKind, Entity, Expect, FieldMask, Fields, Flags, Timestamp};
use crate::{Error, Result};

/// When a commit is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Durability {
    /// When the operating system has it: survives a crash of the process, not of the machine.
    Buffered,
    /// When the disk has it.
    #[default]
    Sync,
}

/// What becomes of the content of an entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    Content(Bytes),
    Withheld,
    Tombstone,
    /// The content of that revision again; no bytes are written.
    Reuse(u64),
    /// The content of the newest live revision again; the head must be a tombstone.
    Undelete,
}

/// A revision to be written: content and metadata, without a number.
///
/// ```
/// use recension::{Draft, Timestamp};
/// let draft = Draft::new("= Paris =").author("ann").comment("a start").authored(Timestamp::from_secs(1_700_000_000));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Draft {
    pub(crate) body: Body,
    pub(crate) fields: Fields,
    pub(crate) slots: Vec<(Bytes, Option<Bytes>)>,
    pub(crate) flags: Flags,
    pub(crate) authored: Option<Timestamp>,
    pub(crate) number: Option<u64>,
    pub(crate) parent: Option<u64>,
    pub(crate) if_changed: bool,
}

impl Draft {
    fn with_body(body: Body) -> Self {
        Self {
            body,
            fields: Fields::default(),
            slots: Vec::new(),
            flags: Flags::default(),
            authored: None,
            number: None,
            parent: None,
            if_changed: false,
        }
    }

    /// A new state of the entity: 0 to 16 MiB of anything.
    pub fn new(content: impl Into<Bytes>) -> Self {
        Self::with_body(Body::Content(content.into()))
    }

    /// A tombstone: the entity is deleted from here on. Its history stays readable.
    pub fn tombstone() -> Self {
        Self::with_body(Body::Tombstone)
    }

    /// The content of revision `number` of the same entity again. No content bytes are written.
    pub fn revert_to(number: u64) -> Self {
        Self::with_body(Body::Reuse(number))
    }

    /// The content of the newest live revision again, behind a tombstone.
    pub fn undelete() -> Self {
        Self::with_body(Body::Undelete)
    }

    /// A revision whose content the source of an import had not to give.
    pub fn withheld() -> Self {
        let mut draft = Self::with_body(Body::Withheld);
        draft.flags = Flags::CONTENT_WITHHELD;
        draft
    }

    /// Who made it.
    pub fn author(mut self, author: impl Into<Bytes>) -> Self {
        self.fields.author = Some(author.into());
        self
    }

    /// Why. An empty comment is not the same as none.
    pub fn comment(mut self, comment: impl Into<Bytes>) -> Self {
        self.fields.comment = Some(comment.into());
        self
    }

    /// Media type or content model, where it is not the store's default.
    pub fn content_type(mut self, content_type: impl Into<Bytes>) -> Self {
        self.fields.content_type = Some(content_type.into());
        self
    }

    /// Version of the schema of the content.
    pub fn schema_version(mut self, version: u64) -> Self {
        self.fields.schema_version = Some(version);
        self
    }

    /// When the author made it, as the writer claims.
    pub fn authored(mut self, time: Timestamp) -> Self {
        self.authored = Some(time);
        self
    }

    /// Adds flags such as [`Flags::MINOR`].
    pub fn flags(mut self, flags: Flags) -> Self {
        self.flags = self.flags.with(flags);
        self
    }

    /// Adds a tag.
    pub fn tag(mut self, tag: impl Into<Bytes>) -> Self {
        self.fields.tags.push(tag.into());
        self
    }

    /// Sets an attribute; all attributes of a revision together have at most 4 KiB.
    pub fn attribute(mut self, name: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        let (name, value) = (name.into(), value.into());
        match self.fields.attributes.binary_search_by(|(other, _)| other.cmp(&name)) {
            Ok(at) => self.fields.attributes[at].1 = value,
            Err(at) => self.fields.attributes.insert(at, (name, value)),
        }
        self
    }

    /// Adds a content beside the main one. `None`: the source of an import had it not to give.
    pub fn slot(mut self, role: impl Into<Bytes>, content: Option<Bytes>) -> Self {
        self.slots.push((role.into(), content));
        self
    }

    /// The number to use instead of head + 1; it must be larger than the head's. Imports keep foreign ids with it.
    pub fn number(mut self, number: u64) -> Self {
        self.number = Some(number);
        self
    }

    /// The revision that this one was made from, where it is not the head; 0 for none.
    pub fn parent(mut self, number: u64) -> Self {
        self.parent = Some(number);
        self
    }

    /// The id that the revision had where it comes from.
    pub fn origin_id(mut self, id: u64) -> Self {
        self.fields.origin_id = Some(id);
        self
    }

    /// Makes a retry of this very write answer with the first attempt's revision: if the id is found among the newest 16 revisions of the
    /// entity, the same write is answered and another one is refused. It is looked for nowhere else, so give every write an id of its own:
    /// the id of another entity's write is not recognised.
    pub fn request_id(mut self, id: [u8; 16]) -> Self {
        self.fields.request_id = Some(id);
        self
    }

    /// Writes nothing if the head is live and visible and has this very content.
    pub fn if_changed(mut self) -> Self {
        self.if_changed = true;
        self
    }
}

/// One step of a batch.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Write {
        entity: Entity,
        expect: Expect,
        draft: Box<Draft>,
    },
    /// `entity` is the one that it is about; a purge's annotation itself names only a hash of it.
    Annotate {
        entity: Entity,
        annotation: Annotation,
    },
    /// Writes nothing; the head must be as expected. `sequence`: also, its sequence number (a transaction's read).
    Guard {
        entity: Entity,
        expect: Expect,
        sequence: Option<u64>,
    },
}

impl Op {
    pub(crate) fn entity(&self) -> &Entity {
        match self {
            Self::Write { entity, .. } | Self::Guard { entity, .. } | Self::Annotate { entity, .. } => entity,
        }
    }
}

/// Several changes that are committed together or not at all.
///
/// ```
/// # use recension::{Batch, Draft, Expect};
/// let batch = Batch::new()
///     .put("Q1", Expect::Absent, Draft::new("one"))?
///     .put("Q2", Expect::Head(7), Draft::new("two"))?;
/// # Ok::<(), recension::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Batch {
    pub(crate) ops: Vec<Op>,
    pub(crate) request_id: Option<[u8; 16]>,
    pub(crate) boundaries: Boundaries,
}

/// Where the commits of a batch end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Boundaries {
    /// Behind the last change: it is one commit.
    #[default]
    Batch,
    /// Behind each change: it is a run of commits of one change each, written together.
    EachChange,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a revision. Several for one entity are made in the order given, each seeing the one before as the head.
    ///
    /// # Errors
    /// `Invalid` for an entity name of 0 or more than 512 bytes.
    pub fn put(mut self, entity: impl AsRef<[u8]>, expect: Expect, draft: Draft) -> Result<Self> {
        self.ops.push(Op::Write { entity: Entity::new(entity)?, expect, draft: Box::new(draft) });
        Ok(self)
    }

    /// Adds a tombstone.
    ///
    /// # Errors
    /// `Invalid` for an entity name of 0 or more than 512 bytes.
    pub fn delete(self, entity: impl AsRef<[u8]>, expect: Expect) -> Result<Self> {
        self.put(entity, expect, Draft::tombstone())
    }

    /// Adds a condition without a write.
    ///
    /// # Errors
    /// `Invalid` for an entity name of 0 or more than 512 bytes.
    pub fn require(mut self, entity: impl AsRef<[u8]>, expect: Expect) -> Result<Self> {
        self.ops.push(Op::Guard { entity: Entity::new(entity)?, expect, sequence: None });
        Ok(self)
    }

    /// Hides fields of the revisions `first..=last` from ordinary reads.
    ///
    /// # Errors
    /// `Invalid` for a bad entity name, an empty range or no fields.
    pub fn hide(self, what: Hiding) -> Result<Self> {
        self.annotate(AnnotationKind::Hide, what)
    }

    /// Shows again what was hidden.
    ///
    /// # Errors
    /// `Invalid` for a bad entity name, an empty range or no fields.
    pub fn show(self, what: Hiding) -> Result<Self> {
        self.annotate(AnnotationKind::Show, what)
    }

    fn annotate(mut self, kind: AnnotationKind, what: Hiding) -> Result<Self> {
        if what.first == 0 || what.first > what.last || what.first > REVISION_NUMBER_MAX {
            return Err(Error::invalid(format!(
                "revisions {} to {} are not a range: give the first (from 1) and the last",
                what.first, what.last
            )));
        }
        if what.fields.is_empty() {
            return Err(Error::invalid("name at least one field to hide or show"));
        }
        let Hiding { entity, first, last, fields, actor, reason } = what;
        // No number is above it, and the format has no other word for "all later ones".
        let last = last.min(REVISION_NUMBER_MAX);
        let entity = Entity::new(entity)?;
        let annotation =
            Annotation { entity: entity.clone(), first, last, kind, fields, actor, reason, erasure: None };
        self.ops.push(Op::Annotate { entity, annotation });
        Ok(self)
    }

    /// Makes a retry of this very batch answer with the first attempt's revisions. It is looked for as [`Draft::request_id`] says, among the
    /// revisions of the entities that the batch writes.
    pub fn request_id(mut self, id: [u8; 16]) -> Self {
        self.request_id = Some(id);
        self
    }

    /// Makes it a run of commits of one change each, as an import writes them: it still goes through as a whole or not at all, but
    /// as-of reads, snapshots and the feed see a commit boundary behind each of its changes. A run has no request ids.
    pub fn as_run(mut self) -> Self {
        self.boundaries = Boundaries::EachChange;
        self
    }

    /// How many changes it has.
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }
}

/// What to hide or show, and on whose word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hiding {
    /// Whose revisions.
    pub entity: Vec<u8>,
    /// First revision number, inclusive.
    pub first: u64,
    /// Last revision number, inclusive; `u64::MAX` for all later ones too.
    pub last: u64,
    /// Which parts.
    pub fields: FieldMask,
    /// Who does it; kept in the log.
    pub actor: String,
    /// Why; kept in the log.
    pub reason: String,
}

/// What became of one change of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// A revision was written.
    Written {
        /// Its number.
        revision: u64,
        /// Its sequence number.
        sequence: u64,
    },
    /// Nothing was written: the head has this content already.
    Unchanged {
        /// The head's number.
        revision: u64,
    },
    /// Nothing was written: this request was carried out before.
    Replayed {
        /// The number that it got then.
        revision: u64,
        /// The sequence number that it got then.
        sequence: u64,
    },
    /// An annotation was written.
    Annotated {
        /// Its sequence number.
        sequence: u64,
    },
    /// A condition held.
    Held,
}

impl Outcome {
    /// The revision number, where there is one.
    pub fn revision(self) -> Option<u64> {
        match self {
            Self::Written { revision, .. }
            | Self::Unchanged { revision }
            | Self::Replayed { revision, .. } => Some(revision),
            Self::Annotated { .. } | Self::Held => None,
        }
    }
}

/// A commit that went through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Everything up to here, this commit included, can be read.
    pub sequence: u64,
    /// What became of each change, in the order of the batch.
    pub outcomes: Vec<Outcome>,
}

impl Committed {
    /// The outcome of a batch of one.
    pub fn outcome(&self) -> Outcome {
        self.outcomes.first().copied().unwrap_or(Outcome::Held)
    }
}
