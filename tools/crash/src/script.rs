//! What a run does, spelled out: made from a seed, written to a file, made smaller, replayed.

use recension::sim::{CrashPolicy, FaultKind};

pub use crate::model::erase::Sharing;

/// A whole run.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    /// Of the machine: everything that is not said here is drawn from it.
    pub seed: u64,
    pub options: Options,
    /// Rates of faults while operations run: once in so many calls.
    pub faults: Vec<(FaultKind, u32)>,
    /// How far and how often the clock jumps: once in so many readings, up to so many µs.
    pub clock: (u32, u64),
    /// Crashes while the store is made.
    pub creation: Vec<Crash>,
    pub rounds: Vec<Round>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    pub promise_us: u64,
    pub map: bool,
    /// 0: [`recension::limits::Limits::TINY`]; 1: larger segments and tables; 2: far smaller ones; 3: those with a large memtable.
    pub size: u8,
    /// Background jobs are stepped after each operation: 0 never, 1 now and then, 2 one, 3 all, 4 all that flush and seal.
    pub jobs: u8,
}

/// Operations on one open store, and how its life ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Round {
    pub ops: Vec<Op>,
    pub end: End,
    /// Crashes during the recoveries that follow: after so many changes of the disk.
    pub nested: Vec<Crash>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    /// Closed.
    Clean,
    /// Dropped without closing.
    Drop,
    Crash(Crash),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crash {
    /// Counted from the beginning of the round or of the recovery; `None`: when it is over.
    pub at: Option<At>,
    pub kind: CrashKind,
}

/// In which call of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// In that one of those that change something.
    Change(u64),
    /// In that sync: then most is pending.
    Sync(u64),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CrashKind {
    Process,
    Power(CrashPolicy),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    Commit(Write),
    /// Leaves a ticket.
    Submit(Write),
    /// Submits the first and waits for one of the tickets; while that is made durable another caller submits the other.
    During {
        first: Write,
        other: Write,
    },
    /// Sends what was sent under that request id again, word for word.
    Retry(u8),
    /// Reads some heads at a snapshot, submits other work, then commits.
    Transaction {
        reads: Vec<u8>,
        writes: Vec<Edit>,
        between: Option<Edit>,
        sync: bool,
    },
    WaitAll,
    /// Waits for one of the tickets, drawn.
    WaitOne,
    DropOne,
    Sync,
    Flush,
    /// `stop`: it is told to stop the so-many-th time that it asks.
    Compact {
        full: bool,
        stop: Option<u8>,
    },
    /// One call meets a fault: the first that can, after so many others, on files of that kind.
    Fault {
        kind: FaultKind,
        on: Target,
        skip: u8,
    },
    /// The machine goes off in that call from here on, if the round lasts as long: in the middle of what comes next.
    Aim(At),
    Checkpoint,
    /// The last that many revisions and the head. `fields`: the lower four bits; with 16 equal contents are meant as well, with 32 it
    /// is refused if there are any. With 64 the newest three are left out.
    Forget {
        entity: u8,
        back: u8,
        fields: u8,
    },
    /// Everywhere, what is like the head of an entity.
    ForgetAll {
        like: u8,
        by: By,
        fields: u8,
        sharing: Sharing,
    },
    /// What the last so many changes have superseded, but for so many older versions.
    Retain {
        keep: u8,
        back: u8,
        fields: u8,
    },
    Purge {
        entity: u8,
        expect: Want,
    },
    /// Erases for real what is forgotten. `stop`: it is told to stop the so-many-th time that it asks.
    Reclaim {
        stop: Option<u8>,
    },
    /// From outside, without the lock: goes on where it was, or begins so many changes back.
    Follow(u8),
    /// An old file is back under its name when the store is opened next.
    Stray,
    Jobs(u8),
    Advance(u64),
    ClockJump(i64),
    /// Closes and opens.
    Reopen,
    Read(u8),
    Verify,
    Hold,
    Feed(u8),
    Evict,
    /// Bytes that are left on the disk; `None`: plenty.
    Room(Option<u64>),
    /// On a copy of the machine: damage at rest to a file of that kind, then everything is read.
    Rot(Target),
    /// On a copy of the machine: opened for reading only.
    ReadOnly,
    /// On a copy of the machine: a crash, then manifest and index are made again from the value files.
    Rebuild,
    /// Closes, makes manifest and index anew, and opens.
    Anew,
    /// On a copy of the machine: one of the checkpoints becomes the store again.
    Restore,
}

