//! A store with edited files: opening and reading everything gives data or errors, never a panic. (With all checksums the same the
//! data may be wrong; `tests/damage.rs` sees that it is not with real ones.)
#![no_main]

use libfuzzer_sys::fuzz_target;
use recension::limits::Limits;
use recension::{ByteSize, CheckDepth, Compaction, EntityRange, Expect, IfMissing, Progress, Store};
use recension_fuzz::image;

fuzz_target!(|data: &[u8]| {
    let Some((mode, data)) = data.split_first() else { return };
    let Some((name, bytes)) = image().edited("", data) else { return };
    let machine = image().machine();
    machine.fs.write_file(&name, &bytes).expect("room");
    let builder = Store::builder("/store").limits(Limits::TINY).memory(ByteSize(1 << 20)).env(machine.env());
    let builder = if mode % 2 == 0 { builder.read_only() } else { builder.if_missing(IfMissing::Fail) };
    let Ok(store) = builder.open() else { return };
    let _ = store.check(CheckDepth::Deep, &mut Progress::new(&mut |_, _, _| true));
    for head in store.heads(EntityRange::default()).take(50) {
        let Ok(head) = head else { break };
        let Some(revision) = head.revision() else { continue };
        let _ = (
            revision.fields().is_ok(),
            revision.content().is_ok(),
            revision.slots().is_ok(),
            revision.digest().is_ok(),
        );
        for revision in store.history(revision.entity()).expect("a good name").rev().take(100) {
            if revision.is_err() {
                break;
            }
        }
    }
    if let Ok(changes) = store.changes(0) {
        for change in changes.take(500) {
            if change.is_err() {
                break;
            }
        }
    }
    let _ = store.put("a", Expect::Any, recension::Draft::new("x"));
    let _ = store.flush();
    let _ = store.compact(Compaction::Full, &mut Progress::new(&mut |_, _, _| true));
    let _ = store.close();
});
