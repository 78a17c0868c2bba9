//! `import`: records of a source become revisions of a store.
//!
//! ```text
//!  reader thread: file ─► decompress ─► parse ─► chunks ─►│ channel │─► decide ─► group ─► commit (Buffered) ─► sync now and then
//!                                                                      │ skip, reject, or write as number n
//! ```
//! | file | what |
//! |---|---|
//! | `source` | the reading thread |
//! | `decide` | what becomes of a record: its number, its parent, or why it is not taken |
//! | `foreign` | revisions of an entity by the id that they had where they come from |
//! | `agree` | whether a revision that is there already is what the record says |
//! | `group` | records gathered into one frame, a commit boundary behind each, and how it is committed |
//! | `resume` | how far an import has come, kept in the store in the same frame |
//! | `rejects` | the file of records that were not taken |
//! | `report` | progress bar and summary |
//!
//! 1. A record is written, skipped, counted as forgotten, or rejected with a reason; nothing is dropped in silence.
//! 2. Progress and the revisions that it speaks of are in one frame: after a crash either both are there or neither.
//! 3. Running an import again, interrupted or not, never writes a revision twice.

mod agree;
mod decide;
mod foreign;
mod group;
mod rejects;
mod report;
mod resume;
mod source;

use std::time::Instant;

use recension::{IfMissing, Store};

use super::{note, write_to};
use crate::args::{Global, ImportArgs, KeyChoice};
use crate::exit::{Failure, Outcome};
use crate::formats::{Options, Record, mediawiki};
use crate::interrupt;
use crate::output::Out;
use group::Group;
use rejects::Rejects;
use report::{Bar, Summary};
use resume::Progress;
use source::{Item, Source};

pub fn run(args: &ImportArgs, global: &Global, out: &mut Out) -> Outcome {
    let options = Options { key: key(args.key), append: args.append, ..Options::default() };
    // Before a store is made for files that are not there.
    let sources = args.files.iter().map(|path| Source::find(path)).collect::<Outcome<Vec<_>>>()?;
    interrupt::catch()?;
    let start = Instant::now();
    let bytes_before = report::bytes_on_disk(&args.store);
    let mut summary = Summary::default();
    let mut rejects = Rejects::new(args.rejects.as_deref());
    let done = write_to(&args.store, IfMissing::Create, global, |store| {
        for source in sources {
            if interrupt::asked() {
                break;
            }
            let mut import = Import::new(store, &options, global, &mut summary, &mut rejects);
            let imported = import.run(source);
            // What was committed stays, whatever came behind it.
            store.sync()?;
            imported?;
        }
        Ok(())
    });
    summary.elapsed = start.elapsed();
    summary.interrupted = interrupt::asked();
    summary.bytes_on_disk = report::bytes_on_disk(&args.store);
    summary.bytes_grown = summary.bytes_on_disk.saturating_sub(bytes_before);
    rejects.finish()?;
    if done.is_ok() || summary.written > 0 {
        summary.print(global, out)?;
        out.flush()?;
    }
    done?;
    if summary.interrupted {
        return Err(Failure::Interrupted(
            "interrupted: everything up to here is in the store; run the same command again to go on".into(),
        ));
    }
    match summary.rejected {
        0 => Ok(()),
        n => Err(Failure::Rejects(rejects.told(n))),
    }
}

fn key(choice: KeyChoice) -> mediawiki::Key {
    match choice {
        KeyChoice::Title => mediawiki::Key::Title,
        KeyChoice::PageId => mediawiki::Key::PageId,
    }
}

/// The import of one source.
struct Import<'a> {
    store: &'a Store,
    options: &'a Options,
    global: &'a Global,
    summary: &'a mut Summary,
    rejects: &'a mut Rejects,
    group: Group<'a>,
}

impl<'a> Import<'a> {
    fn new(
        store: &'a Store,
        options: &'a Options,
        global: &'a Global,
        summary: &'a mut Summary,
        rejects: &'a mut Rejects,
    ) -> Self {
        Self { store, options, global, summary, rejects, group: Group::new(store, options.append) }
    }

    fn run(&mut self, source: Source) -> Outcome {
        let mut progress = Progress::load(self.store, &source, self.options)?;
        let resumed = progress.ordinal;
        if resumed > 0 {
            note(self.global, &format!("{}: going on behind record {resumed}", source.name));
            self.summary.rejected += progress.rejected;
        }
        self.rejects.begin(&source.name, resumed, progress.rejected)?;
        let tells_parents = source.tells_parents();
        let bar = Bar::new(&source);
        let reading = source.read(self.options, resumed);
        let mut ended = false;
        while !ended && !interrupt::asked() {
            for item in reading.next()? {
                match item {
                    Item::Record(mut record) => {
                        if tells_parents && record.origin_parent.is_none() {
                            record.origin_parent = Some(0);
                        }
                        self.record(record, &mut progress)?;
                    }
                    Item::Reject(reject) => {
                        progress.ordinal = reject.place.ordinal + 1;
                        self.rejects.reject(&reject, self.summary)?;
                    }
                    Item::SiteInfo(json) => self.group.site_info(json)?,
                    Item::PassedOver(what, n) => {
                        note(self.global, &format!("passed over: {what} ({n})"));
                    }
                    Item::Fatal(fatal) => {
                        self.commit(&mut progress)?;
                        return Err(Failure::Failed(format!("{fatal}; what stands before it was imported")));
                    }
                    Item::End => ended = true,
                }
                if self.group.is_full() {
                    self.commit(&mut progress)?;
                }
                if interrupt::asked() {
                    break;
                }
            }
            bar.show(self.summary);
            if progress.is_far_ahead() {
                self.commit(&mut progress)?;
            }
        }
        progress.done = ended;
        self.commit(&mut progress)
    }

    fn record(&mut self, record: Box<Record>, progress: &mut Progress) -> Outcome {
        let ordinal = record.place.ordinal;
        let mut offered = Some(record);
        while let Some(record) = offered {
            offered = self.group.offer(record, self.summary, self.rejects)?;
            if offered.is_some() {
                // What becomes of it depends on what is gathered.
                self.commit(progress)?;
            }
        }
        progress.ordinal = ordinal + 1;
        Ok(())
    }

    fn commit(&mut self, progress: &mut Progress) -> Outcome {
        progress.rejected = self.rejects.of_source();
        self.rejects.flush()?;
        self.group.commit(progress, self.summary, self.rejects)
    }
}
