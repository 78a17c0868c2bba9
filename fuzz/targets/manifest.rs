//! A manifest, whatever is in it: replayed, with its files and without.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use recension::limits::Limits;
use recension::manifest::{LostLimits, Manifest, OpenMode, read_state};
use recension_fuzz::image;

fuzz_target!(|data: &[u8]| {
    let Some((name, bytes)) = image().edited(".manifest", data) else { return };
    let machine = recension::sim::SimEnv::new(1);
    machine.fs.write_file(&name, &bytes).expect("room");
    let dir = Path::new("/store");
    if read_state(&machine.env(), dir).is_err() {
        return;
    }
    if let Ok((manifest, _)) = Manifest::open(&machine.env(), dir, OpenMode::ReadWrite, &Limits::TINY) {
        let _ = manifest.settle(&LostLimits::default());
        // What was taken over reads back.
        drop(manifest);
        read_state(&machine.env(), dir).expect("what was written is read");
    }
});
