//! Progress on a terminal, and the summary at the end.

use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::source::Source;
use crate::args::Global;
use crate::exit::Outcome;
use crate::formats::Progress;
use crate::output::{Object, Out, grouped, size};
use crate::table::properties;

/// What an import came to.
#[derive(Debug, Default)]
pub struct Summary {
    /// Entities that got revisions, each counted once for every stretch of records about it.
    pub entities: u64,
    pub written: u64,
    pub skipped: u64,
    pub forgotten: u64,
    pub rejected: u64,
    /// Content bytes written, uncompressed.
    pub raw_bytes: u64,
    pub bytes_on_disk: u64,
    /// Bytes on disk before the import.
    pub bytes_before: u64,
    /// Bytes of contents that the store has, uncompressed, as [`recension::Stats::ratio`] counts them.
    pub contents: Option<f64>,
    /// To log, tables and packs.
    pub bytes_written: u64,
    pub elapsed: Duration,
    pub interrupted: bool,
}

impl Summary {
    fn per_second(&self) -> f64 {
        self.written as f64 / self.elapsed.as_secs_f64().max(0.001)
    }

    /// Bytes of contents for each byte on disk, of the whole store: what this import has added to it says nothing, where it also packed what
    /// was there before. A store that was made for this import has nothing else.
    fn ratio(&self) -> Option<f64> {
        let contents = match self.bytes_before {
            0 => (self.raw_bytes > 0).then_some(self.raw_bytes as f64),
            _ => self.contents,
        };
        contents.map(|bytes| bytes / self.bytes_on_disk.max(1) as f64)
    }

    pub fn print(&self, global: &Global, out: &mut Out) -> Outcome {
        if global.json {
            let mut object = Object::new();
            object.number("entities", self.entities).number("revisions", self.written);
            object.number("skipped", self.skipped).number("forgotten", self.forgotten);
            object.number("rejected", self.rejected).number("raw_bytes", self.raw_bytes);
            let grown = i128::from(self.bytes_on_disk) - i128::from(self.bytes_before);
            object.number("bytes_on_disk", self.bytes_on_disk);
            object.raw("bytes_grown", &grown.to_string());
            object.number("bytes_written", self.bytes_written);
            if let Some(ratio) = self.ratio() {
                object.float("ratio", ratio);
            }
            object
                .float("seconds", self.elapsed.as_secs_f64())
                .float("revisions_per_second", self.per_second());
            object.flag("interrupted", self.interrupted);
            return out.object(&object);
        }
        let mut rows = vec![("entities", grouped(self.entities)), ("revisions", grouped(self.written))];
        for (name, n) in
            [("skipped", self.skipped), ("forgotten", self.forgotten), ("rejected", self.rejected)]
        {
            if n > 0 {
                rows.push((name, grouped(n)));
            }
        }
        rows.push(("raw", size(self.raw_bytes)));
        rows.push(("on disk", size(self.bytes_on_disk)));
        if self.raw_bytes > 0 {
            let per_byte = self.bytes_written as f64 / self.raw_bytes as f64;
            rows.push(("written", format!("{}, {per_byte:.2} for each raw byte", size(self.bytes_written))));
        }
        if let Some(ratio) = self.ratio() {
            rows.push(("ratio", format!("{ratio:.1} : 1")));
        }
        let seconds = self.elapsed.as_secs_f64();
        rows.push(("time", format!("{seconds:.1} s, {} revisions/s", grouped(self.per_second() as u64))));
        properties(out, &rows)
    }
}

/// A progress bar: bytes read of all bytes, if that is known. On a terminal only.
pub struct Bar {
    bar: ProgressBar,
    progress: Progress,
}

impl Bar {
    pub fn new(source: &Source) -> Self {
        let progress = source.progress.clone();
        let (bar, template) = match progress.total() {
            Some(total) => (ProgressBar::new(total), "{prefix} {bar:30} {percent:>3} %  {msg}  {eta} left"),
            None => (ProgressBar::new_spinner(), "{prefix} {spinner} {bytes}  {msg}"),
        };
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar.set_prefix(source.name.to_string());
        Self { bar, progress }
    }

    pub fn show(&self, summary: &Summary) {
        let seconds = self.bar.elapsed().as_secs_f64().max(0.001);
        let records = summary.written + summary.skipped + summary.forgotten + summary.rejected;
        let rate = grouped((records as f64 / seconds) as u64);
        self.bar.set_message(format!("{} revisions, {rate}/s", grouped(summary.written)));
        self.bar.set_position(self.progress.consumed());
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Bytes of all files of a store; 0 if there is none.
pub fn bytes_on_disk(store: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(store) else { return 0 };
    let sizes = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        let kind = entry.file_type().ok()?;
        match kind.is_dir() {
            true => Some(bytes_on_disk(&entry.path())),
            false => Some(entry.metadata().ok()?.len()),
        }
    });
    sizes.sum()
}
