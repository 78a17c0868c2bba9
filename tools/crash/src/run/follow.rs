//! The change feed from outside: without the lock, beside the store that writes.

use super::*;
use recension::LiveChanges;

/// Followers that are kept at most.
const KEPT: usize = 2;

impl World {
    /// Everything a follower is given now, and that it is all there is if the log was just made durable.
    pub(super) fn follow(&mut self, back: u8) -> Done {
        // The promise is written when nothing comes for a while.
        let synced = self.rng().one_in(2) && {
            let result = self.store().sync();
            let synced = self.maintain("sync", result)?;
            let wait = std::time::Duration::from_micros(self.script.options.promise_us.saturating_mul(3));
            self.machine.jobs.run_for(wait);
            synced
        };
        let durable = self.store().durable();
        let mut live = match self.followers.len() < KEPT {
            true => {
                let after = durable.saturating_sub(u64::from(back) * 3);
                match LiveChanges::open_in(self.machine.env(), DIR.as_ref(), after) {
                    Ok(live) => live,
                    Err(Error::CursorLost { cursor, .. })
                        if cursor == after && (!synced || self.found_silent_damage()) =>
                    {
                        return Ok(());
                    }
                    Err(error) => return self.excused("following", &error),
                }
            }
            false => self.followers.remove(0),
        };
        let mut next = live.cursor();
        loop {
            let change = match live.poll() {
                Ok(Some(change)) => change,
                Ok(None) => break,
                Err(error) => return self.excused("following", &error),
            };
            next += 1;
            self.look_for_silent_damage();
            if self.silent {
                // What it is given may be what a disk made up; that it is never wrong is for stores that are open.
                return Ok(());
            }
            if change.sequence != next || next > durable {
                let what = format!("{} instead of {next}, {durable} is durable", change.sequence);
                return failure("a follower is given the commit order", what);
            }
            self.followed(next, &change)?;
        }
        self.look_for_silent_damage();
        // A store that latched, or has no room, writes no promise.
        let promised = synced && !self.errors && !self.limited && self.is_plain();
        if promised && next < durable {
            return failure(
                "a follower is given the commit order",
                format!("it ends at {next} of {durable}"),
            );
        }
        self.coverage.count("followed from outside");
        self.followers.push(live);
        Ok(())
    }

    fn found_silent_damage(&mut self) -> bool {
        self.look_for_silent_damage();
        self.silent
    }

    fn followed(&mut self, sequence: u64, change: &recension::LiveChange) -> Done {
        use recension::LiveChangeKind as Live;
        let published = self.store().published();
        let Some(wanted) = self.model.changes(sequence - 1, sequence).next() else {
            return failure("nothing is invented", format!("a follower is given {change:?}"));
        };
        let name = match wanted {
            crate::model::Change::Rev(name, _) => name,
            crate::model::Change::Note(note) => &note.entity,
        };
        let gone = self.model.purge(name, published).is_some_and(|purge| purge.sequence > sequence);
        let same = match (&change.kind, wanted) {
            // Forgetting takes hold when the follower comes by: what it was given earlier is not taken back.
            (Live::Purged, _) => gone,
            (
                Live::Revision { entity, row, fields, hidden, forgotten },
                crate::model::Change::Rev(_, rev),
            ) => {
                let covers = (*hidden).with(*forgotten);
                let shown = |field: recension::FieldMask, value: &Option<Bytes>| {
                    if covers.contains(field) { None } else { value.clone() }
                };
                // It reads ahead: what is written and not visible yet may count already.
                let end = self.model.end().max(published);
                let may_be = (published..=end)
                    .any(|at| self.model.withheld(name, rev.number, at) == (*hidden, *forgotten));
                !gone
                    && entity.as_bytes() == &name[..]
                    && (row.number, row.parent) == (rev.number, rev.parent)
                    && may_be
                    && fields.author == shown(recension::FieldMask::AUTHOR, &rev.author)
                    && fields.comment == shown(recension::FieldMask::COMMENT, &rev.comment)
            }
            (Live::Annotation(found), crate::model::Change::Note(note)) => {
                let known = match note.kind {
                    recension::AnnotationKind::Purge => {
                        found.entity == recension::model::purged_name(&self.store().id(), &note.entity)
                    }
                    _ => found.entity.as_bytes() == &note.entity[..] && !gone,
                };
                known && (found.kind, found.last, found.fields) == (note.kind, note.last, note.fields)
            }
            _ => false,
        };
        match same && change.commit_rest == wanted.rest() {
            true => Ok(()),
            false => failure(
                "a follower is given the commit order",
                format!("{change:?} instead of {wanted:?}{}", if gone { ", purged" } else { "" }),
            ),
        }
    }
}
