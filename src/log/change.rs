//! What the log says, change by change.

use std::sync::Arc;

use bytes::Bytes;

use super::locator::{Locator, StoredIn};
use super::unit::Unit;
use crate::Result;
use crate::codec::FileId;
use crate::model::{Address, Annotation, Digest, Entity, Row};

/// A change as the log holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedChange {
    /// Its sequence number.
    pub sequence: u64,
    /// How many further changes of the same commit follow.
    pub commit_rest: u32,
    /// When it was committed, µs.
    pub commit_time: i64,
    /// What it is.
    pub change: Change,
}

impl LoggedChange {
    /// A hash of all that is said here but the contents' digests: what a frame, a directory and the index say of the same change has the same
    /// one. For comparing; it is not on disk.
    pub fn fingerprint(&self) -> u64 {
        match &self.change {
            Change::Revision { entity, row, .. } => row.fingerprint(entity),
            Change::Annotation(annotation) => annotation.fingerprint(self.sequence),
            Change::Erased { .. } => self.sequence,
        }
    }
}

/// A revision or an annotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An entity got a further revision.
    Revision {
        /// Which entity.
        entity: Entity,
        /// The revision, with the address of its main content resolved; slots in the cold fields that the revision wrote itself
        /// still say sequence 0, see [`crate::model::Fields::resolve`].
        row: Row,
        /// Digests of the contents that this change stored, by slot. A reused content has its digest where it was stored.
        digests: Vec<Digest>,
    },
    /// Something that is not a revision.
    Annotation(Annotation),
    /// A change of an entity that was purged, in a file that was rewritten since: only its number and time are left.
    Erased {
        /// Where it belongs among the entities, now that it has no name: the lower bound of the rectangle that its file was made
        /// for. So a merge that goes through the entities part by part takes it along once.
        place: Bytes,
    },
}

impl Change {
    /// Where it belongs among the entities: which part of a run of packs has it.
    pub fn place(&self) -> &[u8] {
        match self {
            Self::Revision { entity, .. } => entity.as_bytes(),
            Self::Annotation(note) => note.entity.as_bytes(),
            Self::Erased { place } => place,
        }
    }
}

/// Changes in sequence order; ends after the first error.
pub type ChangeIter = Box<dyn Iterator<Item = Result<LoggedChange>> + Send>;

/// How much of a value file is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifyDepth {
    /// All checksums over stored bytes, and that directory, locators and groups name the same contents.
    Stored,
    /// Also decodes every content and compares it with its digest.
    Contents,
}

/// What was verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Contents that were compared with their digests.
    pub contents: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A file of the system of record: an unsealed segment, a sealed one, or a pack.
pub trait ValueFile: Send + Sync {
    /// Which file.
    fn id(&self) -> FileId;

    /// The content at an address. `Corrupt` if the file does not have it: whoever asks has a row or a value map that says so.
    fn read_content(&self, address: Address) -> Result<Bytes>;

    /// The same, where the neighbours of this content are not expected to be asked for: the head of an entity, say.
    fn read_alone(&self, address: Address) -> Result<Bytes> {
        self.read_content(address)
    }

    /// Where the group is that a content stands in; `None` if it stands by itself, or in a pack, which has other groups.
    fn group_of(&self, address: Address) -> Result<Option<Locator>> {
        let _ = address;
        Ok(None)
    }

    /// A unit that [`ValueFile::group_of`] named, verified but for its contents' own checksums.
    fn read_unit(&self, locator: &Locator) -> Result<Unit> {
        let number = self.id().number;
        Err(crate::Error::invalid(format!("internal: file {number} has no units, asked for {locator:?}")))
    }

    /// What a content takes of the file; `None` if it was erased, of a purged entity without a trace. Reads no more than the unit, and decodes
    /// nothing.
    ///
    /// # Errors
    /// As for [`ValueFile::read_content`].
    fn stored_in(&self, address: Address) -> Result<Option<StoredIn>>;

    /// Whether it keeps decoded contents in the cache itself, together with their neighbours.
    fn keeps_contents(&self) -> bool {
        false
    }

    /// Verifies what a look at all changes does not, as far as it is not the caller's business; a segment's contents are. `cancel` is
    /// asked now and then.
    ///
    /// # Errors
    /// `Corrupt` at the first thing that is wrong; `Cancelled`; `Io`.
    fn verify_stored(&self, depth: VerifyDepth, cancel: &dyn Fn() -> bool) -> Result<Verified> {
        let _ = (depth, cancel);
        Ok(Verified::default())
    }

    /// The digest of the content at an address, without reading it.
    fn digest(&self, address: Address) -> Result<Digest>;

    /// The changes with `after < sequence <= up_to`, as far as this file has them. Never reads contents.
    fn changes(self: Arc<Self>, after: u64, up_to: u64) -> ChangeIter;
}

/// A file whose changes stand in blocks, in sequence order.
pub(crate) trait ChangeBlocks: Send + Sync {
    /// The first sequence number of a block; `None` behind the last one.
    fn first_sequence(&self, block: usize) -> Option<u64>;

    /// The changes of a block.
    fn read_block(&self, block: usize) -> Result<Vec<LoggedChange>>;
}

/// Reads changes block by block.
pub(crate) struct BlockChanges<T> {
    file: Arc<T>,
    after: u64,
    up_to: u64,
    next: usize,
    pending: std::vec::IntoIter<LoggedChange>,
    done: bool,
}

impl<T: ChangeBlocks> BlockChanges<T> {
    /// The changes with `after < sequence <= up_to`; none of them stands before block `next`.
    pub fn new(file: Arc<T>, next: usize, after: u64, up_to: u64) -> Self {
        Self { file, after, up_to, next, pending: Vec::new().into_iter(), done: false }
    }

    fn step(&mut self) -> Result<Option<LoggedChange>> {
        loop {
            for change in self.pending.by_ref() {
                if change.sequence > self.up_to {
                    return Ok(None);
                }
                if change.sequence > self.after {
                    return Ok(Some(change));
                }
            }
            match self.file.first_sequence(self.next) {
                Some(first) if first <= self.up_to => {}
                _ => return Ok(None),
            }
            self.pending = self.file.read_block(self.next)?.into_iter();
            self.next = self.next.saturating_add(1);
        }
    }
}

impl<T: ChangeBlocks> Iterator for BlockChanges<T> {
    type Item = Result<LoggedChange>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let step = self.step();
        self.done = !matches!(step, Ok(Some(_)));
        step.transpose()
    }
}
