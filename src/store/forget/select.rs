//! Which revisions of an entity are meant.

use super::{Planned, Span};
use crate::index::Order;
use crate::model::{Bound, ContentRef, Digest, Entity, FieldMask, Fields, Row};
use crate::store::inner::Inner;
use crate::{Error, Result};

/// What is to be forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForgetWhat {
    /// Of these revisions, as far as they are there now.
    Revisions {
        /// Whose.
        entity: Vec<u8>,
        /// First number, inclusive.
        first: u64,
        /// Last number, inclusive.
        last: u64,
    },
    /// Of all revisions with this author.
    Author(Vec<u8>),
    /// Of all revisions with this content, in any slot.
    Digest(Digest),
}

/// What becomes of a content that other revisions of the entity have, too, because they reuse it or because it is equal. (Equal
/// contents of *other* entities are found by [`Forgetting::digest`](super::Forgetting::digest).)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Sharing {
    /// Nothing is forgotten: the answer is [`Error::Shared`] and names them.
    #[default]
    Refuse,
    /// The others are meant as well, as far as the content goes.
    Include,
    /// The others keep it: it is forgotten for the revisions that are named, and its bytes stay.
    Leave,
}

/// How many revisions [`Error::Shared`] names.
const NAMED_MAX: usize = 20;

/// A revision that may be meant.
struct Candidate {
    number: u64,
    selected: bool,
    /// What is to be forgotten of it if it is selected.
    fields: FieldMask,
    /// What is forgotten already.
    forgotten: FieldMask,
    /// Its contents that are not forgotten.
    contents: Vec<ContentRef>,
}

impl Inner {
    /// The ranges of an entity that are to be forgotten; `None` if there are none (any more).
    pub(super) fn select(
        &self,
        entity: &Entity,
        what: &ForgetWhat,
        fields: FieldMask,
        sharing: Sharing,
    ) -> Result<Option<Planned>> {
        let view = self.view();
        let Some(head) = view.find(entity.as_bytes(), &Bound::at(self.published()))? else { return Ok(None) };
        let gate = self.gate(entity)?;
        let mut candidates = Vec::new();
        for row in view.rows(
            entity,
            &Bound::at(head.sequence.saturating_add(u64::from(head.commit_rest))),
            Order::Ascending,
        ) {
            let row = row?;
            let seen = gate.visibility(row.number);
            if seen.purged {
                continue;
            }
            let mut cold = Fields::decode(&row.cold).map_err(|bad| self.bad_fields(entity, &row, bad))?;
            cold.resolve(row.sequence);
            let contents = match seen.forgotten.contains(FieldMask::CONTENT) {
                true => Vec::new(),
                false => contents_of(&row, &cold),
            };
            let selected = match what {
                ForgetWhat::Revisions { first, last, .. } => (*first..=*last).contains(&row.number),
                ForgetWhat::Author(author) => {
                    !seen.forgotten.contains(FieldMask::AUTHOR)
                        && cold.author.as_deref() == Some(author.as_slice())
                }
                ForgetWhat::Digest(digest) => self.has_digest(entity, &contents, digest)?,
            };
            let forgotten = seen.forgotten;
            candidates.push(Candidate { number: row.number, selected, fields, forgotten, contents });
        }
        if fields.contains(FieldMask::CONTENT) && sharing != Sharing::Leave {
            self.share(entity, &mut candidates, sharing)?;
        }
        let mut ranges: Vec<Span> = Vec::new();
        let (mut revisions, mut open) = (0, false);
        for candidate in &candidates {
            let Candidate { number, fields, .. } = *candidate;
            let wanted = candidate.selected && !candidate.forgotten.contains(fields);
            revisions += u64::from(wanted);
            match ranges.last_mut() {
                Some(span) if wanted && open && span.fields == fields => span.last = number,
                _ if wanted => ranges.push(Span { first: number, last: number, fields }),
                _ => {}
            }
            open = wanted;
        }
        Ok(Planned::new(entity, &head, ranges, revisions))
    }

