//! The changes of all inputs of a pack, without what is forgotten.

use std::iter::Peekable;
use std::path::Path;

use bytes::Bytes;

use super::layout::Rectangle;
use super::plan::{InputChanges, PackInput};
use crate::codec::Malformed;
use crate::index::annotations::{Erasures, erase_row, is_purged};
use crate::log::{Change, LoggedChange};
use crate::model::{Address, Digest, FieldMask};
use crate::{Error, Result};

/// The changes of all inputs in sequence order, as far as they lie in the rectangle. Says so if one is missing or there twice.
pub(super) struct Merged<'a> {
    inputs: Vec<Peekable<InputChanges<'a>>>,
    rectangle: &'a Rectangle,
    erasures: &'a dyn Erasures,
    path: &'a Path,
    last: u64,
}

impl<'a> Merged<'a> {
    pub fn new(
        inputs: &[PackInput],
        rectangle: &'a Rectangle,
        erasures: &'a dyn Erasures,
        path: &'a Path,
        cancel: &'a dyn Fn() -> bool,
    ) -> Self {
        let (after, up_to) = (rectangle.sequence_first.saturating_sub(1), rectangle.sequence_last);
        let inputs = inputs.iter().map(|input| input.changes(after, up_to, cancel).peekable()).collect();
        Self { inputs, rectangle, erasures, path, last: after }
    }

    /// The next change, and the number of its input.
    pub fn next(&mut self) -> Result<Option<(usize, LoggedChange)>> {
        loop {
            let mut first: Option<(usize, u64)> = None;
            for (number, input) in self.inputs.iter_mut().enumerate() {
                match input.peek() {
                    Some(Ok(change)) if first.is_none_or(|(_, sequence)| change.sequence < sequence) => {
                        first = Some((number, change.sequence));
                    }
                    Some(Err(error)) => return Err(error.clone()),
                    _ => {}
                }
            }
            let whole = self.rectangle.is_whole();
            let Some((number, sequence)) = first else {
                if whole && self.last != self.rectangle.sequence_last {
                    return Err(self.broken(self.last.saturating_add(1)));
                }
                return Ok(None);
            };
            if sequence <= self.last || whole && sequence != self.last.saturating_add(1) {
                return Err(self.broken(sequence));
            }
            self.last = sequence;
            let Some(mut change) = self.inputs.get_mut(number).and_then(Iterator::next).transpose()? else {
                continue;
            };
            if self.rectangle.has_entity(change.change.place()) {
                erase(&mut change, self.erasures, &self.rectangle.entity_first).map_err(|bad| match bad {
                    Unreadable::Fields(bad) => self.unreadable(sequence, bad),
                    Unreadable::Other(error) => error,
                })?;
                return Ok(Some((number, change)));
            }
        }
    }

    fn unreadable(&self, sequence: u64, bad: Malformed) -> Error {
        Error::malformed(self.path, 0, bad, format!("the fields of change {sequence}: no pack was made"))
    }

    fn broken(&self, sequence: u64) -> Error {
        let expected = format!("each change of the inputs once, behind {}", self.last);
        Error::corrupt(self.path, 0, expected, format!("change {sequence}"), "nothing: no pack was made")
    }
}

enum Unreadable {
    Fields(Malformed),
    Other(Error),
}

impl From<Error> for Unreadable {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// Takes from a change what is forgotten. `place` is the lower bound of the file that is being made.
fn erase(change: &mut LoggedChange, erasures: &dyn Erasures, place: &Bytes) -> Result<(), Unreadable> {
    if let Change::Erased { place: old } = &mut change.change {
        *old = place.clone();
    }
    if erasures.up_to() == 0 {
        return Ok(());
    }
    let sequence = change.sequence;
    let purged = match &mut change.change {
        Change::Erased { .. } => false,
        Change::Annotation(note) => is_purged(&note.entity, sequence, erasures)?,
        Change::Revision { entity, row, digests } => {
            let number = match planted!("neighbour of the forgotten erased") {
                true => row.number.saturating_add(1),
                false => row.number,
            };
            let seen = erasures.gate(entity)?.visibility(number);
            if !seen.purged && !seen.forgotten.is_empty() {
                if !planted!("fields stay in packs") {
                    erase_row(row, seen.forgotten).map_err(Unreadable::Fields)?;
                }
                if seen.forgotten.contains(FieldMask::CONTENT) && !digests.is_empty() {
                    let reused = match planted!("reused content erased") {
                        true => Default::default(),
                        false => erasures.reused(entity)?,
                    };
                    for (slot, digest) in digests.iter_mut().enumerate() {
                        if !reused.contains(&Address { sequence, slot: slot as u16 }) {
                            *digest = Digest::ERASED;
                        }
                    }
                }
            }
            seen.purged
        }
    };
    if purged {
        change.change = Change::Erased { place: place.clone() };
    }
    Ok(())
}
