//! What a file that is written anew leaves out: the physical side of forgetting.
//!
//! | of what is | is left out | stays |
//! |---|---|---|
//! | forgotten | the masked fields of the row: author and comment, attributes with tags, tags of digests; a content that no revision has any more, and its digest | the row: numbers, times, kind, lengths, addresses |
//! | purged | the row, and every annotation of the entity that is older than the purge | in value files its sequence number and commit time |
//!
//! 1. *Only what is durable erases*: annotations behind [`Erasures::up_to`] are not applied, for a power cut may take them back.
//! 2. *Monotone*: leaving out more of what was left out already changes nothing, so two files of different age say the same of a
//!    revision once both are looked at through the erasures of today.
//! 3. A content goes when *every* revision that has it has forgotten it: a revert keeps what it names.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::{Gate, StoredAnnotation};
use crate::Result;
use crate::codec::Malformed;
use crate::model::{Address, Entity, FieldMask, Fields, PURGED_PREFIX, Row};

/// The attribute beside an author that names him, too: imports keep it.
pub const AUTHOR_ID: &[u8] = b"author_id";

/// What is to be left out of a file that is being written. Answers stay the same as long as it lives.
pub trait Erasures: Send + Sync {
    /// All annotations up to this sequence number are applied, and no later ones. 0: there are none.
    fn up_to(&self) -> u64;

    /// What is forgotten of an entity's revisions. Nothing in it is merely hidden.
    ///
    /// # Errors
    /// Whatever reading annotations gives: what cannot be told is not written.
    fn gate(&self, entity: &Entity) -> Result<Arc<Gate>>;

    /// The contents that revisions of an entity have which did not write them, as far as those have not forgotten them.
    ///
    /// # Errors
    /// Whatever reading the index gives.
    fn reused(&self, entity: &Entity) -> Result<Arc<BTreeSet<Address>>>;
}

/// Leaves nothing out.
#[derive(Clone, Copy, Debug, Default)]
pub struct NothingErased;

impl Erasures for NothingErased {
    fn up_to(&self) -> u64 {
        0
    }

    fn gate(&self, _: &Entity) -> Result<Arc<Gate>> {
        Ok(Arc::default())
    }

    fn reused(&self, _: &Entity) -> Result<Arc<BTreeSet<Address>>> {
        Ok(Arc::default())
    }
}

/// Takes from fields what a mask names.
pub fn take_fields(fields: &mut Fields, mask: FieldMask) {
    if mask.contains(FieldMask::AUTHOR) {
        fields.author = None;
        fields.attributes.retain(|(name, _)| name != AUTHOR_ID);
    }
    if mask.contains(FieldMask::COMMENT) {
        fields.comment = None;
    }
    if mask.contains(FieldMask::ATTRIBUTES) {
        fields.attributes.clear();
        fields.tags.clear();
    }
    if mask.contains(FieldMask::CONTENT) {
        // A tag is a piece of the digest: it would tell whether a guess is right.
        fields.slots.iter_mut().filter_map(|(_, content)| content.as_mut()).for_each(|it| it.tag = 0);
    }
}

/// Takes from a row what is forgotten; answers whether anything was there.
///
/// # Errors
/// `Malformed` if its fields cannot be decoded: what cannot be read cannot be taken out.
pub fn erase_row(row: &mut Row, forgotten: FieldMask) -> Result<bool, Malformed> {
    if forgotten.is_empty() {
        return Ok(false);
    }
    let mut fields = Fields::decode(&row.cold)?;
    take_fields(&mut fields, forgotten);
    if forgotten.contains(FieldMask::ATTRIBUTES) {
        // Whatever they are, they are attributes of some kind.
        fields.unknown.clear();
    }
    let cold = fields.encode();
    let mut changed = false;
    if cold != row.cold {
        row.cold = Bytes::from(cold);
        changed = true;
    }
    if forgotten.contains(FieldMask::CONTENT)
        && let Some(content) = row.content.as_mut().filter(|content| content.tag != 0)
    {
        content.tag = 0;
        changed = true;
    }
    Ok(changed)
}

impl Gate {
    /// Whether everything about the entity at this sequence number, annotations included, went with a purge.
    pub fn purged_before(&self, sequence: u64) -> bool {
        self.purge().is_some_and(|purge| purge.sequence > sequence)
    }

    /// Folds those annotations that erase, of one entity and up to a sequence number.
    pub fn erasing(annotations: &[StoredAnnotation], purges: &[StoredAnnotation], up_to: u64) -> Self {
        let counts = |stored: &&StoredAnnotation| stored.sequence <= up_to && stored.annotation.kind.erases();
        let annotations: Vec<_> = annotations.iter().filter(counts).cloned().collect();
        let purges: Vec<_> = purges.iter().filter(counts).cloned().collect();
        Self::new(&annotations, super::Purge::newest(&purges))
    }
}

/// Whether an annotation went with a purge of its entity that came after it.
///
/// # Errors
/// Those of [`Erasures::gate`].
pub fn is_purged(entity: &Entity, sequence: u64, erasures: &dyn Erasures) -> Result<bool> {
    // Purges themselves stay: by them `Purged` is answered.
    if erasures.up_to() == 0 || entity.as_bytes().starts_with(PURGED_PREFIX) {
        return Ok(false);
    }
    Ok(erasures.gate(entity)?.purged_before(sequence))
}
