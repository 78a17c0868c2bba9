//! A store whose files were damaged at rest: cut, with a bit flipped, missing, swapped. Whatever is read is right, or an error that
//! names the file; nothing is silently missing, nothing panics.

mod common;

use std::collections::BTreeMap;

use common::damaged::{findings, survey};
use common::model::Model;
use common::op::{OP_BYTES, Op};
use common::surroundings::Surroundings;
use common::world::World;
use recension::limits::Limits;
use recension::sim::{Prng, SimEnv};
use recension::{ByteSize, Error, ErrorKind, IfMissing, Store};

/// The files of a closed store, and what is in it.
struct Image {
    files: BTreeMap<String, Vec<u8>>,
    model: Model,
}

/// A store with files of all kinds.
fn image(seed: u64) -> Image {
    let mut world = World::new(Surroundings::sim(seed));
    let mut rng = Prng::new(seed);
    let quiet = |op: &Op| !matches!(op, Op::Crash(_) | Op::CrashAt(..) | Op::Checkpoint | Op::ReadOnly);
    let ops = std::iter::repeat_with(|| {
        let mut bytes = [0; OP_BYTES];
        rng.fill(&mut bytes);
        Op::decode(&bytes)
    });
    for op in ops.filter(quiet).take(140) {
        world.step(&op);
    }
    world.step(&Op::Flush);
    for op in [[0; OP_BYTES], [1; OP_BYTES], [2; OP_BYTES]] {
        world.step(&Op::decode(&op));
    }
    world.step(&Op::Close);
    let (machine, model) = world.shut();
    let files = machine.fs.files().into_iter();
    let files = files.map(|name| (name.clone(), machine.fs.read_file(&name).expect("a file"))).collect();
    Image { files, model }
}

fn open(files: &BTreeMap<String, Vec<u8>>) -> recension::Result<(SimEnv, Store)> {
    let machine = SimEnv::new(5);
    for (name, bytes) in files {
        machine.fs.write_file(name, bytes).expect("room");
    }
    let builder = Store::builder("/store").limits(Limits::TINY).memory(ByteSize(1 << 20)).env(machine.env());
    let store = builder.if_missing(IfMissing::Fail).open()?;
    Ok((machine, store))
}

/// An error that says what is wrong: its kind, and the file.
fn names(error: &Error, file: &str, what: &str) {
    assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported), "{what}: {error:?}");
    let base = file.rsplit('/').next().expect("a name");
    // Of a manifest that was cut the error may be that the store's files are not those of an older state.
    let found = error.to_string().contains(base)
        || base.ends_with("manifest") && error.to_string().contains("/store/0");
    assert!(found, "{what}: the error names another file: {error}");
}

/// Opens and reads everything. Answers whether an error was seen.
fn right_or_error(files: &BTreeMap<String, Vec<u8>>, model: &Model, file: &str, what: &str) -> bool {
    let store = match open(files) {
        Err(error) => {
            names(&error, file, what);
            return true;
        }
        Ok((_machine, store)) => store,
    };
    let survey = survey(&store, model);
    for error in &survey.errors {
        names(error, file, what);
    }
    let found = findings(&store).expect("a check ends");
    assert!(survey.errors.is_empty() || !found.is_empty(), "{what}: reads fail and `check` finds nothing");
    !found.is_empty()
}

fn each_data_file(image: &Image, mut test: impl FnMut(&str, &[u8])) {
    for (name, bytes) in &image.files {
        if !name.ends_with("LOCK") {
            test(name, bytes);
        }
    }
}

/// The first and last bytes, where headers and footers are, and some in between.
fn places(len: usize, rng: &mut Prng, between: usize) -> Vec<usize> {
    let ends = (0..len.min(96)).step_by(5).chain((len.saturating_sub(72)..len).step_by(3));
    let mut places: Vec<usize> =
        ends.chain((0..between).map(|_| rng.below(len.max(1) as u64) as usize)).collect();
    places.sort_unstable();
    places.dedup();
    places
}

