//! Damage to a disk at rest: what age, firmware, people and restored backups do to files that were written well.

use std::io;
use std::path::Path;

use super::disk::split;
use super::fault::FaultKind;
use super::fs::SimFs;
use super::rng::Prng;

/// A kind of damage to one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// One bit is another.
    FlipBit,
    /// A 512-byte sector is zeros.
    ZeroSector,
    /// Two 512-byte sectors changed places.
    SwapSectors,
    /// Up to 4 KiB at the end are gone.
    CutTail,
    /// Up to 4 KiB at the end are there twice.
    DuplicateTail,
    /// The file is gone.
    Remove,
    /// A copy from before an earlier crash is in its place (see [`SimFs::remember`]).
    OlderCopy,
}

impl Damage {
    /// Every kind.
    pub const ALL: &[Self] = &[
        Self::FlipBit,
        Self::ZeroSector,
        Self::SwapSectors,
        Self::CutTail,
        Self::DuplicateTail,
        Self::Remove,
        Self::OlderCopy,
    ];
}

const SECTOR: usize = 512;
const TAIL: u64 = 4096;

impl SimFs {
    /// Flips a bit (0 to 7) of the byte at `offset`.
    pub fn flip_bit(&self, path: impl AsRef<Path>, offset: u64, bit: u8) -> io::Result<()> {
        let mut disk = self.disk.lock();
        let ino = disk.walk(&split(path.as_ref())?)?;
        if disk.touch(ino, |file| file.flip(offset, bit))? {
            disk.stats.hit(FaultKind::BitFlipped);
        }
        Ok(())
    }

    /// Cuts a file, or extends it with zeros.
    pub fn truncate(&self, path: impl AsRef<Path>, len: u64) -> io::Result<()> {
        self.edit(path.as_ref(), |bytes| bytes.resize(usize::try_from(len).unwrap_or_default(), 0))
    }

    /// Overwrites bytes, extending the file if need be.
    pub fn overwrite(&self, path: impl AsRef<Path>, offset: u64, data: &[u8]) -> io::Result<()> {
        self.edit(path.as_ref(), |bytes| {
            let from = usize::try_from(offset).unwrap_or_default();
            let to = from.saturating_add(data.len());
            if bytes.len() < to {
                bytes.resize(to, 0);
            }
            if let Some(place) = bytes.get_mut(from..to) {
                place.copy_from_slice(data);
            }
        })
    }

    /// Does a kind of damage to a file, where drawn. Answers what was done, for people; `None` if it made no difference.
    pub fn damage(
        &self,
        path: impl AsRef<Path>,
        damage: Damage,
        rng: &mut Prng,
    ) -> io::Result<Option<String>> {
        let path = path.as_ref();
        let name = path.display();
        let before = self.read_file(path)?;
        let len = before.len() as u64;
        let sectors = len.div_ceil(SECTOR as u64);
        let (kind, what) = match damage {
            Damage::FlipBit if len > 0 => {
                let (offset, bit) = (rng.below(len), rng.below(8) as u8);
                self.flip_bit(path, offset, bit)?;
                // Counted where it is done.
                return Ok(Some(format!("bit {bit} of byte {offset} of {name} flipped")));
            }
            Damage::ZeroSector if len > 0 => {
                let sector = rng.below(sectors);
                self.edit(path, |bytes| {
                    bytes.chunks_mut(SECTOR).skip(sector as usize).take(1).for_each(|it| it.fill(0));
                })?;
                (FaultKind::BlockZeroed, format!("sector {sector} of {name} zeroed"))
            }
            Damage::SwapSectors if sectors > 1 => {
                let (a, b) = (rng.below(sectors), rng.below(sectors));
                self.edit(path, |bytes| swap_sectors(bytes, a.min(b) as usize, a.max(b) as usize))?;
                (FaultKind::BlocksSwapped, format!("sectors {a} and {b} of {name} swapped"))
            }
            Damage::CutTail if len > 0 => {
                let cut = rng.below(len.min(TAIL)) + 1;
                self.truncate(path, len - cut)?;
                (FaultKind::TailCut, format!("the last {cut} bytes of {name} cut off"))
            }
            Damage::DuplicateTail if len > 0 => {
                let n = rng.below(len.min(TAIL)) + 1;
                self.edit(path, |bytes| bytes.extend_from_within(bytes.len().saturating_sub(n as usize)..))?;
                (FaultKind::TailDuplicated, format!("the last {n} bytes of {name} repeated"))
            }
            Damage::Remove => {
                self.remove(path)?;
                self.stats().hit(FaultKind::FileMissing);
                return Ok(Some(format!("{name} removed")));
            }
            Damage::OlderCopy => {
                let done = self.restore_older_copy(path)?;
                return Ok(done.then(|| format!("an older copy of {name} restored")));
            }
            _ => return Ok(None),
        };
        if self.read_file(path)? == before {
            return Ok(None);
        }
        self.stats().hit(kind);
        Ok(Some(what))
    }
}

fn swap_sectors(bytes: &mut [u8], a: usize, b: usize) {
    if a == b {
        return;
    }
    let (front, back) = bytes.split_at_mut((b * SECTOR).min(bytes.len()));
    let (Some(one), other) = (front.chunks_mut(SECTOR).nth(a), back) else { return };
    let n = one.len().min(other.len()).min(SECTOR);
    one.iter_mut().zip(other).take(n).for_each(|(x, y)| std::mem::swap(x, y));
}
