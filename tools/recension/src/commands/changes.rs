//! `changes`: what was done, in order. With `--follow` it waits for more, beside whoever writes.

use std::time::Duration;

use recension::{
    Annotation, Change, ChangeKind, Error, ErrorKind, LiveChange, LiveChangeKind, LiveChanges, Store,
    Timestamp,
};

use crate::args::{ChangesArgs, Global};
use crate::describe::{Meta, annotation_object, range, verb, whose};
use crate::entity::shown;
use crate::exit::Outcome;
use crate::interrupt;
use crate::output::{Object, Out};
use crate::reserved;
use crate::table::{Align, Table};
use crate::time;

pub fn run(args: &ChangesArgs, global: &Global, out: &mut Out) -> Outcome {
    let mut printer = Printer { global, table: table(), left: args.limit.unwrap_or(u64::MAX) };
    if args.follow {
        return follow(args, &mut printer, out);
    }
    match Store::builder(&args.store).read_only().open() {
        Ok(store) => {
            for change in store.changes(args.since)? {
                if !printer.logged(&change?, out)? {
                    break;
                }
            }
        }
        // Somebody is writing: the log can be read all the same.
        Err(Error::Locked { .. }) => {
            let mut live = live(args)?;
            while let Some(change) = live.poll()? {
                if !printer.live(&change, out)? {
                    break;
                }
            }
        }
        Err(error) => return Err(error.into()),
    }
    printer.table.end(out)
}

/// A store that is just being opened or closed may have its log moved under the reader once.
fn live(args: &ChangesArgs) -> recension::Result<LiveChanges> {
    let mut tries = 0;
    loop {
        match LiveChanges::open(&args.store, args.since) {
            Err(error) if error.kind() == ErrorKind::Corrupt && tries < 5 => {
                tries += 1;
                std::thread::sleep(Duration::from_millis(20));
            }
            other => return other,
        }
    }
}

fn follow(args: &ChangesArgs, printer: &mut Printer<'_>, out: &mut Out) -> Outcome {
    interrupt::catch()?;
    let mut live = live(args)?;
    while !interrupt::asked() {
        let mut more = true;
        while let Some(change) = live.poll()? {
            more = printer.live(&change, out)?;
            if !more || interrupt::asked() {
                break;
            }
        }
        printer.table.print(out)?;
        out.flush()?;
        if !more {
            return Ok(());
        }
        if let Some(change) = live.wait(Some(Duration::from_millis(200)))? {
            if !printer.live(&change, out)? {
                break;
            }
            printer.table.print(out)?;
            out.flush()?;
        }
    }
    // Whoever follows ends it so: that is no failure.
    printer.table.print(out)
}

fn table() -> Table {
    Table::new(&[
        ("SEQ", Align::Right),
        ("TIME", Align::Left),
        ("REV", Align::Right),
        ("SIZE", Align::Right),
        ("ENTITY", Align::Left),
        ("AUTHOR", Align::Left),
        ("COMMENT", Align::Left),
    ])
}

struct Printer<'a> {
    global: &'a Global,
    table: Table,
    left: u64,
}

impl Printer<'_> {
    /// Prints a change of an open store; `false` if no more are wanted.
    fn logged(&mut self, change: &Change, out: &mut Out) -> Outcome<bool> {
        match &change.kind {
            ChangeKind::Revision(revision) => self.revision(&Meta::of(revision)?, change.commit_rest, out),
            ChangeKind::Annotation(what) => self.annotation(change.sequence, change.commit_time, what, out),
            ChangeKind::Purged => self.purged(change.sequence, change.commit_time, out),
            _ => Ok(true),
        }
    }

    /// Prints a change of a live log; `false` if no more are wanted.
    fn live(&mut self, change: &LiveChange, out: &mut Out) -> Outcome<bool> {
        match &change.kind {
            LiveChangeKind::Revision { entity, row, fields, hidden, forgotten } => {
                let meta = Meta::of_row(entity, row, fields, *hidden, *forgotten);
                self.revision(&meta, change.commit_rest, out)
            }
            LiveChangeKind::Annotation(what) => {
                self.annotation(change.sequence, change.commit_time, what, out)
            }
            LiveChangeKind::Purged => self.purged(change.sequence, change.commit_time, out),
            _ => Ok(true),
        }
    }

    /// A change of which only the place is left.
    fn purged(&mut self, sequence: u64, at: Timestamp, out: &mut Out) -> Outcome<bool> {
        if self.left == 0 {
            return Ok(false);
        }
        self.left -= 1;
        if self.global.json {
            let mut object = Object::new();
            object.text("change", "purged").number("sequence", sequence);
            out.object(object.text("commit_time", &time::rfc3339(at)))?;
        } else {
            let mut cells = vec![sequence.to_string(), time::shown(at, self.global), String::new()];
            cells.extend(["purged".into(), String::new(), String::new(), String::new()]);
            self.table.row(out, cells)?;
        }
        Ok(self.left > 0)
    }

    fn revision(&mut self, meta: &Meta<'_>, commit_rest: u32, out: &mut Out) -> Outcome<bool> {
        if reserved::is_reserved(meta.entity.as_bytes()) {
            return Ok(true);
        }
        if self.left == 0 {
            return Ok(false);
        }
        self.left -= 1;
        if self.global.json {
            out.object(meta.object().number("commit_rest", u64::from(commit_rest)))?;
        } else {
            let cells = vec![
                meta.sequence.to_string(),
                time::shown(meta.commit_time, self.global),
                meta.number.to_string(),
                meta.size(),
                shown(meta.entity.as_bytes()),
                meta.author(),
                meta.comment(),
            ];
            self.table.row(out, cells)?;
        }
        Ok(self.left > 0)
    }

    fn annotation(
        &mut self,
        sequence: u64,
        at: Timestamp,
        what: &Annotation,
        out: &mut Out,
    ) -> Outcome<bool> {
        if self.left == 0 {
            return Ok(false);
        }
        self.left -= 1;
        if self.global.json {
            out.object(&annotation_object(sequence, at, what))?;
        } else {
            let cells = vec![
                sequence.to_string(),
                time::shown(at, self.global),
                range(what),
                verb(what.kind).to_owned(),
                whose(what),
                shown(what.actor.as_bytes()),
                shown(what.reason.as_bytes()),
            ];
            self.table.row(out, cells)?;
        }
        Ok(self.left > 0)
    }
}