/// What makes revisions alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Author,
    Digest,
}

/// Kinds of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Any,
    Segment,
    Table,
    /// A plain table: annotations.
    Notes,
    Manifest,
    Pack,
    /// The directory itself.
    Names,
    /// Checkpoints, and the directory that they are made in.
    Copies,
}

impl Target {
    pub const ALL: &[Self] = &[
        Self::Any,
        Self::Segment,
        Self::Table,
        Self::Notes,
        Self::Manifest,
        Self::Pack,
        Self::Names,
        Self::Copies,
    ];

    /// What the paths of such files have in them.
    pub const fn part(self) -> &'static str {
        match self {
            Self::Any => "/db/",
            Self::Segment => ".seg",
            Self::Table => ".tab",
            Self::Notes => ".kv",
            Self::Manifest => ".manifest",
            Self::Pack => ".pack",
            Self::Names => "/db",
            Self::Copies => "/copies",
        }
    }
}

/// A batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    pub edits: Vec<Edit>,
    pub sync: bool,
    pub request: Option<u8>,
    pub run: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    pub entity: u8,
    pub expect: Want,
    pub what: What,
}

/// What a write expects, relative to what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    Absent,
    Any,
    /// The head.
    Current,
    /// The one before.
    Stale,
    /// One that is not there yet.
    Future,
}

#[derive(Clone, Debug, PartialEq)]
pub enum What {
    Put(Put),
    Withheld,
    Delete,
    Undelete,
    /// That many revisions back.
    Revert {
        back: u8,
        if_changed: bool,
    },
    /// The last that many revisions and, if open, all that come.
    Hide {
        back: u8,
        open: bool,
        fields: u8,
    },
    Show {
        back: u8,
        open: bool,
        fields: u8,
    },
    Require,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Put {
    /// Equal ids and lengths are equal contents.
    pub id: u32,
    pub len: u32,
    pub if_changed: bool,
    /// Bits: 1 author, 2 comment, 4 tags, 8 attributes, 16 content type, 32 minor, 64 origin id, 128 empty comment.
    pub meta: u8,
    /// µs against the start of time.
    pub authored: Option<i64>,
    /// So many numbers are left out.
    pub gap: u8,
    /// Contents beside the main one.
    pub slots: u8,
}

/// The entities' names: neighbours, prefixes of each other, bytes that are no text, the longest.
pub fn entity(n: u8) -> bytes::Bytes {
    match n {
        0 => bytes::Bytes::from_static(b"Q1"),
        1 => bytes::Bytes::from_static(b"Q10"),
        2 => bytes::Bytes::from_static(b"Q1\0"),
        3 => bytes::Bytes::from_static(b"\0"),
        4 => bytes::Bytes::from_static(b"\xff\xff"),
        5 => bytes::Bytes::from(vec![b'L'; 512]),
        6 => bytes::Bytes::from_static("Talk:Hauptseite Größe".as_bytes()),
        n => bytes::Bytes::from(format!("page/{:02}", u32::from(n) * 37 % 100)),
    }
}

/// How many entities there are names for.
pub const ENTITIES: u8 = 40;

/// Content number `id`: text that repeats itself a little, so that it compresses and neighbours are alike.
pub fn content(id: u32, len: u32) -> bytes::Bytes {
    let mut rng = recension::sim::Prng::new(u64::from(id) | 0x5eed << 32);
    let mut out = Vec::with_capacity(len as usize + 16);
    out.extend_from_slice(format!("content {id}: ").as_bytes());
    while out.len() < len as usize {
        let word = rng.next_u64();
        if id.is_multiple_of(3) {
            out.extend_from_slice(&word.to_le_bytes());
        } else {
            out.extend_from_slice(
                [&b"edit "[..], b"page ", b"lorem ipsum ", b"\n== x ==\n"][(word % 4) as usize],
            );
        }
    }
    out.truncate(len as usize);
    out.into()
}
