//! Looking at edited files from outside: parts, damage and names are said, never a panic, and everything ends.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use recension::inspect::{verify_file, verify_store};
use recension::limits::Limits;
use recension::pack::Depth;
use recension_fuzz::image;

fuzz_target!(|data: &[u8]| {
    let Some((name, bytes)) = image().edited("", data) else { return };
    let machine = image().machine();
    machine.fs.write_file(&name, &bytes).expect("room");
    let env = machine.env();
    let _ = verify_file(&*env.fs, Path::new(&name), Depth::Contents);
    let _ = verify_store(&env, Path::new("/store"), Depth::Contents, &Limits::TINY);
});
