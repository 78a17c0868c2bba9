//! What can be done to a store, and what can happen to it. Decoded from a few bytes, so that proptest and libFuzzer can draw
//! them and make them smaller; numbers are relative to what is there when it is done.

use super::draw::Draw;

/// How many bytes make an operation.
pub const OP_BYTES: usize = 20;

/// Which head a write expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// The one that is there.
    Right,
    Any,
    Absent,
    /// So much beside the one that is there.
    Off(i8),
}

/// What becomes of the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    /// One of a few contents, by kind and length.
    Of(u8, u16),
    /// What the head has.
    Same,
    Withheld,
    Tombstone,
    Undelete,
    /// The revision so many from the oldest; beyond the newest: one that is not there.
    Revert(u8),
}

/// A write.
#[derive(Clone, Copy, Debug)]
pub struct Put {
    pub entity: u8,
    pub wants: Wants,
    pub text: Text,
    /// Which fields are set: bits.
    pub fields: u8,
    /// Seconds beside the last authored time; `None`: no claim.
    pub authored: Option<i16>,
    /// So far above the head; 0: not above it. `None`: not named.
    pub number: Option<u8>,
    pub if_changed: bool,
    pub request: Option<u8>,
    pub slots: u8,
}

/// A step of a batch.
#[derive(Clone, Copy, Debug)]
pub enum BatchStep {
    Put(Put),
    Require(u8, Wants),
    Hide(Mask),
}

/// Hide or show.
#[derive(Clone, Copy, Debug)]
pub struct Mask {
    pub entity: u8,
    pub show: bool,
    pub first: u8,
    /// `None`: all later ones too.
    pub len: Option<u8>,
    pub fields: u8,
}

/// Forgetting.
#[derive(Clone, Copy, Debug)]
pub enum Erase {
    /// From the revision so many from the oldest.
    Revisions {
        entity: u8,
        first: u8,
        len: Option<u8>,
        fields: u8,
        sharing: u8,
        preview: bool,
    },
    Author {
        fields: u8,
        sharing: u8,
        preview: bool,
    },
    /// The content that the head of this entity has.
    Digest {
        entity: u8,
        sharing: u8,
        preview: bool,
    },
    Purge {
        entity: u8,
        wants: Wants,
    },
    /// Superseded before the commit time of that change.
    Retain {
        keep: u8,
        at: u8,
        fields: u8,
        preview: bool,
    },
}

/// How the power goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// Only the process.
    Process,
    Lenient,
    Posix,
    Strict,
    Paranoid,
    Nothing,
}

#[derive(Clone, Debug)]
pub enum Op {
    Put {
        put: Put,
        buffered: bool,
    },
    Batch {
        steps: Vec<BatchStep>,
        request: Option<u8>,
        as_run: bool,
        buffered: bool,
    },
    /// Started now, waited for later.
    Submit {
        steps: Vec<BatchStep>,
        buffered: bool,
    },
    /// Waits for one of the tickets, or drops it.
    Wait {
        which: u8,
        drops: bool,
    },
    Transaction {
        reads: Vec<u8>,
        between: Option<Put>,
        writes: Vec<Put>,
        buffered: bool,
    },
    Erase(Erase),
    Sync,
    Flush,
    Compact {
        full: bool,
    },
    /// Background work gets so many turns.
    Jobs(u8),
    /// So many milliseconds go by.
    Time(u8),
    Read(u8),
    ReadAll,
    Check,
    Close,
    Drop,
    ReadOnly,
    /// A checkpoint is made, opened, compared, and written to.
    Checkpoint,
    /// Now.
    Crash(Death),
    /// In the call that is so many changes of the disk away.
    CrashAt(u8, Death),
}

impl Op {
    pub fn decode(bytes: &[u8]) -> Self {
        let draw = &mut Draw::new(bytes);
        match draw.byte() {
            0..=71 => Self::Put { put: put(draw), buffered: draw.one_in(3) },
            72..=79 => Self::Erase(erase(draw)),
            80..=119 => {
                let steps = steps(draw);
                Self::Batch {
                    steps,
                    request: request(draw, 6),
                    as_run: draw.one_in(5),
                    buffered: draw.one_in(3),
                }
            }
            120..=135 => Self::Submit { steps: steps(draw), buffered: draw.one_in(2) },
            136..=143 => Self::Wait { which: draw.byte(), drops: draw.one_in(4) },
            144..=155 => Self::Transaction {
                reads: (0..draw.below(3)).map(|_| draw.byte()).collect(),
                between: draw.one_in(2).then(|| put(draw)),
                writes: (0..draw.below(3)).map(|_| plain_put(draw)).collect(),
                buffered: draw.one_in(2),
            },
            156..=163 => Self::Sync,
            164..=173 => Self::Flush,
            174..=181 => Self::Compact { full: draw.one_in(2) },
            182..=197 => Self::Jobs(draw.byte() % 20),
            198..=203 => Self::Time(draw.byte()),
            204..=211 => Self::Read(draw.byte()),
            212..=213 => Self::ReadAll,
            214..=215 => Self::Check,
            216..=221 => Self::Close,
            222..=227 => Self::Drop,
            228..=230 => Self::ReadOnly,
            231..=233 => Self::Checkpoint,
            234..=242 => Self::Crash(death(draw)),
            243..=255 => Self::CrashAt(draw.byte() % 64, death(draw)),
        }
    }
}

