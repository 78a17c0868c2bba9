//! Inputs: a file or standard input, decompressed, with its format found out by content.
//!
//! ```text
//!  file ─> first MiB (hash, magic) ─> count bytes ─> decoder ─> first 64 KiB (format) ─> reader
//! ```
//! The *source hash* tells an importer that it resumes the same source: BLAKE3 over the first MiB as it is stored and the total
//! length if that is known. It is there before anything else is read; a name is no part of it, so a moved file is the same
//! source. Rejected: hashing all of it (a dump of 100 GB would be read twice).
//!
//! Invariants:
//! 1. A compressed stream that ends early is an error that says so, after everything before was given; several streams one after
//!    the other (multi-member gzip, multistream bzip2, zstd frames, xz streams) are read as one.
//! 2. A decoder's memory is bounded: zstd windows up to 128 MiB, xz up to 512 MiB.

mod detect;
mod head;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use recension::model::Digest;

use head::Head;

/// Bytes of the stored form that are looked at before reading.
const HEAD_LEN: usize = 1 << 20;
/// Uncompressed bytes that are looked at to find the format.
const FORMAT_HEAD_LEN: usize = 64 << 10;
const BUFFER_LEN: usize = 256 << 10;
/// 128 MiB: what `zstd --long` writes and reads without further flags.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
const XZ_MEMORY_MAX: u64 = 512 << 20;

/// How an input is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// As it is.
    Plain,
    /// gzip, one member or several.
    Gzip,
    /// bzip2, one stream or several.
    Bzip2,
    /// zstd, one frame or several.
    Zstd,
    /// xz, one stream or several.
    Xz,
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain",
            Self::Gzip => "gzip",
            Self::Bzip2 => "bzip2",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
        })
    }
}

/// What an input holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON lines, canonical or not.
    JsonLines,
    /// A MediaWiki XML export.
    MediaWiki,
    /// A Wikidata JSON dump.
    Wikidata,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::JsonLines => "JSON lines",
            Self::MediaWiki => "MediaWiki XML",
            Self::Wikidata => "Wikidata JSON",
        })
    }
}

/// How far an input was read, in bytes as they are stored. Cheap to clone and to ask from another thread.
#[derive(Clone, Debug)]
pub struct Progress {
    consumed: Arc<AtomicU64>,
    total: Option<u64>,
}

impl Progress {
    /// Bytes read so far (buffers run ahead of records by up to some hundred kilobytes).
    pub fn consumed(&self) -> u64 {
        self.consumed.load(Ordering::Relaxed)
    }

    /// All bytes, if known.
    pub fn total(&self) -> Option<u64> {
        self.total
    }
}

/// An opened input.
pub struct Input {
    /// Its name as given, `-` for standard input.
    pub name: Arc<str>,
    /// How it is stored.
    pub compression: Compression,
    /// What it holds; `None` if that is none of the known formats. An empty input is JSON lines without a line.
    pub format: Option<Format>,
    /// See the module's words on the source hash.
    pub source_hash: [u8; 32],
    /// How far it was read.
    pub progress: Progress,
    pub(super) reader: Box<dyn BufRead + Send>,
}

impl Input {
    /// Opens a file, or standard input for `-`.
    ///
    /// # Errors
    /// It cannot be opened or read, or it is an archive that cannot be read as a stream.
    #[allow(clippy::disallowed_methods)]
    pub fn open(path: &Path) -> io::Result<Self> {
        let name = path.to_string_lossy();
        if name == "-" {
            return Self::from_reader("-", io::stdin(), None);
        }
        let file = std::fs::File::open(path)?;
        let meta = file.metadata()?;
        if meta.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "this is a directory"));
        }
        let len = meta.is_file().then_some(meta.len());
        Self::from_reader(&name, file, len)
    }

    /// Over anything that can be read, with its total length if that is known.
    ///
    /// # Errors
    /// Its start cannot be read, or it is an archive that cannot be read as a stream.
    pub fn from_reader(
        name: &str,
        mut raw: impl Read + Send + 'static,
        len: Option<u64>,
    ) -> io::Result<Self> {
        let mut head = Vec::new();
        raw.by_ref().take(HEAD_LEN as u64).read_to_end(&mut head)?;
        // An input that ended within its head has told its length.
        let total = if head.len() < HEAD_LEN { Some(head.len() as u64) } else { len };
        let source_hash = source_hash(&head, total);
        let compression = detect::compression(&head)?;

        let consumed = Arc::new(AtomicU64::new(0));
        let progress = Progress { consumed: consumed.clone(), total };
        let counted =
            BufReader::with_capacity(BUFFER_LEN, Counted { inner: Cursor::new(head).chain(raw), consumed });
        let decoder = Named { inner: decoder(compression, counted)?, compression };
        let head = Head::read(decoder, FORMAT_HEAD_LEN);
        let format = detect::format(head.ahead());
        let reader = Box::new(BufReader::with_capacity(BUFFER_LEN, head));
        Ok(Self { name: name.into(), compression, format, source_hash, progress, reader })
    }

    /// Over bytes.
    ///
    /// # Errors
    /// As [`Input::from_reader`].
    pub fn from_bytes(name: &str, bytes: impl Into<Vec<u8>>) -> io::Result<Self> {
        let bytes = bytes.into();
        let len = bytes.len() as u64;
        Self::from_reader(name, Cursor::new(bytes), Some(len))
    }
}

fn source_hash(head: &[u8], total: Option<u64>) -> [u8; 32] {
    let mut told = Digest::of(head).0.to_vec();
    told.extend_from_slice(&total.unwrap_or(u64::MAX).to_le_bytes());
    Digest::of(&told).0
}

fn decoder(
    compression: Compression,
    stored: impl BufRead + Send + 'static,
) -> io::Result<Box<dyn Read + Send>> {
    Ok(match compression {
        Compression::Plain => Box::new(stored),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(stored)),
        Compression::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(stored)),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(stored)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            Box::new(decoder)
        }
        Compression::Xz => {
            let stream =
                liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY_MAX, liblzma::stream::CONCATENATED)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(stored, stream))
        }
    })
}

/// Counts the bytes read.
struct Counted<R> {
    inner: R,
    consumed: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        // Interruptions end here, so that no layer above has to know of them.
        let len = loop {
            match self.inner.read(buf) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => break done?,
            }
        };
        self.consumed.fetch_add(len as u64, Ordering::Relaxed);
        Ok(len)
    }
}

/// Makes errors say what was being decompressed.
struct Named<R> {
    inner: R,
    compression: Compression,
}

impl<R: Read> Read for Named<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buf).map_err(|error| match (self.compression, error.kind()) {
            (Compression::Plain, _) => error,
            (how, kind @ io::ErrorKind::UnexpectedEof) => {
                io::Error::new(kind, format!("the {how} stream ends early: the file is cut off"))
            }
            (how, kind) => io::Error::new(
                kind,
                format!(
                    "the {how} stream cannot be decompressed: {error} (its checksums stand behind what they cover, so some of what came \
                     before may be wrong, too)"
                ),
            ),
        })
    }
}
