//! A change as a reader may see it.

use super::{LiveChange, LiveChangeKind, LiveChanges};
use crate::index::annotations::Visibility;
use crate::log::{Change, LoggedChange};
use crate::model::{Entity, FieldMask, Fields, Row, Timestamp};
use crate::store::revision::conceal;
use crate::{Error, Result};

impl LiveChanges {
    /// The change without what is hidden.
    pub(super) fn shown(&self, logged: LoggedChange) -> Result<LiveChange> {
        let kind = match logged.change {
            Change::Annotation(annotation) => {
                let purge = self.gate.purge(&self.store, annotation.entity.as_bytes())?;
                match purge.is_some_and(|purge| purge.sequence > logged.sequence) {
                    true => LiveChangeKind::Purged,
                    false => LiveChangeKind::Annotation(annotation),
                }
            }
            Change::Revision { entity, row, .. } => self.revision(entity, row)?,
            Change::Erased { .. } => LiveChangeKind::Purged,
        };
        Ok(LiveChange {
            sequence: logged.sequence,
            commit_rest: logged.commit_rest,
            commit_time: Timestamp(logged.commit_time),
            kind,
        })
    }

    /// A revision without what is hidden or forgotten.
    fn revision(&self, entity: Entity, mut row: Row) -> Result<LiveChangeKind> {
        let seen = self.gate.visibility(&self.store, &entity, row.number)?;
        if seen.purged {
            return Ok(LiveChangeKind::Purged);
        }
        let mut fields = Fields::decode(&row.cold).map_err(|bad| {
            Error::malformed(&self.dir, 0, bad, format!("metadata of revision {} of {entity}", row.number))
        })?;
        if !seen.is_full() {
            conceal(&mut fields, seen);
            row.cold = fields.encode().into();
            if let Some(content) =
                row.content.as_mut().filter(|_| seen.withheld().contains(FieldMask::CONTENT))
            {
                // A piece of the digest.
                content.tag = 0;
            }
        }
        fields.resolve(row.sequence);
        let Visibility { hidden, forgotten, .. } = seen;
        Ok(LiveChangeKind::Revision {
            entity,
            row: Box::new(row),
            fields: Box::new(fields),
            hidden,
            forgotten,
        })
    }
}
