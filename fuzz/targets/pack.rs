//! A pack, whatever is in it: opened, its directory read from every place, its contents asked for, all of it verified.
#![no_main]

use std::path::Path;
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use recension::codec::FileKind;
use recension::log::{ValueFile, VerifyDepth};
use recension::manifest::{State, read_state};
use recension::model::Address;
use recension::pack::Pack;
use recension_fuzz::image;

static STATE: LazyLock<Arc<State>> =
    LazyLock::new(|| read_state(&image().machine().env(), Path::new("/store")).expect("a manifest"));

fuzz_target!(|data: &[u8]| {
    let Some((which, edits)) = data.split_first() else { return };
    let packs: Vec<_> = STATE.value_files.values().filter(|info| info.kind == FileKind::Pack).collect();
    let Some(info) = packs.get(usize::from(*which) % packs.len().max(1)) else { return };
    let name = format!("/store/{}", info.id.file_name(FileKind::Pack));
    let mut bytes = image().0[&name].clone();
    recension_fuzz::edit(&mut bytes, edits);
    let machine = recension::sim::SimEnv::new(1);
    machine.fs.write_file(&name, &bytes).expect("room");
    let mut info = (*info).clone();
    info.len = bytes.len() as u64;
    let Ok(pack) = Pack::open(&*machine.env().fs, Path::new(&name), &info, &STATE.store, None) else { return };
    let pack = Arc::new(pack);
    let _ = pack.verify_stored(VerifyDepth::Contents, &|| false);
    for after in [0, info.sequence_first, info.sequence_last.saturating_sub(1)] {
        for change in pack.clone().changes(after, info.sequence_last) {
            let Ok(change) = change else { break };
            assert!(change.sequence > after && change.sequence <= info.sequence_last);
        }
    }
    for sequence in info.sequence_first..=info.sequence_last {
        for slot in 0..2 {
            let address = Address { sequence, slot };
            let _ = pack.digest(address);
            let _ = pack.read_content(address);
        }
    }
});