fn steps(draw: &mut Draw<'_>) -> Vec<BatchStep> {
    let n = match draw.below(8) {
        7 => 24,
        n => n.min(5) as usize,
    };
    // More steps than there are bytes for: the bytes again, another way each time round.
    let seeds: Vec<u8> = (0..7).map(|_| draw.byte()).collect();
    (0..n)
        .map(|i| {
            let turned: Vec<u8> =
                (0..12).map(|k| seeds[(i + k) % 7].wrapping_mul(1 + 2 * (i as u8 + k as u8 / 7))).collect();
            let draw = &mut Draw::new(&turned);
            match draw.below(12) {
                11 => BatchStep::Require(draw.byte(), wants(draw)),
                10 => BatchStep::Hide(mask(draw)),
                _ => BatchStep::Put(put(draw)),
            }
        })
        .collect()
}

fn wants(draw: &mut Draw<'_>) -> Wants {
    match draw.below(16) {
        0..=8 => Wants::Right,
        9..=12 => Wants::Any,
        13 => Wants::Absent,
        14 => Wants::Off(-1),
        _ => Wants::Off(1),
    }
}

fn request(draw: &mut Draw<'_>, n: u64) -> Option<u8> {
    draw.one_in(n).then(|| draw.byte() % 3)
}

fn text(draw: &mut Draw<'_>) -> Text {
    match draw.below(32) {
        0..=14 => Text::Of(draw.byte(), 0),
        15..=17 => Text::Of(draw.byte(), draw.wide() as u16),
        18..=20 => Text::Same,
        21 => Text::Withheld,
        22..=24 => Text::Tombstone,
        25..=27 => Text::Undelete,
        _ => Text::Revert(draw.byte()),
    }
}

fn put(draw: &mut Draw<'_>) -> Put {
    Put {
        entity: draw.byte(),
        text: text(draw),
        wants: wants(draw),
        fields: draw.byte(),
        if_changed: draw.one_in(6),
        authored: draw.one_in(3).then(|| draw.wide() as i16),
        number: draw.one_in(8).then(|| draw.byte() % 40),
        request: request(draw, 8),
        slots: if draw.one_in(6) { draw.byte() } else { 0 },
    }
}

fn plain_put(draw: &mut Draw<'_>) -> Put {
    Put { entity: draw.byte(), text: text(draw), wants: Wants::Any, ..PLAIN }
}

/// The simplest write.
pub const PLAIN: Put = Put {
    entity: 0,
    wants: Wants::Right,
    text: Text::Of(0, 0),
    fields: 0,
    authored: None,
    number: None,
    if_changed: false,
    request: None,
    slots: 0,
};

fn mask(draw: &mut Draw<'_>) -> Mask {
    Mask {
        entity: draw.byte(),
        first: draw.byte() % 8,
        len: (!draw.one_in(3)).then(|| draw.byte() % 8),
        fields: draw.byte() % 15,
        show: draw.one_in(3),
    }
}

fn erase(draw: &mut Draw<'_>) -> Erase {
    match draw.below(8) {
        0..=2 => Erase::Revisions {
            entity: draw.byte(),
            first: draw.byte(),
            len: (!draw.one_in(4)).then(|| draw.byte() % 4),
            fields: draw.byte(),
            sharing: draw.byte(),
            preview: draw.one_in(8),
        },
        3 => Erase::Author { fields: draw.byte(), sharing: draw.byte(), preview: draw.one_in(8) },
        4 => Erase::Digest { entity: draw.byte(), sharing: draw.byte(), preview: draw.one_in(8) },
        5 | 6 => Erase::Purge { entity: draw.byte(), wants: wants(draw) },
        _ => Erase::Retain {
            keep: draw.byte() % 4,
            at: draw.byte(),
            fields: draw.byte(),
            preview: draw.one_in(8),
        },
    }
}

fn death(draw: &mut Draw<'_>) -> Death {
    match draw.below(6) {
        0 => Death::Process,
        1 => Death::Lenient,
        2 => Death::Posix,
        3 => Death::Strict,
        4 => Death::Paranoid,
        _ => Death::Nothing,
    }
}
