//! What becomes of a record.
//!
//! | the record says | and | it is |
//! |---|---|---|
//! | `rev` | above the head | written as that number |
//! | `rev` | there | skipped if equal, else rejected |
//! | `rev` | below the head and not there | rejected: a head never goes back |
//! | any | there and forgotten, or of a time before a purge | counted as forgotten: never written again, never echoed |
//! | a foreign id | there | skipped if equal, else rejected |
//! | a foreign id | above the head | written with that number |
//! | a foreign id | below the head | written as head + 1, the id beside it |
//! | neither | `--append` | written as head + 1 |
//! | neither | the head has this content | skipped |
//! | neither | it has not | written as head + 1 |

use recension::limits::REVISION_NUMBER_MAX;
use recension::{Head, Revision, Store};

use super::agree::difference;
use super::foreign::{Foreign, Found};
use crate::exit::Outcome;
use crate::formats::Record;
use crate::reserved;

/// The attribute with the parent's foreign id, where it has no number.
pub const PARENT_ID: &str = "parent_id";

/// The head of an entity while records are gathered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its number; 0 if there is none.
    pub head: u64,
    /// Some of its revisions are gathered and not committed.
    pub gathered: bool,
}

/// What becomes of a record.
pub enum Decision {
    Write {
        number: u64,
        parent: Option<u64>,
        origin: Option<u64>,
        /// The parent's foreign id has no number: keep it as it is.
        parent_id: Option<u64>,
    },
    Skip,
    Forgotten,
    Reject(String),
    /// It depends on what is gathered.
    CommitFirst,
}

/// What decisions look at.
pub struct Decider<'a> {
    pub store: &'a Store,
    pub append: bool,
    pub foreign: Foreign,
}

impl Decider<'_> {
    /// The head of an entity of which nothing is gathered; `None` if it was purged.
    pub fn look_up(&self, entity: &[u8]) -> Outcome<Option<Known>> {
        let head = self.store.head(entity)?;
        Ok(match head {
            Head::Purged(_) => None,
            head => Some(Known { head: head.number(), gathered: false }),
        })
    }

    pub fn decide(&mut self, record: &Record, known: Known) -> Outcome<Decision> {
        let entity = record.entity.as_slice();
        if reserved::is_reserved(entity) {
            return Ok(Decision::Reject(reserved::REFUSAL.into()));
        }
        if let Some(number) = record.rev {
            if number > known.head {
                return Ok(write(number, record.parent, record.origin_id));
            }
            if known.gathered {
                return Ok(Decision::CommitFirst);
            }
            return match self.store.revision(entity, number)? {
                Some(revision) => self.compare(record, &revision),
                None if self.store.purged(entity)?.is_some_and(|last| number <= last) => {
                    Ok(Decision::Forgotten)
                }
                None => Ok(Decision::Reject(format!(
                    "revision {number} is not there, and the head is revision {} already: a head never goes back",
                    known.head
                ))),
            };
        }
        // Without a number nothing tells what was purged from what is new.
        if self.store.purged(entity)?.is_some() {
            return Ok(Decision::Forgotten);
        }
        let next = known.head.saturating_add(1);
        let Some(id) = record.origin_id else {
            if !self.append && known.gathered {
                return Ok(Decision::CommitFirst);
            }
            if !self.append
                && let Some(decision) = self.is_head(record)?
            {
                return Ok(decision);
            }
            return Ok(write(next, record.parent, None));
        };
        match self.foreign.find(self.store, entity, id, known.head, known.gathered)? {
            Found::Gathered => return Ok(Decision::CommitFirst),
            Found::Number(_) if known.gathered => return Ok(Decision::CommitFirst),
            Found::Number(number) => {
                return match self.store.revision(entity, number)? {
                    Some(revision) => self.compare(record, &revision),
                    None => Ok(Decision::CommitFirst),
                };
            }
            Found::Nowhere => {}
        }
        let (number, origin) = match id > known.head && id <= REVISION_NUMBER_MAX {
            true => (id, None),
            false => (next, Some(id)),
        };
        let (parent, parent_id) = match record.origin_parent {
            None => (record.parent, None),
            Some(0) => (Some(0), None),
            Some(id) => match self.foreign.find(self.store, entity, id, known.head, known.gathered)? {
                Found::Number(number) => (Some(number), None),
                // The ordinary case, without a look: the parent is the head, whose number is its id.
                Found::Gathered if id == known.head => (Some(id), None),
                Found::Gathered => return Ok(Decision::CommitFirst),
                Found::Nowhere => (Some(0), Some(id)),
            },
        };
        Ok(Decision::Write { number, parent, origin, parent_id })
    }

    fn compare(&self, record: &Record, revision: &Revision) -> Outcome<Decision> {
        if !revision.forgotten().is_empty() {
            return Ok(Decision::Forgotten);
        }
        let number = revision.number();
        let differs = match (record.parent, record.rev) {
            (Some(parent), Some(_)) if parent != revision.parent() => Some("parent"),
            _ if record.rev.is_some() && record.origin_id != revision.fields()?.origin_id => {
                Some("foreign id")
            }
            _ => difference(record, revision)?,
        };
        Ok(match differs {
            None => Decision::Skip,
            Some(part) => {
                Decision::Reject(format!("revision {number} is there already, with another {part}"))
            }
        })
    }

    /// What becomes of a record without a number that says what the head says.
    fn is_head(&self, record: &Record) -> Outcome<Option<Decision>> {
        let Some(head) = self.store.get(&record.entity)? else { return Ok(None) };
        let same = difference(record, &head)?.is_none();
        let forgotten = !head.forgotten().is_empty();
        Ok(same.then_some(if forgotten { Decision::Forgotten } else { Decision::Skip }))
    }
}

fn write(number: u64, parent: Option<u64>, origin: Option<u64>) -> Decision {
    Decision::Write { number, parent, origin, parent_id: None }
}
