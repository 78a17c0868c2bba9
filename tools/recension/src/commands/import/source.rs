//! The reading side: a thread that decompresses and parses ahead.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use crate::exit::{Failure, Outcome};
use crate::formats::{
    Body, Fatal, Format, Input, Options, Progress, ReadError, Record, RecordReader, Reject,
};

/// A chunk is handed over at this many items or content bytes.
const CHUNK_ITEMS: usize = 256;
const CHUNK_BYTES: usize = 1 << 20;
/// Chunks that may wait: with the largest contents (16 MiB) this bounds the memory of reading ahead to some 64 MiB.
const CHUNKS_WAITING: usize = 3;

/// Something that was read.
pub enum Item {
    Record(Box<Record>),
    Reject(Reject),
    /// What a dump says of its wiki, as JSON.
    SiteInfo(String),
    /// What was in the source and is no revision.
    PassedOver(&'static str, u64),
    Fatal(Fatal),
    End,
}

/// A source that is there.
pub struct Source {
    pub name: Arc<str>,
    pub hash: [u8; 32],
    format: Option<Format>,
    pub progress: Progress,
    input: Input,
}

impl Source {
    pub fn find(path: &Path) -> Outcome<Self> {
        let input = Input::open(path)
            .map_err(|error| Failure::Io(format!("cannot read {}", path.display()), error))?;
        if input.format.is_none() {
            return Err(Failure::Failed(format!(
                "{} is neither JSON lines nor MediaWiki XML nor a Wikidata JSON dump",
                input.name
            )));
        }
        Ok(Self {
            name: input.name.clone(),
            hash: input.source_hash,
            format: input.format,
            progress: input.progress.clone(),
            input,
        })
    }

    /// Whether it is a wiki's dump: where it tells no parent there is none (or it is too old to tell any).
    pub fn tells_parents(&self) -> bool {
        self.format == Some(Format::MediaWiki)
    }

    /// Starts reading behind the first `skip` records.
    pub fn read(self, options: &Options, skip: u64) -> Reading {
        let (sender, receiver) = sync_channel(CHUNKS_WAITING);
        let options = options.clone();
        let input = self.input;
        // Ends when the source does, or when nobody takes its chunks any more.
        std::thread::spawn(move || match crate::formats::open(input, options) {
            Ok(mut reader) => read_all(&mut *reader, skip, &sender),
            Err(fatal) => drop(sender.send(vec![Item::Fatal(fatal)])),
        });
        Reading { receiver }
    }
}

/// A source being read.
pub struct Reading {
    receiver: Receiver<Vec<Item>>,
}

impl Reading {
    /// The next items; none for now if the source is slow, so that the caller can look at other things.
    pub fn next(&self) -> Outcome<Vec<Item>> {
        match self.receiver.recv_timeout(Duration::from_millis(100)) {
            Ok(items) => Ok(items),
            Err(RecvTimeoutError::Timeout) => Ok(Vec::new()),
            Err(RecvTimeoutError::Disconnected) => {
                Err(Failure::Failed("reading stopped: this is a defect".into()))
            }
        }
    }
}

fn read_all(reader: &mut dyn RecordReader, skip: u64, sender: &SyncSender<Vec<Item>>) {
    if let Err(fatal) = reader.skip(skip) {
        return drop(sender.send(vec![Item::Fatal(fatal)]));
    }
    let mut chunk = Vec::new();
    let mut bytes = 0;
    let mut site_told = false;
    loop {
        let item = match reader.next() {
            Ok(Some(record)) => {
                bytes += contents_len(&record);
                Item::Record(Box::new(record))
            }
            Ok(None) => break,
            Err(ReadError::Reject(reject)) => Item::Reject(reject),
            Err(ReadError::Fatal(fatal)) => {
                chunk.push(Item::Fatal(fatal));
                return drop(sender.send(chunk));
            }
        };
        if !site_told && let Some(site) = reader.site_info() {
            site_told = true;
            chunk.push(Item::SiteInfo(site.to_json()));
        }
        chunk.push(item);
        if chunk.len() >= CHUNK_ITEMS || bytes >= CHUNK_BYTES {
            bytes = 0;
            if sender.send(std::mem::take(&mut chunk)).is_err() {
                return;
            }
        }
    }
    chunk.extend(reader.passed_over().into_iter().map(|(what, n)| Item::PassedOver(what, n)));
    chunk.push(Item::End);
    drop(sender.send(chunk));
}

/// Bytes of all contents of a record.
pub fn contents_len(record: &Record) -> usize {
    let bodies = record.slots.iter().map(|slot| &slot.body).chain([&record.body]);
    bodies.filter_map(Body::content).map(<[u8]>::len).sum()
}
