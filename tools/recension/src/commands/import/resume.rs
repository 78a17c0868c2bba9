//! How far the import of a source has come, kept in the store. See `docs/decisions/0002-import-progress.md`.

use recension::{Content, Digest, Draft, Store};

use super::source::Source;
use crate::exit::Outcome;
use crate::formats::{Options, Record, mediawiki};
use crate::output::Object;
use crate::reserved;

/// Records that may be passed over (skipped or rejected) before their passing is written down although nothing else is.
const FAR_AHEAD: u64 = 50_000;

/// The progress of one source.
#[derive(Debug)]
pub struct Progress {
    entity: Vec<u8>,
    name: String,
    key: &'static str,
    /// Records passed, rejected ones included: where to go on.
    pub ordinal: u64,
    /// How many of them were rejected.
    pub rejected: u64,
    /// The source was read to its end.
    pub done: bool,
    /// [`fingerprint`] of the last record passed.
    pub last: String,
    /// What the store says.
    kept: Option<(u64, bool)>,
}

impl Progress {
    /// What the store knows of a source. An import that came to its end starts again: everything is there and will be skipped.
    pub fn load(store: &Store, source: &Source, options: &Options) -> Outcome<Self> {
        let mut progress = Self {
            entity: reserved::progress(&source.hash),
            name: source.name.to_string(),
            key: match options.key {
                mediawiki::Key::Title => "title",
                mediawiki::Key::PageId => "page-id",
            },
            ordinal: 0,
            rejected: 0,
            done: false,
            last: String::new(),
            kept: None,
        };
        let Some(revision) = store.get(&progress.entity)? else { return Ok(progress) };
        let Content::Present(json) = revision.content()? else { return Ok(progress) };
        let Ok(kept) = serde_json::from_slice::<serde_json::Value>(&json) else { return Ok(progress) };
        let number = |name: &str| kept.get(name).and_then(serde_json::Value::as_u64).unwrap_or(0);
        let done = kept.get("done").and_then(serde_json::Value::as_bool).unwrap_or(false);
        if kept.get("key").and_then(serde_json::Value::as_str) != Some(progress.key) {
            // Other names: another import.
            return Ok(progress);
        }
        progress.kept = Some((number("ordinal"), done));
        if !done {
            progress.ordinal = number("ordinal");
            progress.rejected = number("rejected");
            let last = kept.get("last").and_then(serde_json::Value::as_str);
            progress.last = last.unwrap_or_default().to_owned();
        }
        Ok(progress)
    }

    /// The entity and the revision that say how far it is. `None` if the store knows, or if nothing new can be said: an import that
    /// is run again and skips everything leaves the store as it is.
    pub fn draft(&self, writes: bool) -> Option<(&[u8], Draft)> {
        let news = match self.kept {
            Some((_, true)) => writes,
            Some((ordinal, false)) => writes || self.done || ordinal != self.ordinal,
            None => writes || self.done || self.ordinal > 0,
        };
        let mut object = Object::new();
        object.text("source", &self.name).text("key", self.key).number("ordinal", self.ordinal);
        object.number("rejected", self.rejected).text("last", &self.last).boolean("done", self.done);
        news.then(|| (self.entity.as_slice(), Draft::new(object.finish()).content_type("application/json")))
    }

    /// Forgets what the store knows: the source is read from its start.
    pub fn restart(&mut self) {
        (self.ordinal, self.rejected) = (0, 0);
        self.last.clear();
    }

    /// A record was passed; `None`: one that could not be read.
    pub fn pass(&mut self, ordinal: u64, fingerprint: Option<String>) {
        self.ordinal = ordinal + 1;
        self.last = fingerprint.unwrap_or_default();
    }

    /// It was written down.
    pub fn was_kept(&mut self) {
        self.kept = Some((self.ordinal, self.done));
    }

    /// Whether much was passed since it was last written down.
    pub fn is_far_ahead(&self) -> bool {
        match self.kept {
            Some((_, true)) => false,
            Some((ordinal, false)) => self.ordinal.saturating_sub(ordinal) > FAR_AHEAD,
            None => self.ordinal > FAR_AHEAD,
        }
    }
}

/// What tells a record from others, so that a source that only begins like another one is found out.
pub fn fingerprint(record: &Record) -> String {
    let mut told = record.entity.clone();
    told.extend_from_slice(
        format!("\0{:?} {:?} {:?}", record.rev, record.origin_id, record.ts_us).as_bytes(),
    );
    format!("{:016x}", Digest::of(&told).tag())
}
