//! A sealed segment, whatever is in it: opened, its directory read from every place, its contents asked for.
#![no_main]

use std::path::Path;
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use recension::codec::FileKind;
use recension::limits::Limits;
use recension::log::{SealedSegment, ValueFile};
use recension::manifest::{State, read_state};
use recension::model::Address;
use recension::sim::SimEnv;
use recension::{Draft, Expect, Packing, Store};

/// A store of sealed segments, in which nothing becomes a pack; and what its manifest says.
static SEALED: LazyLock<(SimEnv, Arc<State>)> = LazyLock::new(|| {
    let machine = SimEnv::new(11);
    let builder = Store::builder("/store").env(machine.env()).limits(Limits::TINY);
    let store = builder.packing(Packing::WhenAsked).open().expect("a store");
    for n in 0..60 {
        let text = format!("edit {n}, {}", "some words that repeat, ".repeat(n % 7));
        let draft = Draft::new(text).author("ann").comment(format!("comment {}", n % 3));
        let draft = draft.slot("notes", Some("a slot".into()));
        store.put(format!("page {}", n % 4), Expect::Any, draft).expect("written");
    }
    store.close().expect("closed");
    let state = read_state(&machine.env(), Path::new("/store")).expect("a manifest");
    (machine, state)
});

fuzz_target!(|data: &[u8]| {
    let Some((which, edits)) = data.split_first() else { return };
    let (store, state) = &*SEALED;
    let segments: Vec<_> = state.value_files.values().filter(|info| info.kind == FileKind::Segment).collect();
    assert!(!segments.is_empty(), "there are sealed segments");
    let Some(info) = segments.get(usize::from(*which) % segments.len().max(1)) else { return };
    let name = format!("/store/{}", info.id.file_name(FileKind::Segment));
    let mut bytes = store.fs.read_file(&name).expect("a segment");
    recension_fuzz::edit(&mut bytes, edits);
    let machine = SimEnv::new(1);
    machine.fs.write_file(&name, &bytes).expect("room");
    let mut info = (*info).clone();
    info.len = bytes.len() as u64;
    let Ok(segment) = SealedSegment::open(&*machine.env().fs, Path::new(&name), &info, &state.store, None)
    else {
        return;
    };
    let segment = Arc::new(segment);
    for after in [0, info.sequence_first, info.sequence_last.saturating_sub(1)] {
        for change in segment.clone().changes(after, info.sequence_last) {
            let Ok(change) = change else { break };
            assert!(change.sequence > after && change.sequence <= info.sequence_last);
        }
    }
    for sequence in info.sequence_first..=info.sequence_last {
        for slot in 0..2 {
            let address = Address { sequence, slot };
            let _ = segment.digest(address);
            let _ = segment.read_content(address);
        }
    }
});
