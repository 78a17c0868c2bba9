//! What the fuzz targets share: a store with files of all kinds, and edits of its files drawn from the fuzzer's bytes.
//!
//! `cargo fuzz` compiles with `cfg(fuzzing)`, under which every checksum of the engine is the same number: an edited file passes all
//! of them, and the decoders behind are reached. The target `operations` is about torn writes and wants real checksums: run it with
//! `--no-cfg-fuzzing`. On the stable toolchain: `cargo fuzz run -s none TARGET`, or `RUSTC_BOOTSTRAP=1 cargo fuzz run TARGET`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

#[path = "../../tests/common/mod.rs"]
pub mod common;

use common::op::{OP_BYTES, Op};
use common::surroundings::Surroundings;
use common::world::World;
use recension::sim::{Prng, SimEnv};

/// The files of a closed store, by name.
pub struct Image(pub BTreeMap<String, Vec<u8>>);

static IMAGE: LazyLock<Image> = LazyLock::new(|| {
    let mut world = World::new(Surroundings::sim(11));
    let mut rng = Prng::new(11);
    let mut done = 0;
    while done < 120 {
        let mut bytes = [0; OP_BYTES];
        rng.fill(&mut bytes);
        let op = Op::decode(&bytes);
        if !matches!(op, Op::Crash(_) | Op::CrashAt(..) | Op::Checkpoint | Op::ReadOnly) {
            world.step(&op);
            done += 1;
        }
    }
    world.step(&Op::Flush);
    world.step(&Op::decode(&[1; OP_BYTES]));
    let (machine, _) = world.shut();
    let files = machine.fs.files().into_iter();
    Image(files.map(|name| (name.clone(), machine.fs.read_file(&name).expect("a file"))).collect())
});

/// The store that is edited.
pub fn image() -> &'static Image {
    &IMAGE
}

impl Image {
    /// The names of its files with an ending.
    pub fn names(&self, ending: &str) -> Vec<&str> {
        self.0.keys().filter(|name| name.ends_with(ending)).map(String::as_str).collect()
    }

    /// One of the files with an ending, chosen and edited as the fuzzer says; its name and bytes.
    pub fn edited(&self, ending: &str, data: &[u8]) -> Option<(String, Vec<u8>)> {
        let names = self.names(ending);
        let (which, edits) = data.split_first()?;
        let name = (*names.get(usize::from(*which) % names.len().max(1))?).to_owned();
        let mut bytes = self.0.get(&name)?.clone();
        edit(&mut bytes, edits);
        Some((name, bytes))
    }

    /// A machine with these files on its disk.
    pub fn machine(&self) -> SimEnv {
        let machine = SimEnv::new(5);
        for (name, bytes) in &self.0 {
            machine.fs.write_file(name, bytes).expect("room");
        }
        machine
    }
}

/// Edits of five bytes each: where (also counted from the end), what, and with which two numbers.
pub fn edit(bytes: &mut Vec<u8>, edits: &[u8]) {
    for edit in edits.chunks_exact(5) {
        let [a, b, what, x, y] = edit else { return };
        let at = usize::from(u16::from_le_bytes([*a, *b]));
        let at = if what & 0x80 == 0 { at } else { bytes.len().saturating_sub(at) }.min(bytes.len());
        match (what & 7, bytes.get_mut(at)) {
            (0, Some(byte)) => *byte = *x,
            (1, Some(byte)) => *byte = byte.wrapping_add(*x),
            (2, Some(byte)) => *byte ^= 1 << (x & 7),
            (3, _) => bytes.truncate(at),
            (4, _) => {
                let end = at.saturating_add(usize::from(*x)).min(bytes.len());
                bytes.drain(at..end);
            }
            (5, _) => bytes.splice(at..at, std::iter::repeat_n(*y, usize::from(*x))).for_each(drop),
            (6, Some(_)) => {
                let from = usize::from(u16::from_le_bytes([*x, *y])) % bytes.len();
                let end = from.saturating_add(8).min(bytes.len());
                let copied = bytes.get(from..end).unwrap_or_default().to_vec();
                bytes.iter_mut().skip(at).zip(copied).for_each(|(byte, new)| *byte = new);
            }
            (7, Some(_)) => bytes.iter_mut().skip(at).take(8).for_each(|byte| *byte = *x),
            _ => {}
        }
    }
}