#[test]
fn an_undamaged_copy_is_read_whole() {
    let image = image(1);
    let (_machine, store) = open(&image.files).expect("it opens");
    assert!(survey(&store, &image.model).errors.is_empty());
    assert_eq!(findings(&store).expect("a check"), Vec::<String>::new());
    let kinds = ["manifest", "seg", "pack", "tab", "kv"];
    assert!(
        kinds.iter().all(|kind| image.files.keys().any(|name| name.ends_with(kind))),
        "{:?}",
        image.files.keys()
    );
}

#[test]
fn a_flipped_bit_gives_right_data_or_an_error_that_names_the_file() {
    let image = image(2);
    let mut rng = Prng::new(3);
    let (mut tried, mut seen) = (0, 0);
    each_data_file(&image, |name, bytes| {
        for at in places(bytes.len(), &mut rng, 30) {
            let bit = rng.below(8);
            let mut files = image.files.clone();
            files.get_mut(name).expect("the file")[at] ^= 1 << bit;
            let what = format!("bit {bit} of byte {at} of {} of {name}", bytes.len());
            tried += 1;
            seen += u32::from(right_or_error(&files, &image.model, name, &what));
        }
    });
    assert!(seen * 10 > tried * 8, "{seen} of {tried} flipped bits were noticed");
}

#[test]
fn a_file_cut_short_gives_right_data_or_an_error_that_names_the_file() {
    let image = image(4);
    let mut rng = Prng::new(5);
    each_data_file(&image, |name, bytes| {
        let mut lens = places(bytes.len(), &mut rng, 10);
        lens.retain(|len| len % 4 != 1);
        for len in lens {
            let mut files = image.files.clone();
            files.get_mut(name).expect("the file").truncate(len);
            right_or_error(&files, &image.model, name, &format!("{name} cut from {} to {len}", bytes.len()));
        }
    });
}

#[test]
fn a_missing_file_is_an_error_that_names_it() {
    let image = image(6);
    each_data_file(&image, |name, _| {
        let mut files = image.files.clone();
        files.remove(name);
        let error = open(&files).err().unwrap_or_else(|| panic!("{name} is missing, and the store opens"));
        if name.ends_with("manifest") {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
            assert!(error.to_string().contains("rebuild"), "{error}");
        } else if !error.to_string().contains("expected a segment that follows") {
            // (The newest segment is known by what it followed, not by its name.)
            names(&error, name, "missing");
        }
    });
}

#[test]
fn a_file_of_another_store_in_the_place_of_one_is_an_error_that_names_it() {
    let (image, other) = (image(7), image(8));
    each_data_file(&image, |name, _| {
        let kind = name.rsplit('.').next().expect("an extension");
        for (_, bytes) in other.files.iter().filter(|(other, _)| other.ends_with(kind)) {
            let mut files = image.files.clone();
            files.insert(name.to_owned(), bytes.clone());
            assert!(
                right_or_error(&files, &image.model, name, "a file of another store"),
                "{name} was taken"
            );
        }
    });
}

#[test]
fn a_file_of_the_same_store_in_the_place_of_another_is_an_error_that_names_it() {
    let image = image(9);
    each_data_file(&image, |name, bytes| {
        let kind = name.rsplit('.').next().expect("an extension");
        for (_, other) in image.files.iter().filter(|(other, _)| *other != name && other.ends_with(kind)) {
            let mut files = image.files.clone();
            files.insert(name.to_owned(), other.clone());
            assert!(
                bytes == other || right_or_error(&files, &image.model, name, "another file"),
                "{name} was taken"
            );
        }
    });
}

#[test]
fn the_newest_segment_cut_short_anywhere_gives_right_data_or_an_error_that_names_it() {
    for seed in 10..13 {
        let image = image(seed);
        let newest = image.files.keys().rfind(|name| name.ends_with(".seg")).expect("a segment").clone();
        let len = image.files[&newest].len();
        for len in (0..len).rev().step_by(8).take(150) {
            let mut files = image.files.clone();
            files.get_mut(&newest).expect("the file").truncate(len);
            right_or_error(&files, &image.model, &newest, &format!("{newest} cut to {len}"));
        }
    }
}
