//! Long operations tell how far they are, and stop when they are told to; what was done stays, and they can be run again.

#[path = "common/simulated.rs"]
mod simulated;

use recension::limits::Limits;
use recension::sim::SimEnv;
use recension::{
    CheckDepth, Compaction, Draft, EntityRange, ErasureMode, Error, Expect, FieldMask, Progress, Retention,
    Store, Timestamp,
};
use simulated::unpacked;

fn filled(machine: &SimEnv) -> Store {
    let store = unpacked(machine).open().unwrap();
    for n in 0..400_usize {
        store.put(format!("e{:02}", n % 23), Expect::Any, Draft::new("text ".repeat(n % 50))).unwrap();
    }
    store
}

/// Runs the operation again and again, each time stopped one step later, until it comes to its end; answers how often it was stopped.
fn stopped_everywhere(mut operation: impl FnMut(&mut Progress<'_>) -> recension::Result<()>) -> u64 {
    for stop in 1.. {
        let (mut steps, mut last) = (0, (String::new(), 0));
        let mut callback = |what: &'static str, done: u64, of: u64| {
            assert!(of == 0 || done <= of, "{what}: {done} of {of}");
            if last.0 == what {
                assert!(done >= last.1, "{what} goes back from {} to {done}", last.1);
            }
            last = (what.to_owned(), done);
            steps += 1;
            steps < stop
        };
        match operation(&mut Progress::new(&mut callback)) {
            Err(Error::Cancelled) => {}
            Err(error) => panic!("stopped at step {stop}: {error}"),
            Ok(()) => return stop - 1,
        }
        assert!(stop < 100_000, "it never comes to its end");
    }
    unreachable!()
}

#[test]
fn every_long_operation_stops_at_any_of_its_steps_and_can_be_run_again() {
    let machine = SimEnv::new(1);
    let store = filled(&machine);
    let mut copies = 0;
    let stops = [
        ("check", stopped_everywhere(|progress| store.check(CheckDepth::Deep, progress).map(drop))),
        (
            "checkpoint",
            stopped_everywhere(|progress| {
                copies += 1;
                store.checkpoint_with(format!("/copy{copies}"), progress).map(drop)
            }),
        ),
        ("pack", stopped_everywhere(|progress| store.pack(progress))),
        ("compact", stopped_everywhere(|progress| store.compact(Compaction::Full, progress))),
        (
            "retain",
            stopped_everywhere(|progress| {
                let old = Retention {
                    range: EntityRange::default(),
                    superseded_before: Timestamp(i64::MAX),
                    keep_older: 2,
                    fields: FieldMask::CONTENT,
                    mode: ErasureMode::Do,
                    actor: "me".into(),
                    reason: "test".into(),
                };
                store.retain(&old, progress).map(drop)
            }),
        ),
    ];
    for (what, stops) in stops {
        assert!(stops > 0, "{what} never asked");
    }
    store.put("e00", Expect::Any, Draft::new("still writable")).unwrap();
    let report = store.check(CheckDepth::Deep, &mut Progress::none()).unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
    store.close().unwrap();
    // What a checkpoint that was stopped left is not taken for a store; the last one is one.
    drop(store);
    let open = |n: u64| Store::builder(format!("/copy{n}")).env(machine.env()).limits(Limits::TINY).open();
    assert!(open(copies - 1).is_err());
    assert_eq!(open(copies).unwrap().published(), 400);
}
