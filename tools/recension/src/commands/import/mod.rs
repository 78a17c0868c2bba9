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
//! 3. Running an import again, interrupted or not, never writes a revision twice that has a number or a foreign id. (What has neither can only be
//!    compared with the head: an older equal revision may have been left on purpose.)

mod agree;
mod decide;
mod foreign;
mod group;
mod rejects;
mod report;
mod resume;
mod source;

use std::time::Instant;

use recension::{IfMissing, Packing, Store};

use super::progress::with_bar;
use super::{note, write_with};
use crate::args::{Global, ImportArgs, KeyChoice};
use crate::exit::{Failure, Outcome};
use crate::formats::{Options, Record, mediawiki};
use crate::interrupt;
use crate::output::Out;
use group::Group;
use rejects::Rejects;
use report::{Bar, Summary};
use resume::{Progress, fingerprint};
use source::{Item, Source};

/// An import of fewer bytes is left to the background: each that is packed by itself becomes a file.
const PACK_FROM: u64 = 256 << 10;

pub fn run(args: &ImportArgs, global: &Global, out: &mut Out) -> Outcome {
    let options = Options { key: key(args.key), append: args.append, ..Options::default() };
    // Before a store is made for files that are not there.
    let sources = args.files.iter().map(|path| Source::find(path)).collect::<Outcome<Vec<_>>>()?;
    interrupt::catch()?;
    let start_at = if args.restart { Start::Anew } else { Start::WhereItWas };
    let start = Instant::now();
    let bytes_before = report::bytes_on_disk(&args.store);
    let mut summary = Summary::default();
    let mut rejects = Rejects::new(args.rejects.as_deref());
    let packing = if args.no_pack { Packing::WhenAsked } else { Packing::InBackground };
    let builder = || Store::builder(&args.store).if_missing(IfMissing::Create).packing(packing);
    let done = write_with(builder, global, |store| {
        for source in sources {
            if interrupt::asked() {
                break;
            }
            let mut import = Import::new(store, &options, global, &mut summary, &mut rejects);
            let imported = import.run(source, start_at);
            // What was committed stays, whatever came behind it.
            store.sync()?;
            imported?;
        }
        // People look at the size now; and what was imported at once is rarely written to again at once.
        // An import that was killed may have left some to be packed, too.
        let log = store.stats().map(|stats| stats.segments.1.saturating_add(stats.active_segment_bytes))?;
        if !args.no_pack && summary.raw_bytes.max(log) >= PACK_FROM && !interrupt::asked() {
            with_bar(|progress| store.pack(progress))?;
        }
        let stats = store.stats()?;
        summary.contents = stats.ratio().map(|ratio| ratio * stats.bytes_on_disk as f64);
        let tables = stats.written.2.saturating_add(stats.written_packs);
        summary.bytes_written = stats.written.0.saturating_add(tables);
        Ok(())
    });
    summary.elapsed = start.elapsed();
    summary.interrupted = interrupt::asked();
    summary.bytes_on_disk = report::bytes_on_disk(&args.store);
    summary.bytes_before = bytes_before;
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

/// Where the import of a source begins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    /// Behind what an interrupted import has passed.
    WhereItWas,
    /// At its first record.
    Anew,
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

    fn run(&mut self, source: Source, start: Start) -> Outcome {
        let mut progress = Progress::load(self.store, &source, self.options)?;
        if start == Start::Anew {
            progress.restart();
        }
        let resumed = progress.ordinal;
        self.summary.rejected += progress.rejected;
        self.rejects.begin(&source.name, resumed, progress.rejected)?;
        let (name, tells_parents) = (source.name.clone(), source.tells_parents());
        let bar = Bar::new(&source);
        // The last record that was passed is read again: it must be the one that was there then.
        let reading = source.read(self.options, resumed.saturating_sub(1));
        let mut to_compare = resumed > 0;
        while !progress.done && !interrupt::asked() {
            for item in reading.next()? {
                if to_compare && !matches!(item, Item::SiteInfo(_) | Item::Fatal(_)) {
                    same_source(&item, &progress, &name)?;
                    note(self.global, &format!("{name}: going on behind record {resumed}"));
                    to_compare = false;
                    continue;
                }
                match item {
                    Item::Record(mut record) => {
                        if tells_parents && record.origin_parent.is_none() {
                            record.origin_parent = Some(0);
                        }
                        self.record(record, &mut progress)?;
                    }
                    Item::Reject(reject) => {
                        self.rejects.reject(&reject, self.summary)?;
                        progress.pass(reject.place.ordinal, None);
                    }
                    Item::SiteInfo(json) => self.group.site_info(json)?,
                    Item::PassedOver(what, n) => {
                        note(self.global, &format!("passed over: {what} ({n})"));
                    }
                    Item::Fatal(fatal) => {
                        self.commit(&mut progress)?;
                        return Err(Failure::Failed(format!("{fatal}; what stands before it was imported")));
                    }
                    Item::End => progress.done = true,
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
        self.commit(&mut progress)
    }

    fn record(&mut self, record: Box<Record>, progress: &mut Progress) -> Outcome {
        let (ordinal, fingerprint) = (record.place.ordinal, fingerprint(&record));
        let mut offered = Some(record);
        while let Some(record) = offered {
            offered = self.group.offer(record, &fingerprint, self.summary, self.rejects)?;
            if offered.is_some() {
                // What becomes of it depends on what is gathered.
                self.commit(progress)?;
            }
        }
        progress.pass(ordinal, Some(fingerprint));
        Ok(())
    }

    fn commit(&mut self, progress: &mut Progress) -> Outcome {
        progress.rejected = self.rejects.of_source();
        self.rejects.flush()?;
        self.group.commit(progress, self.summary, self.rejects)
    }
}

/// Refuses to go on in a source that only begins like the one whose import was interrupted.
fn same_source(item: &Item, progress: &Progress, name: &str) -> Outcome {
    let found = match item {
        Item::Record(record) => Some(fingerprint(record)),
        Item::Reject(_) => Some(String::new()),
        _ => None,
    };
    if found.as_deref() == Some(&*progress.last) {
        return Ok(());
    }
    let n = progress.ordinal;
    Err(Failure::Failed(format!(
        "{name} begins like a source whose import was interrupted behind record {n}, but its record {n} is another one: to import it \
         from its start, use --restart"
    )))
}
