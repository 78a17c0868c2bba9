//! What stands where in a file, and what is wrong with it: for tools that look at files without believing them.
//!
//! The modules of the formats have a `dissect` each, which goes through a file from front to back, names every part of it, says of each whether
//! it is what was written, and goes on behind damage. Everything else that reads a file ends at the first thing that is wrong.

use bytes::Bytes;

use super::{Crc, Malformed};
use crate::Error;

/// Whether a part is what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartState {
    /// It is.
    Sound,
    /// Nothing was written there yet: zeros.
    Unused,
    /// It is not whole, and nobody was promised that it would be: the end of a write that a crash (or the moment) cut off.
    Torn(String),
    /// It is not what was written: what was expected.
    Damaged(String),
    /// A newer version wrote it.
    Unsupported(String),
}

impl PartState {
    /// One word.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sound => "sound",
            Self::Unused => "unused",
            Self::Torn(_) => "torn",
            Self::Damaged(_) => "damaged",
            Self::Unsupported(_) => "unsupported",
        }
    }

    /// What is to be said beside that.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Sound | Self::Unused => None,
            Self::Torn(why) | Self::Damaged(why) | Self::Unsupported(why) => Some(why),
        }
    }

    /// Whether something that was written cannot be read.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged(_))
    }
}

/// The state that an error of a decoder means. An error that says nothing about bytes comes back.
impl TryFrom<Error> for PartState {
    type Error = Error;

    fn try_from(error: Error) -> Result<Self, Error> {
        match error {
            Error::Corrupt(damage) => {
                Ok(Self::Damaged(format!("expected {}, found {}", damage.expected, damage.found)))
            }
            Error::Unsupported { what, .. } => Ok(Self::Unsupported(what)),
            other => Err(other),
        }
    }
}

impl From<Malformed> for PartState {
    fn from(bad: Malformed) -> Self {
        Self::Damaged(format!("expected {}", bad.expected))
    }
}

/// Which data a part holds, as far as can be told: if it is damaged, that is what is affected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holds {
    /// The first and the last sequence number. The last one is `u64::MAX` where nobody knows.
    pub sequences: Option<(u64, u64)>,
    /// If not empty: these sequence numbers and no others between the first and the last.
    pub each: Vec<u64>,
    /// The first entity, and the one behind the last (`None`: to the end of the file).
    pub entities: Option<(Bytes, Option<Bytes>)>,
    /// Revisions that are known one by one: entity and number.
    pub revisions: Vec<(Bytes, u64)>,
    /// It says only where other things are: no data is lost with it.
    pub derived: bool,
}

impl Holds {
    /// Changes from one sequence number to another.
    pub fn sequences(first: u64, last: u64) -> Self {
        Self { sequences: (first <= last).then_some((first, last)), ..Self::default() }
    }

    /// These changes, in any order.
    pub fn each(sequences: impl IntoIterator<Item = u64>) -> Self {
        let mut each: Vec<u64> = sequences.into_iter().collect();
        each.sort_unstable();
        each.dedup();
        match (each.first().copied(), each.last().copied()) {
            (Some(first), Some(last)) => Self { each, ..Self::sequences(first, last) },
            _ => Self::default(),
        }
    }

    /// Whether a change is among them, as far as sequence numbers say.
    pub fn has(&self, sequence: u64) -> bool {
        match self.sequences {
            Some((first, last)) if (first..=last).contains(&sequence) => {
                self.each.is_empty() || self.each.binary_search(&sequence).is_ok()
            }
            _ => false,
        }
    }

    /// Whether an entity is among them, as far as names say.
    pub fn has_entity(&self, name: &[u8]) -> bool {
        self.entities
            .as_ref()
            .is_none_or(|(from, to)| name >= &from[..] && to.as_ref().is_none_or(|to| name < &to[..]))
    }

    /// What can be made again from the rest.
    pub fn derived() -> Self {
        Self { derived: true, ..Self::default() }
    }

    /// The same, but it can be made again from the rest.
    #[must_use]
    pub fn and_derived(self) -> Self {
        Self { derived: true, ..self }
    }
}

/// A part of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Where it starts.
    pub offset: u64,
    /// Its length.
    pub len: u64,
    /// What it is, in one word or two.
    pub kind: &'static str,
    /// Whether it is what was written.
    pub state: PartState,
    /// What it says, for people.
    pub what: String,
    /// Which data it holds.
    pub holds: Holds,
    /// A single bit that explains why its checksum is wrong.
    pub flip: Option<Flip>,
    /// It lies inside the part before it that is not nested.
    pub nested: bool,
}

impl Part {
    /// A sound part.
    pub fn sound(kind: &'static str, offset: u64, len: u64, what: impl Into<String>) -> Self {
        let (state, what) = (PartState::Sound, what.into());
        Self { offset, len, kind, state, what, holds: Holds::default(), flip: None, nested: false }
    }

