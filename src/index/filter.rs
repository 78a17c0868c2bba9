//! Which entities (or keys) a table may hold: a filter over their hashes.
//!
//! ```text
//! kind         u8   1 binary fuse, 2 sorted hashes, 3 binary fuse with wide fingerprints
//! reserved     3    0
//! count        u32  distinct hashes (2^32 − 1 for that many or more)
//! kind 1, 3: descriptor 20 bytes (seed u64, segment length u32, its mask u32, segments' length u32), fingerprints u8* or u16*
//! kind 2: u64*, ascending
//! ```
//!
//! One entry per entity serves head, revision, history and as-of look-ups. A binary fuse filter answers "may be here" for 0.4 %
//! of the hashes that are not, at about 9 bits per entity, or with wide fingerprints for 0.0015 % at 18 bits; it is a pure function of
//! the hashes. Wide ones are for the tables of which many are asked ([`super::table::TableOptions::for_level`]): levels 0 and 1 hold
//! a hundredth of a large store, and all but two of the places where a look-up may go wrong.
//!
//! 1. No false negatives: every hash is looked up again after the build; if the build fails or a hash is missing, the sorted
//!    hashes themselves are stored (kind 2), which cannot fail.
//! 2. A filter from disk is looked up only after its descriptor was checked against its length: `xorf` would panic otherwise.
//! 3. Look-ups read the fingerprints where they are, in the cached block or the map: nothing is copied but wide ones at an odd address.

use bytes::Bytes;
use xorf::{
    BinaryFuse8, BinaryFuse8Ref, BinaryFuse16, BinaryFuse16Ref, DmaSerializable, Filter as _, FilterRef as _,
};

use crate::cache::Cached;
use crate::codec::{Malformed, Reader, put_u32};

#[cfg(test)]
mod tests;

const FUSE: u8 = 1;
const SORTED: u8 = 2;
const WIDE: u8 = 3;
const DESCRIPTOR_LEN: usize = 20;

/// How many bits of an entity's hash a filter keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fingerprint {
    /// Eight: 9 bits an entity, 0.4 % false positives.
    Narrow,
    /// Sixteen: 18 bits an entity, 0.0015 %.
    Wide,
}

/// Encodes a filter over the hashes. Duplicates are fine.
pub fn encode_filter(mut hashes: Vec<u64>, fingerprint: Fingerprint) -> Vec<u8> {
    hashes.sort_unstable();
    hashes.dedup();
    if planted!("filter has a false negative") && hashes.len() > 1 {
        hashes.pop();
    }
    encode_fuse(&hashes, fingerprint).unwrap_or_else(|| encode_sorted(&hashes))
}

fn header(kind: u8, count: usize) -> Vec<u8> {
    let mut out = vec![kind, 0, 0, 0];
    put_u32(&mut out, u32::try_from(count).unwrap_or(u32::MAX));
    out
}

/// `None` if no filter without false negatives could be built.
fn encode_fuse(distinct: &[u64], fingerprint: Fingerprint) -> Option<Vec<u8>> {
    let out = match fingerprint {
        Fingerprint::Narrow => dissolve(FUSE, distinct.len(), &BinaryFuse8::try_from(distinct).ok()?),
        Fingerprint::Wide => dissolve(WIDE, distinct.len(), &BinaryFuse16::try_from(distinct).ok()?),
    };
    let again = Filter::decode(&Bytes::from(out.clone())).ok()?;
    distinct.iter().all(|hash| again.contains(*hash)).then_some(out)
}

fn dissolve(kind: u8, count: usize, fuse: &impl DmaSerializable) -> Vec<u8> {
    let mut out = header(kind, count);
    let mut descriptor = [0; DESCRIPTOR_LEN];
    fuse.dma_copy_descriptor_to(&mut descriptor);
    out.extend_from_slice(&descriptor);
    out.extend_from_slice(fuse.dma_fingerprints());
    out
}

fn encode_sorted(distinct: &[u64]) -> Vec<u8> {
    let mut out = header(SORTED, distinct.len());
    distinct.iter().for_each(|hash| out.extend_from_slice(&hash.to_le_bytes()));
    out
}

/// A filter from disk.
#[derive(Clone, Debug)]
pub struct Filter {
    form: Form,
    count: u32,
}

#[derive(Clone, Debug)]
enum Form {
    Fuse {
        descriptor: [u8; DESCRIPTOR_LEN],
        fingerprints: Bytes,
    },
    /// The fingerprints begin at an even address.
    Wide {
        descriptor: [u8; DESCRIPTOR_LEN],
        fingerprints: Bytes,
    },
    Sorted(Bytes),
}

