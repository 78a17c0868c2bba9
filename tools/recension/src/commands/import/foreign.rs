//! Revisions by the id that they had where they come from.
//!
//! A foreign id that was above the head when it came became the number; else the number was head + 1 and the id stands beside it.
//! So an id above the head is not there, an id that is a number is found at once, and only the others need the whole history of
//! the entity, which is read once for each stretch of records about it.

use std::collections::BTreeMap;

use recension::Store;

use crate::exit::Outcome;

/// What is known of foreign ids.
#[derive(Default)]
pub struct Foreign {
    entity: Vec<u8>,
    /// Ids to numbers of the whole history of `entity`.
    numbers: Option<BTreeMap<u64, u64>>,
}

/// Where an id is.
pub enum Found {
    Number(u64),
    Nowhere,
    /// It may be among what is gathered: that must be committed first.
    Gathered,
}

impl Foreign {
    /// Looks for a foreign id of an entity whose head is `head`. `gathered`: some of its revisions are not committed.
    pub fn find(
        &mut self,
        store: &Store,
        entity: &[u8],
        id: u64,
        head: u64,
        gathered: bool,
    ) -> Outcome<Found> {
        if id > head {
            return Ok(Found::Nowhere);
        }
        if self.entity != entity {
            self.numbers = None;
        }
        if let Some(numbers) = &self.numbers {
            return Ok(numbers.get(&id).map_or(Found::Nowhere, |number| Found::Number(*number)));
        }
        if gathered {
            return Ok(Found::Gathered);
        }
        if let Some(revision) = store.revision(entity, id)?
            && revision.fields()?.origin_id.is_none()
        {
            return Ok(Found::Number(id));
        }
        let mut numbers = BTreeMap::new();
        for revision in store.history(entity)? {
            let revision = revision?;
            numbers.insert(revision.fields()?.origin_id.unwrap_or(revision.number()), revision.number());
        }
        self.entity = entity.to_vec();
        let found = numbers.get(&id).copied();
        self.numbers = Some(numbers);
        Ok(found.map_or(Found::Nowhere, Found::Number))
    }

    /// A revision is going to be written.
    pub fn add(&mut self, entity: &[u8], id: u64, number: u64) {
        if self.entity == entity
            && let Some(numbers) = &mut self.numbers
        {
            numbers.insert(id, number);
        }
    }

    /// What was going to be written may not have been.
    pub fn forget(&mut self) {
        self.numbers = None;
    }
}