    fn has_digest(&self, entity: &Entity, contents: &[ContentRef], digest: &Digest) -> Result<bool> {
        for content in contents.iter().filter(|content| content.tag == digest.tag()) {
            if self.values().digest(entity.as_bytes(), content.address)? == *digest {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Finds revisions that are not meant and have a content of one that is; refuses, or takes them in.
    fn share(&self, entity: &Entity, candidates: &mut [Candidate], sharing: Sharing) -> Result<()> {
        loop {
            let meant: Vec<ContentRef> = candidates
                .iter()
                .filter(|candidate| candidate.selected)
                .flat_map(|candidate| candidate.contents.iter().copied())
                .collect();
            let meant_by_tag: std::collections::BTreeMap<u64, Vec<ContentRef>> =
                meant.into_iter().fold(Default::default(), |mut map, content| {
                    let same: &mut Vec<ContentRef> = map.entry(content.tag).or_default();
                    if !same.iter().any(|other| other.address == content.address) {
                        same.push(content);
                    }
                    map
                });
            let mut others = Vec::new();
            for candidate in candidates.iter_mut().filter(|candidate| !candidate.selected) {
                for content in &candidate.contents {
                    let Some(same) = meant_by_tag.get(&content.tag) else { continue };
                    if self.is_one_of(entity, *content, same)? {
                        others.push(candidate.number);
                        candidate.selected = sharing == Sharing::Include;
                        // The content is what they share; who wrote the other one is another matter.
                        candidate.fields = FieldMask::CONTENT;
                        break;
                    }
                }
            }
            if others.is_empty() || planted!("shared contents not looked for") {
                return Ok(());
            }
            if sharing == Sharing::Refuse {
                let count = others.len() as u64;
                others.truncate(NAMED_MAX);
                return Err(Error::Shared { entity: entity.clone(), count, revisions: others });
            }
            probe!("forget: shared contents included");
        }
    }

    fn is_one_of(&self, entity: &Entity, content: ContentRef, others: &[ContentRef]) -> Result<bool> {
        if others.iter().any(|other| other.address == content.address) {
            return Ok(true);
        }
        let values = self.values();
        for other in others.iter().filter(|other| other.len == content.len) {
            let digest = |content: ContentRef| values.digest(entity.as_bytes(), content.address);
            if digest(*other)? == digest(content)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Everything up to a watermark: the newest revision that was superseded before `before` and has at least `keep` revisions between
    /// it and the head.
    pub(super) fn select_superseded(
        &self,
        entity: &Entity,
        before: i64,
        keep: u64,
        fields: FieldMask,
    ) -> Result<Option<Planned>> {
        let view = self.view();
        let Some(head) = view.find(entity.as_bytes(), &Bound::at(self.published()))? else { return Ok(None) };
        let now = Bound::at(head.sequence.saturating_add(u64::from(head.commit_rest)));
        // The newest row that was committed before the time is what superseded the one behind it.
        let old = Bound { commit_time: before.saturating_sub(1), ..now };
        let Some(superseded) = view.rows(entity, &old, Order::Descending).nth(1).transpose()? else {
            return Ok(None);
        };
        let keep = if planted!("retention keeps one too few") { keep } else { keep.saturating_add(1) };
        let below = usize::try_from(keep).unwrap_or(usize::MAX);
        let Some(beyond) = view.rows(entity, &now, Order::Descending).nth(below).transpose()? else {
            return Ok(None);
        };
        let last = superseded.number.min(beyond.number);
        let gate = self.gate(entity)?;
        let mut revisions = 0;
        for row in view.rows(entity, &Bound { number: last, ..now }, Order::Descending) {
            let seen = gate.visibility(row?.number);
            if seen.purged {
                break;
            }
            revisions += u64::from(!seen.forgotten.contains(fields));
        }
        Ok(Planned::new(entity, &head, vec![Span { first: 1, last, fields }], revisions))
    }
}

/// The contents that a revision names, its own and reused ones.
fn contents_of(row: &Row, fields: &Fields) -> Vec<ContentRef> {
    row.content.into_iter().chain(fields.slots.iter().filter_map(|(_, content)| *content)).collect()
}