impl Filter {
    /// Checks and takes over an encoded filter, sharing its memory.
    ///
    /// # Errors
    /// Anything that is not as [`encode_filter`] writes it.
    pub fn decode(bytes: &Bytes) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let kind = reader.u8("a filter kind")?;
        if reader.array::<3>("reserved bytes")? != [0; 3] {
            return Err(reader.malformed("reserved bytes that are 0"));
        }
        let count = reader.u32("how many hashes the filter holds")?;
        let form = match kind {
            FUSE => {
                let descriptor = reader.array("a filter descriptor")?;
                let fingerprints = bytes.slice_ref(reader.rest());
                check_descriptor(&descriptor, fingerprints.len())?;
                Form::Fuse { descriptor, fingerprints }
            }
            WIDE => {
                let descriptor = reader.array("a filter descriptor")?;
                let fingerprints = bytes.slice_ref(reader.rest());
                if !fingerprints.len().is_multiple_of(2) {
                    return Err(reader.malformed("two bytes for each fingerprint"));
                }
                check_descriptor(&descriptor, fingerprints.len() / 2)?;
                Form::Wide { descriptor, fingerprints: even(fingerprints) }
            }
            SORTED => {
                let hashes = bytes.slice_ref(reader.rest());
                if hashes.len() as u64 != u64::from(count).saturating_mul(8) {
                    return Err(reader.malformed("eight bytes for each hash"));
                }
                Form::Sorted(hashes)
            }
            _ => return Err(reader.malformed("a known filter kind")),
        };
        Ok(Self { form, count })
    }

    /// Whether the hash may have been among those the filter was built from. `false` is certain.
    pub fn contains(&self, hash: u64) -> bool {
        match &self.form {
            Form::Fuse { descriptor, fingerprints } => {
                BinaryFuse8Ref::from_dma(descriptor, fingerprints).contains(&hash)
            }
            Form::Wide { descriptor, fingerprints } => {
                BinaryFuse16Ref::from_dma(descriptor, fingerprints).contains(&hash)
            }
            Form::Sorted(hashes) => {
                let at = |i: usize| {
                    let bytes = hashes.get(i.saturating_mul(8)..).and_then(|rest| rest.first_chunk());
                    bytes.map_or(u64::MAX, |bytes| u64::from_le_bytes(*bytes))
                };
                let (mut low, mut high) = (0, hashes.len() / 8);
                while low < high {
                    let middle = low.midpoint(high);
                    if at(middle) < hash { low = middle.saturating_add(1) } else { high = middle }
                }
                low < hashes.len() / 8 && at(low) == hash
            }
        }
    }

    /// How many distinct hashes it was built from.
    pub fn count(&self) -> u32 {
        self.count
    }
}

impl Cached for Filter {
    fn weight(&self) -> usize {
        match &self.form {
            Form::Fuse { fingerprints, .. } | Form::Wide { fingerprints, .. } => {
                fingerprints.len().saturating_add(DESCRIPTOR_LEN)
            }
            Form::Sorted(hashes) => hashes.len(),
        }
    }
}

/// The same bytes at an even address: `xorf` reads them as 16-bit numbers and would panic otherwise. A block stands where it stands in its
/// file or buffer, so about half of them need the copy.
fn even(bytes: Bytes) -> Bytes {
    if bytes.as_ptr().addr().is_multiple_of(2) {
        return bytes;
    }
    let mut copy: Vec<u8> = Vec::with_capacity(bytes.len().saturating_add(1));
    let start = copy.as_ptr().addr() % 2;
    copy.resize(start, 0);
    copy.extend_from_slice(&bytes);
    Bytes::from(copy).slice(start..)
}

/// Three probes must land inside the fingerprints: the first is below `segments' length`, the others one and two segments on.
fn check_descriptor(descriptor: &[u8; DESCRIPTOR_LEN], fingerprints: usize) -> Result<(), Malformed> {
    let mut reader = Reader::new(descriptor);
    reader.u64("a seed")?;
    let segment = reader.u32("a segment length")?;
    let mask = reader.u32("a segment mask")?;
    let segments = reader.u32("the segments' length")?;
    let whole = u64::from(segment).saturating_mul(2).saturating_add(u64::from(segments));
    let fits = segment.is_power_of_two()
        && mask == segment.wrapping_sub(1)
        && segments > 0
        && segments.is_multiple_of(segment)
        && whole == fingerprints as u64
        && whole <= u64::from(u32::MAX);
    if fits { Ok(()) } else { Err(reader.malformed("a filter descriptor that fits the fingerprints")) }
}