    /// A damaged one.
    pub fn damaged(kind: &'static str, offset: u64, len: u64, expected: impl Into<String>) -> Self {
        Self { state: PartState::Damaged(expected.into()), ..Self::sound(kind, offset, len, "") }
    }

    /// The same with what it holds.
    #[must_use]
    pub fn holding(self, holds: Holds) -> Self {
        Self { holds, ..self }
    }

    /// The same with a bit that explains the damage.
    #[must_use]
    pub fn mended_by(self, flip: Option<Flip>) -> Self {
        Self { flip, ..self }
    }

    /// The same inside another part.
    #[must_use]
    pub fn inside(self) -> Self {
        Self { nested: true, ..self }
    }

    /// The offset behind it.
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(self.len)
    }
}

/// What a stored checksum covers: some numbers, then ranges of the file, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// What is hashed before the bytes and does not stand there: own offset, salt, file number.
    pub numbers: Vec<u64>,
    /// Offset and length of each range.
    pub ranges: Vec<(u64, u64)>,
    /// Where the checksum stands.
    pub at: u64,
}

impl Sum {
    /// A block that ends in its checksum, which also covers a salt and the block's own place.
    pub fn block(salt: u64, at: u64, len: u64) -> Self {
        let body = len.saturating_sub(4);
        Self { numbers: vec![salt, at], ranges: vec![(at, body)], at: at.saturating_add(body) }
    }
}

/// A bit that, turned over, makes a checksum right again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flip {
    /// The byte.
    pub offset: u64,
    /// The bit in it, 0 the lowest.
    pub bit: u8,
}

impl Flip {
    /// Turns the bit over in bytes that were read from `at`.
    pub fn mend(&self, at: u64, bytes: &mut [u8]) {
        let index = self.offset.checked_sub(at).and_then(|index| usize::try_from(index).ok());
        if let Some(byte) = index.and_then(|index| bytes.get_mut(index)) {
            *byte ^= 1_u8.wrapping_shl(u32::from(self.bit));
        }
    }
}

impl std::fmt::Display for Flip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "flipping bit {} at {:#x} mends it", self.bit, self.offset)
    }
}

/// No more bytes than this are searched for a flipped bit.
pub const FLIP_LEN_MAX: u64 = 64 << 20;

/// The single bit whose flip explains a wrong checksum, if there is one. `read` gives bytes of the file.
///
/// A CRC is linear: the checksum of what was written and that of what is there differ by that of the flipped bit alone, which depends only on
/// how many bytes follow it. So one walk from the end tries all bits. Below 2^32 bits no two of them have the same difference.
///
/// # Errors
/// Those of `read`.
pub fn find_flip<E>(
    sum: &Sum,
    read: &mut dyn FnMut(u64, usize) -> Result<Bytes, E>,
) -> Result<Option<Flip>, E> {
    let total = sum.ranges.iter().fold(0_u64, |total, (_, len)| total.saturating_add(*len));
    if total > FLIP_LEN_MAX {
        return Ok(None);
    }
    let mut crc = sum.numbers.iter().fold(Crc::new(), |crc, n| crc.number(*n));
    for (offset, len) in &sum.ranges {
        crc = crc.bytes(&read(*offset, usize::try_from(*len).unwrap_or(usize::MAX))?);
    }
    let stored = read(sum.at, 4)?;
    let Ok(stored) = <[u8; 4]>::try_from(&stored[..]).map(u32::from_le_bytes) else { return Ok(None) };
    let masked = crc.finish();
    // The checksum itself may have been hit.
    let difference = masked ^ stored;
    if difference.count_ones() == 1 {
        let bit = difference.trailing_zeros();
        return Ok(Some(Flip { offset: sum.at.saturating_add(u64::from(bit / 8)), bit: (bit % 8) as u8 }));
    }
    let wanted = Crc::unmask(masked) ^ Crc::unmask(stored);
    if wanted == 0 {
        return Ok(None);
    }
    let table = byte_table();
    let step = |n: u32, byte: u8| -> u32 {
        let index = (n ^ u32::from(byte)) as u8;
        (n >> 8) ^ table.get(usize::from(index)).copied().unwrap_or_default()
    };
    let mut bits: [u32; 8] = std::array::from_fn(|bit| step(0, 1_u8.wrapping_shl(bit as u32)));
    for (offset, len) in sum.ranges.iter().rev() {
        for back in 1..=*len {
            if let Some(bit) = bits.iter().position(|found| *found == wanted) {
                let offset = offset.saturating_add(len.saturating_sub(back));
                return Ok(Some(Flip { offset, bit: bit as u8 }));
            }
            bits = bits.map(|n| step(n, 0));
        }
    }
    Ok(None)
}

/// The CRC-32 (IEEE) of each single byte, without the final complement.
fn byte_table() -> [u32; 256] {
    std::array::from_fn(|byte| {
        (0..8).fold(byte as u32, |crc, _| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 })
    })
}
