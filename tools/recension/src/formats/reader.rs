//! What all readers share.

use super::mediawiki::SiteInfo;
use super::{Fatal, Format, Input, Place, ReadError, Record, jsonl, mediawiki, wikidata};

/// Reads records one after the other.
pub trait RecordReader: Send {
    /// The next record; `None` at the end of a source that ended as it should.
    ///
    /// # Errors
    /// `Reject`: this record is bad, the next call gives the one behind it. `Fatal`: the stream is broken; every further call
    /// says so again.
    fn next(&mut self) -> Result<Option<Record>, ReadError>;

    /// How many records were read, rejected ones included: where to go on, with [`RecordReader::skip`] on a fresh reader.
    fn ordinal(&self) -> u64;

    /// Passes over up to `count` records (rejected ones included) without giving them; returns how many there were.
    ///
    /// # Errors
    /// The stream is broken.
    fn skip(&mut self, count: u64) -> Result<u64, Fatal> {
        let mut skipped = 0;
        while skipped < count {
            match self.next() {
                Ok(None) => break,
                Ok(Some(_)) | Err(ReadError::Reject(_)) => skipped += 1,
                Err(ReadError::Fatal(fatal)) => return Err(fatal),
            }
        }
        Ok(skipped)
    }

    /// What a MediaWiki dump says of its wiki, once its head was read. An export can give it back.
    fn site_info(&self) -> Option<&SiteInfo> {
        None
    }

    /// What was in the source, is no record and was passed over: what, and how often.
    fn passed_over(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }

    /// What is odd about the source as a whole, once it was read to its end; for people.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}

/// How to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// What names the entity of a MediaWiki page.
    pub key: mediawiki::Key,
    /// A missing `rev` in JSON lines is not a fault: the importer appends.
    pub append: bool,
    /// Longest line accepted, bytes.
    pub line_len_max: usize,
    /// Longest content accepted, all slots of a revision together, bytes.
    pub content_len_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        let content_len_max = recension::limits::CONTENT_LEN_MAX;
        // A content of control characters takes six bytes each in JSON; a megabyte is room for everything else.
        Self {
            key: mediawiki::Key::Title,
            append: false,
            line_len_max: content_len_max * 6 + (1 << 20),
            content_len_max,
        }
    }
}

/// The reader for an input's format.
///
/// # Errors
/// The format is unknown, or the start of the input cannot be read.
pub fn open(input: Input, options: Options) -> Result<Box<dyn RecordReader>, Fatal> {
    Ok(match input.format {
        Some(Format::JsonLines) => Box::new(jsonl::Reader::new(input, options)),
        Some(Format::MediaWiki) => Box::new(mediawiki::Reader::new(input, options)),
        Some(Format::Wikidata) => Box::new(wikidata::Reader::new(input, options)),
        None => {
            let place = Place::start(&input.name);
            return Err(Fatal::new(place, "neither JSON lines nor MediaWiki XML nor a Wikidata JSON dump"));
        }
    })
}
